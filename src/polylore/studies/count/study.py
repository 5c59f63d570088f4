"""The study `count`: shards in, one unit each, and their sum as `exposure`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl

from polylore.config import digest
from polylore.corpus.documents import Shard, find_shards, read_order
from polylore.corpus.documents.languages import canonical
from polylore.corpus.exposure.merge import merge_exposure
from polylore.corpus.exposure.patterns import Patterns
from polylore.errors import ConfigError, DataError
from polylore.facts import FactSet
from polylore.files import read_json
from polylore.runs import RunFolder, run_batches
from polylore.studies.count.config import CountConfig
from polylore.studies.count.worker import ShardTask, count_shard

Progress = Callable[[int, int, str], None]
EVERYWHERE = 0.5
"""A name in more than this share of all documents tells little; the user is warned."""


def count(config: CountConfig, out: str | Path, *, progress: Progress | None = None) -> RunFolder:
    """Count how often a corpus expresses each fact.

    Args:
        config: what to count, where.
        out: run folder; an unfinished run of the same configuration is continued.
        progress: called with (megabytes done, megabytes in all, what).

    Returns:
        The run folder, with the tables `exposure`, `exposure_any_language` and `shards`.

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    shards, factset, inputs = prepare(config)
    run = RunFolder.open(out, "count", config.question(), inputs)
    with run.lock():
        run.write_table("facts", factset.facts)
        _count_all(run, config, shards, progress)
        _sum_up(run, config, shards)
    return run


def prepare(config: CountConfig) -> tuple[list[Shard], FactSet, dict[str, str]]:
    """What is counted in what, checked before anything starts, and the digests of both.

    Raises:
        PolyloreError: there is nothing to read, or a file, an order or a name is unusable.
    """
    shards = find_shards(config.documents)
    if config.documents.order is not None:
        read_order(config.documents.order)  # an unusable one is better known now
    factset = config.facts.load()
    Patterns.of(factset.facts, config.effective_policy())
    sizes = [[shard.name, shard.size] for shard in shards]
    return shards, factset, {"facts": factset.digest(), "documents": digest(sizes)}


def _count_all(
    run: RunFolder, config: CountConfig, shards: list[Shard], progress: Progress | None
) -> None:
    shutil.rmtree(run.path / "failed", ignore_errors=True)
    pending = set(run.pending(shard.name for shard in shards))
    path = str(run.path.resolve())
    tasks = [
        ShardTask(path, shard, config.documents, config.effective_policy(), config.steps_per_row)
        for shard in shards
        if shard.name in pending
    ]
    # The largest first, so that none is left running alone at the end.
    tasks.sort(key=lambda task: (-task.shard.size, task.shard.name))
    run_batches(
        tasks,
        count_shard,
        executor=config.execution.executor,
        jobs=config.execution.jobs,
        cpus=config.execution.cpus_per_worker,
        retries=config.execution.retries,
        folder=run.path,
        units=sum(task.megabytes for task in tasks),
        progress=progress,
        what="counting (MB)",
    )
    failures = [read_json(task.failure) for task in tasks if task.failure.is_file()]
    if failures:
        others = f" ({len(failures)} of {len(shards)} shards could not be counted; the others are)"
        raise DataError(failures[0]["why"] + (others if len(failures) > 1 else ""))


