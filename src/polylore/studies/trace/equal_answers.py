"""Checkpoints that answer everything alike (specification of `trace`, section 4.1, duplicates c).

Fingerprints miss equal weights that are stored in two number formats; their answers are the same.
The log-probabilities of many candidates never agree to the last digit by chance, so checkpoints
that agree in all of them have the same weights. Texts alone do agree by chance (a model that has
not learned yet says the same everywhere): without candidates such checkpoints are named, no more.
"""

import hashlib
import logging
from collections.abc import Sequence

import polars as pl

from polylore.models.resolve import refresh
from polylore.runs import RunFolder
from polylore.studies.trace.ask import unit_name

_log = logging.getLogger(__name__)

FLAG = "same_answers"


def note_equal_answers(run: RunFolder, policy: str, *, cache_dir: str | None = None) -> None:
    """Bring the table of checkpoints up to date: fingerprints read meanwhile, equal answers.

    Args:
        run: run folder whose units are complete.
        policy: what becomes of duplicates: exclude, keep or error.
        cache_dir: the hub's cache, if not the usual one.

    Raises:
        ModelError: with policy "error", if there are any.
    """
    table = refresh(run.table("checkpoints"), policy, cache_dir=cache_dir)
    groups, scored = _groups(run, table["ckpt_id"].to_list())
    known = dict(table.select("ckpt_id", pl.coalesce("duplicate_of", "ckpt_id")).iter_rows())
    # Of a group that is known to be one checkpoint there is nothing to add.
    hidden = [group for group in groups if len({known[c] for c in group}) > 1]
    named = [ckpt_id for group in hidden for ckpt_id in group]
    flags = pl.concat_list(pl.col("flags").fill_null([]), pl.lit([FLAG]))
    flags = flags.list.unique(maintain_order=True)
    table = table.with_columns(
        flags=pl.when(pl.col("ckpt_id").is_in(named)).then(flags).otherwise("flags")
    )
    if hidden and scored:
        table = refresh(table, policy, cache_dir=cache_dir, alike=hidden)
    for group in hidden:
        _log.warning(
            "Checkpoints %s gave the same answers to everything%s.",
            ", ".join(group),
            ", to the last digit, so they have the same weights" if scored else "",
        )
    run.write_table("checkpoints", table)


def _groups(run: RunFolder, ckpt_ids: Sequence[str]) -> tuple[list[list[str]], bool]:
    """Checkpoints with equal answers, and whether candidates were among these."""
    langs = run.table("facts")["lang"].unique(maintain_order=True).to_list()
    asked = run.manifest["config"]["ask"]
    by_answers: dict[str, list[str]] = {}
    for ckpt_id in ckpt_ids:
        digest = hashlib.sha256()
        units = [unit_name(ckpt_id, lang) for lang in langs]
        for name in ("answers", "candidate_scores"):
            # Further wordings are asked of the last checkpoint alone.
            rows = run.read(name, units).filter(pl.col("variant").is_in(asked["variants"]))
            own = rows.drop("ckpt_id")
            digest.update(own.sort(own.columns[:4]).hash_rows().to_numpy().tobytes())
        by_answers.setdefault(digest.hexdigest(), []).append(ckpt_id)
    scored = bool(asked["candidates"]) and run.read("candidate_scores", units).height > 0
    return [group for group in by_answers.values() if len(group) > 1], scored
