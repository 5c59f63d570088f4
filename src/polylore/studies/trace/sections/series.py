"""The series itself: checkpoints that lack, that are there twice, and what fetching them took."""

from collections.abc import Iterable

import polars as pl

from polylore.report import Block, Prose, TableView
from polylore.studies.trace.context import Context, quantity

_NAMED = 20
"""Names that a sentence lists; a longer list says no more."""


def series_blocks(context: Context) -> list[Block]:
    """What there is to say; nothing of a complete series in a local folder."""
    made = (_gaps(context), _odd(context), _notes(context))
    return [block for block in made if block is not None]


def _gaps(context: Context) -> TableView | None:
    table = context.table("gaps")
    if table is None:
        return None
    steps = pl.col("missing_steps").cast(pl.List(pl.String))
    ends = pl.concat_str(steps.list.first(), steps.list.last(), separator=" to ")
    frame = table.with_columns(
        steps=pl.when(pl.col("n_missing") <= 6).then(steps.list.join(", ")).otherwise(ends),
        asked=pl.col("affected_requests").cast(pl.List(pl.String)).list.join(", "),
    )
    missing = frame["n_missing"].sum()
    return TableView(
        "gaps",
        "Checkpoints that the series lacks",
        f"{missing:,} in {frame.height:,} stretches, against the grid that the family or the "
        "commonest distance between steps suggests. What happened in a gap is known only from its "
        "two ends.",
        frame,
        {"stage": "Stage", "ingredient": "Branch", "from_step": "After step",
         "to_step": "Before step", "n_missing": "Missing", "steps": "Steps",
         "longest_gap_tokens": "Tokens between", "asked": "Asked for in vain"},
        {"longest_gap_tokens": "tokens"},
        None,
    )  # fmt: skip


def _odd(context: Context) -> TableView | None:
    table = context.table("checkpoints")
    if table is None or "duplicate_of" not in table.columns:
        return None
    odd = table.filter(
        pl.col("duplicate_of").is_not_null()
        | pl.col("suspect")
        | pl.col("requested_step").is_not_null()
        | (pl.col("flags").list.len() > 0)
    )
    if not odd.height:
        return None
    left_out = pl.when(pl.col("suspect")).then(pl.lit("left out of trajectories"))
    stands = pl.when(pl.col("requested_step").is_not_null()).then(
        pl.format("stands for step {}", "requested_step")
    )
    flags = pl.col("flags").list.join(", ").str.replace_all("_", " ")
    frame = odd.with_columns(
        remark=pl.concat_list(left_out, stands, flags).list.drop_nulls().list.join("; ")
    )
    return TableView(
        "odd-checkpoints",
        "Checkpoints that call for a remark",
        f"{odd['duplicate_of'].drop_nulls().len()} with the weights of another one, "
        f"{odd['suspect'].sum()} suspect. The last step and the final model may be one checkpoint "
        "with two names; any other pair means that weights lie under a wrong name.",
        frame,
        {"ckpt_id": "Checkpoint", "step": "Step", "duplicate_of": "Weights as",
         "remark": "Remarks"},
        {},
        None,
    )  # fmt: skip


def _notes(context: Context) -> Prose | None:
    manifest = context.run.manifest
    words = []
    fetched = manifest.get("downloads") or {}
    if fetched.get("downloads"):
        n, times = fetched["checkpoints"], fetched["downloads"]
        words.append(
            f"Downloaded {n:,} checkpoint{'' if n == 1 else 's'} from the hub, "
            f"{quantity(fetched['bytes'])} bytes in {fetched['seconds']:,.0f} s of downloading"
            + (f"; {times - n:,} had to be fetched again." if times > n else ", each once.")
        )
    noted = manifest.get("resolved") or {}
    if noted.get("missing"):
        words.append(f"Scheduled, but not there: {_listed(map(str, noted['missing']))}.")
    if noted.get("skipped"):
        names = (f"{name} ({why})" for name, why in noted["skipped"])
        words.append(f"Left out of the series: {_listed(names)}.")
    return Prose(tuple(words)) if words else None


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