def _sum_up(run: RunFolder, config: CountConfig, shards: list[Shard]) -> None:
    names = [shard.name for shard in shards]
    about = run.write_table("shards", run.read("shards", names))
    cells = run.table("facts").select("fact_id", "lang")
    total = merge_exposure((run.read("exposure", [name]) for name in names), config.name)
    # A shard without any hit does not know the order, and must not unsettle the others.
    kind = "exact" if _ordered(config) else "total"
    whole = about["damaged"].null_count() == about.height
    total = total.with_columns(exposure_kind=pl.lit(kind), exact=pl.lit(whole))
    anywhere = run.write_table("exposure_any_language", _filled(total, cells, config, whole=whole))
    condition = config.effective_condition()
    known = int(about["with_lang"].sum())
    if condition == "language" and not known:
        raise ConfigError(
            "No document says its language, so counts cannot be conditioned on it; name its "
            "column with documents.lang, identify it with documents.langid, or set condition: any."
        )
    if condition == "any" or not known:
        run.write_table("exposure", anywhere)
    else:
        own = total.filter(_canonical("doc_lang") == _canonical("lang"))
        own = own.with_columns(lang_conditioned=pl.lit(True))
        run.write_table("exposure", _filled(own, cells, config, whole=whole, conditioned=True))
    run.annotate("notes", notes(about, anywhere))


def _canonical(column: str) -> pl.Expr:
    return pl.col(column).map_elements(canonical, return_dtype=pl.String(), skip_nulls=True)


def _filled(
    total: pl.DataFrame,
    cells: pl.DataFrame,
    config: CountConfig,
    *,
    whole: bool,
    conditioned: bool = False,
) -> pl.DataFrame:
    """Rows of zeros for cells that were never met, in the order of the facts.

    Where the order is known a cell without rows was never read, and needs none.
    """
    place = cells.with_row_index("_at")
    rows = total.join(place, on=["fact_id", "lang"])
    if not _ordered(config):
        policy = config.effective_policy()
        zeros = place.join(total, on=["fact_id", "lang"], how="anti").with_columns(
            source=pl.lit(config.name),
            doc_lang=pl.col("lang") if conditioned else pl.lit(None, dtype=pl.String()),
            count=pl.lit(0, dtype=pl.Int64()),
            n_subj=pl.lit(0, dtype=pl.Int64()),
            n_obj=pl.lit(0, dtype=pl.Int64()),
            unit=pl.lit(policy.unit),
            exact=pl.lit(whole),
            exposure_kind=pl.lit("total"),
            lang_conditioned=pl.lit(conditioned),
            policy_id=pl.lit(policy.policy_id),
        )
        rows = pl.concat([rows, zeros], how="diagonal")
    return rows.sort("_at", "step_lo", "doc_lang", nulls_last=False).drop("_at")


def _ordered(config: CountConfig) -> bool:
    documents = config.documents
    return bool(documents.order or documents.step or documents.sequences_per_step)


def notes(about: pl.DataFrame, exposure: pl.DataFrame) -> list[str]:
    """What a reader of the counts should know, one sentence each."""
    found = []
    documents = int(about["documents"].sum())
    damaged = about.filter(pl.col("damaged").is_not_null())
    for name, why in damaged.select("shard", "damaged").iter_rows():
        found.append(f"Only the readable part of {name} was counted: {why}.")
    bad = about.filter(pl.col("undecodable_documents") > 0)
    if bad.height:
        found.append(
            f"{bad['undecodable_documents'].sum()} documents hold bytes that are not UTF-8 "
            f"({bad['undecodable_bytes'].sum()} replaced), in {', '.join(bad['shard'].head(3))}"
            f"{' and others' if bad.height > 3 else ''}."
        )
    totals = exposure.group_by("fact_id", "lang", "unit", maintain_order=True).agg(
        pl.col("n_subj", "n_obj").sum()
    )
    for column, role in (("n_subj", "subject"), ("n_obj", "object")):
        wide = totals.filter(pl.col(column) > EVERYWHERE * documents)
        # Several sentences or sequences of one document can hold it.
        if wide.height and documents >= 20 and wide["unit"][0] not in ("sentence", "sequence"):
            first = wide.row(0, named=True)
            found.append(
                f"The {role} of '{first['fact_id']}' in '{first['lang']}'"
                f"{f' and of {wide.height - 1} other cells' if wide.height > 1 else ''} occurs in "
                "more than half of all documents; such a name is hardly about the fact."
            )
    unread = int(about["unread"].sum())
    if unread:
        found.append(f"{unread} of {documents} documents were never read, by the order given.")
    return found
