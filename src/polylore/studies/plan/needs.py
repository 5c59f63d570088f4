"""What a study needs in all: the rows of table PLAN_TOTALS."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from polylore.models.cost import Anatomy, Pass, working_bytes
from polylore.models.devices import BANDWIDTH_SHARE, DEVICES, UTILISATION, device_seconds
from polylore.models.forward import CHUNK, CHUNK_ELSEWHERE
from polylore.models.hidden import Layers
from polylore.studies.plan.measure import Measured
from polylore.studies.plan.rows import Row, row
from polylore.studies.plan.work import Unit
from polylore.studies.trace.config import ExecutionConfig
from polylore.studies.trace.similarity import Sentences

_UNIT, _ANSWER, _CANDIDATE, _COSINES = 8_000, 25, 16, 14
"""Bytes of a unit in Parquet, of each of its answers, of each of its scores, and of the numbers of
a fact at one layer and position."""
HOLES = 0.25
"""Share of the working memory on CPUs that is lost to freed blocks which fit nothing; seen here."""
KEPT = 2**26
"""Bytes that the C library keeps when they are freed: twice its largest block that it does not map
(mallopt(3), M_TRIM_THRESHOLD)."""
FORMATS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""


def _sum(table: pl.DataFrame, column: str) -> float:
    return float(table[column].sum())


def asking(table: pl.DataFrame) -> Iterator[Row]:
    """Prompts and candidates."""
    sums = {name: table.filter(work=name) for name in ("candidates", "content_free", "generate")}
    ranked, free, answers = (sums[name] for name in sums)
    yield row("asking", "prompts with candidates", _sum(ranked, "prompts"), "prompts")
    yield row("asking", "candidates scored", _sum(ranked, "candidates"), "candidates")
    yield row(
        "asking",
        "candidates scored without a subject",
        _sum(free, "candidates"),
        "candidates",
        "for prior-corrected ranks",
    )
    yield row("asking", "prompts answered freely", _sum(answers, "prompts"), "prompts")


def reading(table: pl.DataFrame, engine: str, basis: str) -> Iterator[Row]:
    """Tokens.

    Args:
        table: table PLAN.
        engine: which scoring engine was planned with, in words.
        basis: where the expected lengths of answers come from.
    """
    scored = table.filter(pl.col("work").is_in(["candidates", "content_free"]))
    tokens, plain = _sum(scored, "tokens"), _sum(scored, "tokens_plain")
    less = f"; {plain / tokens:.1f} times as many if read one by one" if tokens else ""
    yield row("reading", "tokens to score candidates", tokens, "tokens", f"{engine}{less}")
    check = _sum(table.filter(work="check"), "tokens")
    yield row(
        "reading", "tokens to check the engine", check, "tokens", "once per process and language"
    )
    free = table.filter(work="generate")
    yield row("reading", "tokens for free answers", _sum(free, "tokens"), "tokens", basis)
    yield row(
        "reading",
        "tokens for free answers, at most",
        _sum(free, "tokens_most"),
        "tokens",
        "if no answer ends before its cap",
    )
    yield row("reading", "tokens generated", _sum(free, "new_tokens"), "tokens", basis)
    yield row("reading", "tokens generated, at most", _sum(free, "new_tokens_most"), "tokens")
    padding = _sum(table, "padding")
    yield row("reading", "padding", padding, "tokens", "computed beside the tokens read")


def similarity_rows(
    table: pl.DataFrame, sentences: Sentences, layers: Layers, execution: ExecutionConfig
) -> Iterator[Row]:
    """What similarity adds: tokens, and rows on the disk."""
    own = table.filter(work="similarity")
    times = len(sentences.blocks(layers, execution))
    remark = "bare questions, once" if times == 1 else f"bare questions, once for {times} blocks"
    yield row("reading", "tokens for similarity", _sum(own, "tokens"), "tokens", remark)
    compared = own.filter(pl.col("lang") != sentences.pivot)
    places = len(layers.widths) * len(sentences.measure.positions)
    size = _COSINES * places * _sum(compared, "prompts")
    yield row("disk", "similarity", size, "bytes", "scalars of each fact, layer and position")


def arithmetic(table: pl.DataFrame) -> Iterator[Row]:
    """Operations."""
    for name, works in (
        ("candidates", ["candidates", "content_free", "check"]),
        ("free answers", ["generate"]),
        ("similarity", ["similarity"]),
    ):
        if name == "similarity" and not table.filter(work=name).height:
            continue
        value = _sum(table.filter(pl.col("work").is_in(works)), "flops")
        yield row("arithmetic", name, value, "FLOPs", "matrix products, forward")
    yield row("arithmetic", "in all", _sum(table, "flops"), "FLOPs")
    yield row("arithmetic", "in all, at most", _sum(table, "flops_most"), "FLOPs")


@dataclass(frozen=True)
class Memory:
    """Peak memory of one process, in bytes."""

    process: int
    """Libraries, prompts and their tokens."""
    weights: int
    loading: int
    """Beside the weights, while those of the next checkpoint are read."""
    working: int
    """Beside the weights, in the largest pass."""

    @property
    def peak(self) -> int:
        """All that is there at once."""
        return self.process + self.weights + max(self.loading, self.working)


def memory(
    anatomy: Anatomy,
    units: Sequence[Unit],
    dtype: str,
    *,
    device: str,
    process: int,
    stored: int,
    batches: int,
    vectors: int = 0,
) -> Memory:
    """Peak memory of one process.

    Args:
        anatomy: the model.
        units: what is asked.
        dtype: number format it is asked in.
        device: where it is asked.
        process: what a process takes without a model.
        stored: bytes of the weights of one checkpoint as they are stored.
        batches: checkpoints that are asked.
        vectors: bytes of the vectors of similarity that are there together.
    """
    width = FORMATS[dtype]
    passes = {one for unit in units for work in unit.works for one in work.most}
    weights = width * anatomy.parameters
    # While a checkpoint is swapped in, all its tensors are held beside those of the model, and the
    # largest is looked through for numbers that are none.
    swap = width * anatomy.largest + (stored if batches > 1 else 0)
    chunk = CHUNK.get(device, CHUNK_ELSEWHERE)
    beside = {"hidden": vectors}
    working = max(
        (working_bytes(anatomy, one, width, chunk) + beside.get(one.kind, 0) for one in passes),
        default=0,
    )
    if device == "cpu":
        process += KEPT
        working = round((1 + HOLES) * working)
    return Memory(process, weights, swap, working)


def memory_rows(need: Memory, execution: ExecutionConfig) -> Iterator[Row]:
    """Memory in all."""
    yield row(
        "memory",
        "process",
        need.process,
        "bytes",
        "libraries, prompts and their tokens, as measured here; freed memory that is kept",
    )
    yield row("memory", "weights", need.weights, "bytes")
    yield row("memory", "loading", need.loading, "bytes", "beside the weights, while they change")
    yield row(
        "memory",
        "working",
        need.working,
        "bytes",
        "beside the weights: activations, logits, masks, keys and values of the largest pass",
    )
    where = "" if execution.device == "cpu" else "; weights and passes are on the device"
    yield row("memory", "peak of a process", need.peak, "bytes", f"about{where}")
    if execution.jobs > 1:
        yield row(
            "memory",
            "peak of all processes",
            need.peak * execution.jobs,
            "bytes",
            f"{execution.jobs} side by side",
        )


def device_rows(anatomy: Anatomy, units: Sequence[Unit], dtype: str, need: Memory) -> Iterator[Row]:
    """Hours on named accelerators."""
    passes: Counter[Pass] = Counter()
    for unit in units:
        for work in unit.works:
            passes.update(work.passes)
    on_device = need.weights + need.working  # the next weights wait in the host's memory
    for device in DEVICES:
        seconds = device_seconds(device, anatomy, passes, dtype)
        fits = "" if on_device <= device.memory else f"; {on_device / 1e9:.0f} GB do not fit on it"
        yield row("time", device.name, seconds / 3600, "GPU hours", f"assumed, {dtype}{fits}")


ASSUMPTION = (
    f"GPU hours assume {UTILISATION:.0%} of the published peak rate and {BANDWIDTH_SHARE:.0%} of "
    "the bandwidth, and count forward passes alone."
)


def measured_rows(
    table: pl.DataFrame, found: Measured, execution: ExecutionConfig, batches: int
) -> Iterator[Row]:
    """Seconds on this machine."""
    seconds = _sum(table, "seconds")
    yield row(
        "time",
        "this machine, forward passes",
        seconds,
        "s",
        f"from {found.passes} passes of {found.model}, {execution.threads} thread(s)",
    )
    if found.loading is not None:
        yield row("time", "this machine, loading", found.loading * batches, "s")
    jobs = min(execution.jobs, max(1, batches))
    if jobs > 1:
        whole = seconds + (found.loading or 0.0) * batches
        yield row(
            "time", "this machine, wall", whole / jobs, "s", f"{jobs} processes, if each is as fast"
        )


def estimated_unit(table: pl.DataFrame) -> float:
    """Bytes of the raw rows of a unit before any was written; a rule of thumb."""
    asked = table.filter(pl.col("work") != "similarity")
    units = max(1, asked.select("ckpt_id", "lang").n_unique())
    rows = asked.filter(pl.col("work") != "content_free")
    each = _CANDIDATE * _sum(rows, "candidates") + _ANSWER * _sum(rows, "prompts")
    return _UNIT + each / units


def disk_rows(
    sizes: Mapping[str, int | None],
    execution: ExecutionConfig,
    keep: bool,
    budget_gb: float | None,
    unit_bytes: float,
    units: int,
) -> Iterator[Row]:
    """Downloads and room on the disk.

    Args:
        sizes: bytes of each checkpoint that is to be fetched; None if unknown.
        execution: how many are in use at once.
        keep: whether they stay.
        budget_gb: gigabytes they may take.
        unit_bytes: size of the raw rows of a unit.
        units: how many are still to be written.
    """
    known = sorted((size for size in sizes.values() if size is not None), reverse=True)
    unknown = len(sizes) - len(known)
    total = None if unknown else sum(known)
    yield row("disk", "downloads", total, "bytes", f"{len(sizes)} checkpoints")
    if sizes:
        # Each process uses one and fetches the next meanwhile.
        most = sum(known) if keep else sum(known[: 2 * execution.jobs])
        least = sum(known) if keep else known[0] if known else 0
        remark = f"without a budget; series.disk_budget_gb may be as low as {least / 1e9:.3g}"
        yield row("disk", "checkpoints at once", None if unknown else most, "bytes", remark)
        if budget_gb is not None:
            short = least > budget_gb * 1e9
            yield row(
                "disk",
                "checkpoints at once, with the budget",
                None if unknown else min(most, budget_gb * 1e9),
                "bytes",
                "too small: the run will be refused" if short else "",
            )
    size = unit_bytes * units
    yield row("disk", "run folder", size, "bytes", "raw rows, about; derived tables come on top")
