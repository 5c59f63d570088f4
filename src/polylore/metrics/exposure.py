"""How often a fact was read before a checkpoint (specification of `trace`, section 2.3)."""

import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import check_known
from polylore.tables.course import places

_PARTS = ("n_subj", "n_obj")
_ONE = ("source", "unit", "exposure_kind", "policy_id", "lang_conditioned")


def exposure_at(
    exposure: pl.DataFrame,
    checkpoints: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    tokens_total: int | None = None,
) -> pl.DataFrame:
    """Exposure E of every fact and language at every checkpoint.

    ``exact``: units read in steps 1..s; a row that spans the checkpoint counts in proportion to its
    steps; a fact without rows was never read. ``total``: the count of the whole corpus, whatever
    the checkpoint; with `tokens_total` it becomes ``scaled``, count * tokens / tokens_total (order
    of reading unknown). A fact without a count is null then. A final model without a step has read
    everything.

    Args:
        exposure: table EXPOSURE from one source, unit, kind, policy and conditioning; rows of
            several document languages are added up.
        checkpoints: table CHECKPOINTS.
        facts: table FACTS: the cells wanted.
        tokens_total: training tokens of the whole corpus, to scale totals.

    Returns:
        ckpt_id, fact_id, relation, lang, exposure (float64), exposure_kind, and n_subj and n_obj:
        units with the subject, and with the object, up to the checkpoint (null if not counted).

    Raises:
        DataError: the rows mix kinds that must not be added, or scaling lacks tokens.
    """
    cells = facts.select("fact_id", "relation", "lang").unique(maintain_order=True)
    grid = places(checkpoints).join(cells, how="cross")
    columns = ["ckpt_id", "fact_id", "relation", "lang", "exposure", "exposure_kind", *_PARTS]
    for name in _ONE:
        values = exposure[name].unique().sort().to_list()
        if len(values) > 1:
            shown = " and ".join(str(v) for v in values[:3])
            raise DataError(
                f"The exposure table mixes {name} {shown}; filter it to one of them, since they "
                "count different things."
            )
    kind = exposure["exposure_kind"][0] if exposure.height else "none"
    if kind == "none":
        unknown = {c: pl.lit(None, dtype=pl.Float64()) for c in ("exposure", *_PARTS)}
        return grid.with_columns(**unknown, exposure_kind=pl.lit("none")).select(columns)
    known = exposure.join(cells.select("fact_id", "lang"), on=["fact_id", "lang"], how="semi")
    if kind == "exact":
        counted = _ordered(known, checkpoints).with_columns(_told=pl.lit(True))
        joined = grid.join(counted, on=["ckpt_id", "fact_id", "lang"], how="left")
        never = pl.col("_told").is_null()
        joined = joined.with_columns(exposure=pl.when(never).then(0.0).otherwise("exposure"))
    else:
        totals = known.group_by("fact_id", "lang", maintain_order=True).agg(_sums(pl.lit(1.0)))
        joined = grid.join(totals, on=["fact_id", "lang"], how="left")
        if tokens_total is not None:
            kind, joined = "scaled", _scaled(joined, checkpoints, tokens_total)
        elif kind == "scaled":
            raise DataError("Scaled exposure needs tokens_total, the tokens of the whole corpus.")
    return joined.with_columns(exposure_kind=pl.lit(kind)).select(columns)


def _ordered(exposure: pl.DataFrame, checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Sum of the rows read by each checkpoint, one pass per checkpoint."""
    if exposure["step_lo"].null_count() or exposure["step_hi"].null_count():
        raise DataError(
            "Exposure of kind exact lacks step_lo or step_hi; give the steps at which it was read, "
            "or call it total."
        )
    width = pl.col("step_hi") - pl.col("step_lo") + 1
    parts = []
    for ckpt, step, _ in places(checkpoints).iter_rows():
        share = pl.lit(1.0)
        if step is not None:
            read = (pl.lit(step) - pl.col("step_lo") + 1).clip(0, width)
            share = read / width
        parts.append(
            exposure.group_by("fact_id", "lang", maintain_order=True)
            .agg(_sums(share))
            .with_columns(ckpt_id=pl.lit(ckpt))
        )
    texts = dict.fromkeys(("fact_id", "lang", "ckpt_id"), pl.String())
    numbers = dict.fromkeys(("exposure", *_PARTS), pl.Float64())
    return pl.concat(parts or [pl.DataFrame(schema={**texts, **numbers})])


def _sums(share: pl.Expr) -> list[pl.Expr]:
    """Sums of the counts, each row by its share; a sum with an unknown part is unknown."""
    names = {"count": "exposure", "n_subj": "n_subj", "n_obj": "n_obj"}
    return [
        pl.when(pl.col(c).is_not_null().all())
        .then((pl.col(c).cast(pl.Float64()) * share).sum())
        .alias(name)
        for c, name in names.items()
    ]


def _scaled(joined: pl.DataFrame, checkpoints: pl.DataFrame, tokens_total: int) -> pl.DataFrame:
    unknown = checkpoints.filter(pl.col("tokens").is_null() & ~pl.col("final"))
    if unknown.height or tokens_total <= 0:
        raise DataError(
            "Exposure can be scaled only with a positive tokens_total and the tokens of every "
            f"checkpoint; {unknown.height} checkpoints lack them."
        )
    share = (pl.col("tokens") / tokens_total).fill_null(1.0)
    return joined.with_columns(pl.col(c) * share for c in ("exposure", *_PARTS))


def checked_exposure(exposure: pl.DataFrame, fact_ids: tuple[str, ...]) -> pl.DataFrame:
    """Rows with a count, checked against the fact set.

    Raises:
        DataError: an exposure is negative, or its fact unknown.
    """
    check_known(exposure, fact_ids)
    bad = exposure.filter(pl.col("exposure") < 0)
    if bad.height:
        raise DataError(f"Exposure of fact {bad['fact_id'][0]} is negative; counts start at 0.")
    return exposure.with_columns(pl.col("exposure").fill_nan(None))
