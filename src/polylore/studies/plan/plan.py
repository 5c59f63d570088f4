"""What a trace will cost, found with the code that will do the work."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from polylore.facts import FactSet
from polylore.models import Layers, Resolved, load_model, swap_weights
from polylore.models.cost import Anatomy
from polylore.models.hub import UnreachableError
from polylore.models.passes import expected_engine
from polylore.models.skeleton import anatomy as anatomy_of
from polylore.models.skeleton import skeleton
from polylore.models.store import Source, Store
from polylore.models.weights import weight_files
from polylore.runs import RunFolder
from polylore.studies.asking import refuse_changed_weights
from polylore.studies.plan import needs
from polylore.studies.plan.gather import Pending, Progress, Seen, gather, pending, unit_bytes
from polylore.studies.plan.measure import Measured, measure
from polylore.studies.plan.rows import Row, row
from polylore.studies.plan.work import Unit, Ways, plan_table
from polylore.studies.trace.ask import parts_of
from polylore.studies.trace.config import ExecutionConfig, TraceConfig
from polylore.studies.trace.sheet import Sheet, Sheets
from polylore.studies.trace.similarity import PART, Measure, Sentences
from polylore.studies.trace.study import find_run, make_prompts, read_exposure
from polylore.tables.plan import PLAN, PLAN_TOTALS

_TYPICAL = 600_000_000
"""Bytes of a process with the libraries, where it cannot be asked."""


@dataclass(frozen=True)
class Plan:
    """What a study will cost."""

    title: str
    """The study in one line."""
    units: pl.DataFrame
    """Table PLAN."""
    totals: pl.DataFrame
    """Table PLAN_TOTALS."""
    notes: tuple[str, ...] = ()
    """What the numbers assume."""


def plan(
    config: TraceConfig,
    out: str | Path,
    *,
    measured: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Plan a trace. Nothing is asked, no weights are read, nothing is written to `out`.

    Of a model on the hub only configuration and tokenizer are fetched, into the hub's cache.

    Args:
        config: the study, as for `trace`.
        out: its run folder; what is finished there is not planned again.
        measured: time a few real batches on this machine, with the weights of the first checkpoint
            that is here, or with random ones.
        progress: called with (done, total, what).

    Raises:
        PolyloreError: what `trace` would refuse.
    """
    study = _Study.read(config, out)
    if not study.left:
        return Plan(study.title, PLAN.empty(), PLAN_TOTALS.build(study.rows()))
    work = _count(study, measured, progress or (lambda done, total, what: None))
    rows = [*study.rows(), *_rows(study, work)]
    notes = [needs.ASSUMPTION]
    if config.ask.backend == "vllm":
        notes.append("vLLM arranges free answers its own way; they are planned as without it.")
    return Plan(study.title, work.table, PLAN_TOTALS.build(rows), tuple(notes))


@dataclass(frozen=True)
class _Study:
    """What is asked of what, and what of it is left."""

    config: TraceConfig
    factset: FactSet
    resolved: Resolved
    run: RunFolder | None
    left: Pending
    sheets: Sheets
    measure: Measure | None

    @classmethod
    def read(cls, config: TraceConfig, out: str | Path) -> "_Study":
        """The same checks in the same order as `trace`."""
        factset = config.facts.load()
        config.analyse.refuse_absent_pivot(factset.languages)
        config.refuse_nothing(factset)
        resolved = config.series.resolve(config.model)
        read_exposure(config.exposure)
        ask = config.effective_ask()
        prompts, asked = make_prompts(factset, ask, resolved.chosen)
        measure = Measure.of(config, factset.languages)
        run = find_run(config, factset, out)
        if run is not None:
            refuse_changed_weights(run, resolved.chosen)
        left = pending(run, resolved.chosen, factset.languages, measure)
        sheets = Sheets(factset, prompts, asked, ask)
        return cls(config, factset, resolved, run, left, sheets, measure)

    @property
    def title(self) -> str:
        chosen, there = self.resolved.chosen, self.resolved.series.height
        facts = self.factset.facts["fact_id"].n_unique()
        return (
            f"{chosen['model'][0]}: {chosen.height} of {there} checkpoints, {facts:,} facts in "
            f"{len(self.factset.languages)} languages"
        )

    @property
    def n_units(self) -> int:
        """Units that are left."""
        return sum(len(parts) for _, parts in self.left)

    @property
    def asked(self) -> int:
        """Of them, those that are asked in a language."""
        return sum(part != PART for _, parts in self.left for part in parts)

    def compared(self, anatomy: Anatomy) -> tuple[Sentences, Layers] | None:
        """What similarity reads, and the layers of the model; None if it is not measured."""
        if self.measure is None:
            return None
        widths = (anatomy.hidden,) * (anatomy.layers + 1)
        layers = Layers(widths, True, needs.FORMATS[self.config.effective_ask().dtype])
        return Sentences(self.factset, self.measure), layers

    @property
    def local(self) -> Path | None:
        """The first checkpoint that is on this machine."""
        return next((Path(str(source.path)) for source, _ in self.left if source.local), None)

    def rows(self) -> list[Row]:
        """How much of it is left."""
        chosen = self.resolved.chosen.height
        langs = self.factset.languages
        rows = self.resolved.chosen.iter_rows(named=True)
        done = sum(len(parts_of(row, langs, self.measure)) for row in rows) - self.n_units
        similarity = "" if self.measure is None else ", and one of similarity"
        remark = f"checkpoint x language{similarity}; {done} are done"
        return [
            row("asking", "checkpoints", len(self.left), "checkpoints", f"of {chosen}"),
            row("asking", "units", self.n_units, "units", remark),
        ]


