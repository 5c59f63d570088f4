"""Everything that is left of a trace, unit by unit, in the tokens of its model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from polylore.models import LanguageModel, Layers
from polylore.models.store import Source
from polylore.runs import RunFolder
from polylore.studies.plan.work import Lengths, Unit, Ways, Work, plan_sheet, plan_similarity
from polylore.studies.trace.ask import parts_of, pending_parts
from polylore.studies.trace.config import ExecutionConfig
from polylore.studies.trace.sheet import Sheet, Sheets
from polylore.studies.trace.similarity import PART, Measure, Sentences

Progress = Callable[[int, int, str], None]
Pending = list[tuple[Source, tuple[str, ...]]]
"""Checkpoints, and the units of each that are still to be made."""

_LOOKED_AT = 32
"""Finished units whose answers are looked at."""


def pending(
    run: RunFolder | None,
    checkpoints: pl.DataFrame,
    langs: Sequence[str],
    measure: Measure | None,
) -> Pending:
    """What is left of a run; everything if it has not begun."""
    found = []
    for row in checkpoints.iter_rows(named=True):
        parts = parts_of(row, langs, measure)
        left = parts if run is None else pending_parts(run, row["ckpt_id"], parts)
        if left:
            found.append((Source.of(row), left))
    return found


@dataclass
class Seen:
    """How long answers were, as far as anybody has seen."""

    basis: str
    """Where this is known from, in words."""
    by_lang: Mapping[str, Lengths] = field(default_factory=dict)
    elsewhere: Lengths | None = None
    """For languages that nothing is known of."""

    @classmethod
    def nothing(cls, stop_at_newline: bool) -> "Seen":
        """No answer was seen yet."""
        if stop_at_newline:
            return cls("expected: as many as the gold has, and a newline")
        return cls("expected: up to the cap")

    @classmethod
    def in_run(cls, run: RunFolder) -> "Seen | None":
        """The answers that a run has so far; None if it has none."""
        units = _asked(run)
        step = max(1, len(units) // _LOOKED_AT)
        answers = run.read("answers", units[::step]).filter(mode="generate")
        if not answers.height:
            return None
        chosen = answers.select(
            "lang", n=pl.col("n_new_tokens") + (pl.col("stop_reason") == "eos").cast(pl.Int32)
        )
        by_lang = {
            str(lang): part["n"].to_list()
            for (lang,), part in chosen.group_by("lang", maintain_order=True)
        }
        basis = f"expected: as in {len(units[::step])} finished units"
        return cls(basis, by_lang, chosen["n"].to_list())

    def lengths(self, lang: str) -> Lengths | None:
        """Lengths of answers in a language; None if nothing is known."""
        return self.by_lang.get(lang, self.elsewhere)


def gather(
    lm: LanguageModel,
    sheets: Sheets,
    compared: tuple[Sentences, Layers] | None,
    left: Pending,
    execution: ExecutionConfig,
    ways: Ways,
    seen: Seen,
    progress: Progress,
) -> tuple[list[Unit], list[Sheet]]:
    """Every unit that is left, and the sheets they are asked.

    `compared` is what similarity reads, if it is measured.

    Each process compares the engines on each sheet that it meets for the first time; that work
    belongs to the first checkpoints, one for each process.
    """
    planned: dict[int, tuple[tuple[Work, ...], Work]] = {}
    kept: list[Sheet] = []
    units = []
    alike = {} if compared is None else plan_similarity(lm, *compared, execution)
    for number, (source, parts) in enumerate(left):
        for lang in parts:
            if lang == PART:
                units += [Unit(source.ckpt_id, own, (work,)) for own, work in alike.items()]
                continue
            sheet = sheets.sheet(lang, source.ckpt_id)
            new = id(sheet) not in planned
            if new:
                kept.append(sheet)
                planned[id(sheet)] = plan_sheet(lm, sheet, execution, ways, seen.lengths(lang))
            works, check = planned[id(sheet)]
            if check.passes and (new or number < execution.jobs):
                works = (*works, check)
            units.append(Unit(source.ckpt_id, lang, works))
        progress(number + 1, len(left), "planning")
    return units, kept


def unit_bytes(run: RunFolder | None) -> float | None:
    """Mean size of a finished unit of answers on the disk; None if there is none."""
    if run is None:
        return None
    folders = [run.unit_path(unit) for unit in _asked(run)[:_LOOKED_AT]]
    sizes = [sum(_size(path) for path in folder.iterdir()) for folder in folders]
    return sum(sizes) / len(sizes) if sizes else None


def _asked(run: RunFolder) -> list[str]:
    """Finished units that hold answers."""
    return [unit for unit in run.units() if not unit.endswith(f"/{PART}")]


def _size(path: Path) -> int:
    return path.stat().st_size
