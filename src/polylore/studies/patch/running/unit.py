"""One unit of work: everything of one checkpoint and language pair."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch

from polylore.errors import SelfCheckError
from polylore.metrics.patching import first_half
from polylore.models import EngineReport, LanguageModel
from polylore.models.patching import (
    Blocks,
    Check,
    choose,
    patched_answers,
    require,
    self_check,
    sweep,
)
from polylore.studies.patch.running.config import PatchAskConfig
from polylore.studies.patch.running.questions import Asked, Marks, Sheet
from polylore.studies.patch.running.rows import (
    Array,
    Decoder,
    Stamp,
    answer_rows,
    probabilities,
    score_rows,
)
from polylore.studies.patch.running.vectors import States, Vectors
from polylore.tables.patch import ANSWERS, SCORES, SELFCHECK

UNFIT = ("identity", "full_replace")
"""Settings whose vectors may rightly change nothing, or only the first onset."""
QUIET = ("samek",)
"""Settings without answers: many draws, of which only the probability is looked at."""
Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Group:
    """Items that go through the model together."""

    intervention: str
    onsets: tuple[int, ...]
    setting: str
    items: pl.DataFrame
    rows: list[dict[str, Any]]
    asked: list[Asked]
    vectors: list[torch.Tensor]

    @property
    def patched(self) -> bool:
        """Whether anything is overwritten."""
        return self.intervention != "none"

    @property
    def depth(self) -> int | None:
        """Layers overwritten from the onset on; all if None."""
        reach = self.intervention.partition(":")[2]
        if reach == "single":
            return 1
        return int(reach.removeprefix("window")) if reach.startswith("window") else None


class Unit:
    """A language pair before one checkpoint."""

    def __init__(
        self,
        lm: LanguageModel,
        blocks: Blocks,
        sheet: Sheet,
        marks: Marks,
        ask: PatchAskConfig,
        stamp: Stamp,
        *,
        token_budget: int,
        seed: int,
    ) -> None:
        self.lm, self.blocks, self.sheet, self.marks, self.ask = lm, blocks, sheet, marks, ask
        self.stamp, self.budget, self.seed = stamp, token_budget, seed
        self._sweep = partial(sweep, lm, blocks, token_budget=token_budget)

    def tables(self, states: States) -> Tables:
        """Scores, answers and self-check; after a failed self-check that alone."""
        groups = self._groups(states)
        checks: list[pl.DataFrame] = []
        engines: dict[str, tuple[str, str]] = {}
        by_way: dict[str, list[Group]] = defaultdict(list)
        for group in groups:
            by_way[group.intervention].append(group)
        try:
            for way in by_way:
                if way != "none":
                    engines[way] = self._check(way, by_way[way], checks)
        except SelfCheckError:
            return _failed(checks)
        engines.setdefault("none", next(iter(engines.values()), ("hooks", "hooks")))
        frames: list[pl.DataFrame] = []
        best: dict[str, list[int]] = {}
        for way, members in by_way.items():
            found = [self._score(group, engines[way][0], frames) for group in members]
            best[way] = self._best(members, found)
        answers = [
            self._answer(group, engines[way][1], best[way])
            for way, members in by_way.items()
            for group in members
            if self.ask.generate and group.setting not in QUIET
        ]
        return {
            "patch_scores": pl.concat(frames) if frames else SCORES.empty(),
            "patch_answers": pl.concat(answers) if answers else ANSWERS.empty(),
            "patch_selfcheck": pl.concat(checks) if checks else SELFCHECK.empty(),
        }

    def _groups(self, states: States) -> list[Group]:
        """Settings of the sheet in its order, with their vectors."""
        rows = list(self.sheet.items.iter_rows(named=True))
        places = {id(row): self.sheet.place(row) for row in rows}
        many = {key: last - first + 1 for key, (first, last) in places.items()}
        patched = [row for row in rows if row["intervention"] != "none"]
        vectors = Vectors(patched, [many[id(row)] for row in patched], states, self.seed)
        groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for n, row in enumerate(rows):
            groups[row["setting"], row["intervention"], row["onsets"]].append(n)
        layers, width = len(self.blocks), self.blocks.width
        swept = tuple(self.ask.swept(layers))
        found = []
        for (setting, way, onsets), places_ in groups.items():
            own = [rows[n] for n in places_]
            written = [
                torch.zeros(layers + 1, 1, width)
                if way == "none"
                else vectors.of(row, many[id(row)])
                for row in own
            ]
            which = {"none": (), "first": (-1,), "all": swept}[onsets]
            asked = [self.sheet.asked(row) for row in own]
            items = self.sheet.items[places_]
            found.append(Group(way, which, setting, items, own, asked, written))
        return found

    def _check(
        self, way: str, groups: Sequence[Group], checks: list[pl.DataFrame]
    ) -> tuple[str, str]:
        """The engines for scores and for answers, once they are found to be right."""
        fit = [group for group in groups if group.setting not in UNFIT] or list(groups)
        group = next((one for one in fit if one.setting in ("seen", "tgt")), fit[0])
        prompts = [one.prompt for one in group.asked]
        chosen = partial(choose, self.lm, self.blocks, prompts, group.vectors, depth=group.depth)
        report = chosen(engine=self.ask.engine)
        found = self_check(
            self.lm, self.blocks, prompts, group.vectors, depth=group.depth, report=report
        )
        usual = way == "object:onset"
        checks.append(self._check_rows(found, "" if usual else f" ({way})"))
        require(found, self.lm.name)
        if report.engine != "packed":
            return report.engine, report.engine
        writer: EngineReport = chosen(engine="auto", among=("suffix",))
        return report.engine, writer.engine

    def _check_rows(self, found: Sequence[Check], remark: str) -> pl.DataFrame:
        return check_rows(
            self.stamp.ckpt_id, self.sheet.lang_a, self.sheet.lang_b, found, remark=remark
        )

    def _score(self, group: Group, engine: str, frames: list[pl.DataFrame]) -> Array:
        """Sweep a group and write its rows; returns `logp_full` at the onsets."""
        prompts = [one.prompt for one in group.asked]
        readings = self._sweep(
            prompts, group.vectors, group.onsets, depth=group.depth, engine=engine
        )
        first, full = probabilities(readings, group.asked)
        clean = slice(1, None) if group.patched else slice(0, 1)
        onsets: list[int | None] = [*group.onsets] if group.patched else [None]
        first, full = first[:, clean], full[:, clean]
        stamp = self.stamp.plain(engine)
        frames.append(score_rows(group.items, group.asked, onsets, first, full, stamp))
        return full

    def _best(self, groups: Sequence[Group], found: Sequence[Array]) -> list[int]:
        """The onsets that are best on each half of the concepts, in the headline setting."""
        known = {group.setting: (group, full) for group, full in zip(groups, found, strict=True)}
        setting = next((name for name in ("seen", "tgt") if name in known), None)
        if setting is None:
            return []
        group, full = known[setting]
        cell = group.asked[0].cells.index(("src", self.sheet.lang_b))
        half = first_half([row["fact_id"] for row in group.rows], self.ask.seed)
        p = np.exp(full[:, :, cell])
        return [
            group.onsets[int(np.nanmean(p[some], axis=0).argmax())]
            for some in (half, ~half)
            if some.any() and not np.isnan(p[some]).all()
        ]

    def _answer(self, group: Group, engine: str, best: list[int]) -> pl.DataFrame:
        listed = self.ask.answered(len(self.blocks), best)
        onsets = [onset for onset in group.onsets if onset in listed]
        prompts = [one.prompt for one in group.asked]
        written = patched_answers(
            self.lm,
            self.blocks,
            prompts,
            group.vectors,
            onsets,
            depth=group.depth,
            engine=engine,
            max_new_tokens=self.ask.max_new_tokens,
            stops=self.marks.stops,
            token_budget=self.budget,
        )
        if group.patched:
            written = [answers[1:] for answers in written]
        shown: list[int | None] = [*onsets] if group.patched else [None]
        return answer_rows(
            group.rows,
            [prompt.ids for prompt in prompts],
            shown,
            written,
            Decoder(self.lm.tokenizer),
            self.lm.tokenizer.eos_token_id,
            self.stamp.plain(engine),
        )


def check_rows(
    ckpt_id: str, a: str, b: str, found: Sequence[Check], remark: str = ""
) -> pl.DataFrame:
    """Rows of SELFCHECK."""
    rows: list[Mapping[str, Any]] = [
        {
            "ckpt_id": ckpt_id,
            "lang_a": a,
            "lang_b": b,
            "check": f"{one.check}{remark}",
            "value": one.value if np.isfinite(one.value) else None,
            "tolerance": one.tolerance if np.isfinite(one.tolerance) else None,
            "passed": one.passed,
            "note": one.note or None,
        }
        for one in found
    ]
    return SELFCHECK.build(rows)


def failed_unit(ckpt_id: str, a: str, b: str, check: str, note: str) -> Tables:
    """The tables of a unit that could not be asked, and why."""
    return _failed([check_rows(ckpt_id, a, b, [Check(check, np.nan, np.nan, False, note)])])


def _failed(checks: Sequence[pl.DataFrame]) -> Tables:
    return {
        "patch_scores": SCORES.empty(),
        "patch_answers": ANSWERS.empty(),
        "patch_selfcheck": pl.concat(checks),
    }