@dataclass(frozen=True)
class _Work:
    """The work that is left, counted."""

    anatomy: Anatomy
    units: list[Unit]
    on_gpu: list[Unit]
    """The same with the batches of a GPU."""
    table: pl.DataFrame
    ways: Ways
    seen: Seen
    found: Measured | None
    process: int
    """Bytes of this process with all that is asked."""
    compared: tuple[Sentences, Layers] | None


def _count(study: _Study, measured: bool, report: Progress) -> _Work:
    config, execution = study.config, study.config.execution
    ask = config.effective_ask()
    folder = study.local or config.series.store().small_files(study.left[0][0])
    lm = skeleton(folder, dtype=ask.dtype)
    anatomy = anatomy_of(lm.model)
    seen = (study.run and Seen.in_run(study.run)) or Seen.nothing(ask.stop_at_newline)
    ways = Ways(expected_engine(lm.model))
    compared = study.compared(anatomy)
    count = partial(gather, lm, study.sheets, compared, study.left, progress=report)
    units, sheets = count(execution, ways, seen)
    process = _memory_now()
    found = _measure(study, anatomy, folder, sheets) if measured else None
    if found is not None:
        if found.lengths and not seen.by_lang:
            seen = Seen(f"expected: as {found.model} answered", {}, found.lengths)
        ways = found.ways
        units, _ = count(execution, ways, seen)
    gpu = execution.model_copy(update={"device": "cuda"})
    on_gpu = units if execution.device != "cpu" else count(gpu, ways, seen)[0]
    table = plan_table(units, anatomy, None if found is None else partial(found.seconds, anatomy))
    return _Work(anatomy, units, on_gpu, table, ways, seen, found, process, compared)


def _rows(study: _Study, work: _Work) -> Iterator[Row]:
    config, execution, series = study.config, study.config.execution, study.config.series
    dtype, anatomy = config.effective_ask().dtype, work.anatomy
    n = len(study.left)
    said = f"{work.ways.engine} engine{', checked' if work.found else ', if its check agrees'}"
    yield from needs.asking(work.table)
    yield from needs.reading(work.table, said, work.seen.basis)
    yield from needs.arithmetic(work.table)
    store = series.store()
    sizes = {s.ckpt_id: _download(store, s) for s, _ in study.left if not s.local}
    stored = _stored(study.local, sizes) or needs.FORMATS[dtype] * anatomy.parameters
    vectors = _vectors(work.compared, execution)
    weigh = partial(needs.memory, anatomy, dtype=dtype, stored=stored, batches=n, vectors=vectors)
    need = weigh(work.units, device=execution.device, process=work.process)
    yield from needs.memory_rows(need, execution)
    unit = unit_bytes(study.run) or needs.estimated_unit(work.table)
    yield from needs.disk_rows(
        sizes, execution, series.keep, series.disk_budget_gb, unit, study.asked
    )
    if work.compared is not None:
        yield from needs.similarity_rows(work.table, *work.compared, execution)
    gpu = weigh(work.on_gpu, device="cuda", process=0)
    yield from needs.device_rows(anatomy, work.on_gpu, dtype, gpu)
    if work.found is not None:
        yield from needs.measured_rows(work.table, work.found, execution, n)


def _measure(study: _Study, anatomy: Anatomy, folder: Path, sheets: list[Sheet]) -> Measured:
    dtype, execution = study.config.effective_ask().dtype, study.config.execution
    if study.local is None:
        lm = skeleton(folder, dtype=dtype, device=execution.device)
        return measure(lm, anatomy, sheets, execution, trained=False)
    lm = load_model(study.local, dtype=dtype, device=execution.device)
    loading = partial(swap_weights, lm, study.local)
    return measure(lm, anatomy, sheets, execution, trained=True, loading=loading)


def _vectors(compared: tuple[Sentences, Layers] | None, execution: ExecutionConfig) -> int:
    """Bytes of the vectors that are compared together."""
    if compared is None:
        return 0
    sentences, layers = compared
    blocks = sentences.blocks(layers, execution)
    return max(4 * sentences.vectors * sum(layers.widths[k] for k in block) for block in blocks)


def _download(store: Store, source: Source) -> int | None:
    """Bytes of a checkpoint on the hub; None if the hub does not say."""
    with suppress(UnreachableError):
        return store.size(source)
    return None


def _stored(local: Path | None, sizes: dict[str, int | None]) -> int | None:
    """Bytes of a checkpoint's weights as they are stored; None if unknown."""
    if local is not None:
        return sum(path.stat().st_size for path in weight_files(local))
    return max((size for size in sizes.values() if size is not None), default=None)


def _memory_now() -> int:
    """Memory of this process, in bytes."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:  # not Linux
        return _TYPICAL
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
