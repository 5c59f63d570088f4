"""Reads probes and held-out text at the states that are due, and writes each reading at once."""

import time
from pathlib import Path
from typing import Any

import polars as pl

from polylore.files import clear_temporary, read_json, read_parquet, write_json, write_parquet
from polylore.models import LanguageModel, wrap
from polylore.models.probing import ProbeText, Sheet, make_sheet, read
from polylore.studies.inject.schedule import Readings
from polylore.tables.inject import CEILING, LOG
from polylore.training.continued.held_out import HeldOut
from polylore.training.continued.readers import Moment

CEILING_FILE = "ceiling.parquet"
About = pl.DataFrame
"""probe_id, item_id, fact_id, arm, inject_lang, probe_lang and depth of every probe, in order."""


class ProbeReader:
    """A reader for `continue_training`.

    Args:
        folder: receives `t-<state>.parquet` (contract `tables.inject.LOG`) and `t-<state>.json`
            (how long it took) for every reading.
        run_id: name of the run.
        seed: its seed.
        about: what is noted beside every score.
        texts: the probes, in the order of `about`.
        readings: when they are read.
        begin: token in front of them, if rows of training begin with one.
        stories: tokens of the passage before each probe, for the in-context ceiling; empty without.
        token_budget: tokens of one forward pass.
        heldout: reads the loss of held-out text at the same states, so that what a reading costs
            is told as a whole.
    """

    def __init__(
        self,
        folder: Path,
        run_id: str,
        seed: int,
        about: About,
        texts: tuple[ProbeText, ...],
        readings: Readings,
        *,
        begin: int | None,
        stories: dict[str, list[int]],
        token_budget: int,
        heldout: HeldOut | None = None,
    ) -> None:
        self.folder, self.run_id, self.seed = folder, run_id, seed
        self.about, self.texts, self.readings = about, texts, readings
        self.begin, self.stories, self.token_budget = begin, stories, token_budget
        self.heldout = heldout
        self._due = frozenset(readings.states)
        self._lm: LanguageModel | None = None
        self._sheet: Sheet | None = None

    def due(self, t: int) -> bool:
        """Whether probes are read at state t."""
        return t in self._due

    def read(self, moment: Moment) -> None:
        """Read probes and held-out text; the first process writes what they say."""
        wait(moment.device)
        begin = time.perf_counter()
        lm = self._wrapped(moment)
        if self._sheet is None:
            self._sheet = make_sheet(lm, self.texts, begin=self.begin)
        extras = moment.t in self.readings.extras
        found = read(lm, self._sheet, token_budget=self.token_budget, extras=extras)
        if moment.t == self.readings.states[0] and self.stories:
            self._read_ceiling(lm, self._sheet, moment.main)
        if self.heldout is not None:
            self.heldout.read(moment)
        wait(moment.device)
        seconds = time.perf_counter() - begin
        if moment.main:
            log = LOG.validate(self._labelled(found, moment.t))
            write_parquet(log, self._path(moment.t))
            about = {"t": moment.t, "extras": extras, "seconds": seconds}
            write_json(about, self._path(moment.t).with_suffix(".json"))

    def resume(self, t: int) -> None:
        """Cut what was read after state t."""
        if self.heldout is not None:
            self.heldout.resume(t)
        if not self.folder.is_dir():
            return
        clear_temporary(self.folder)
        for path in self.folder.glob("t-*.*"):
            if int(path.stem.removeprefix("t-")) > t:
                path.unlink()
        if t < self.readings.states[0]:
            (self.folder / CEILING_FILE).unlink(missing_ok=True)

    def log(self) -> pl.DataFrame:
        """All readings; contract `tables.inject.LOG`."""
        return pl.concat([LOG.empty(), *map(read_parquet, sorted(self.folder.glob("t-*.parquet")))])

    def ceiling(self) -> pl.DataFrame:
        """What the probes score with the passage before them; contract `tables.inject.CEILING`."""
        path = self.folder / CEILING_FILE
        return read_parquet(path) if path.is_file() else CEILING.empty()

    def seconds(self) -> list[dict[str, Any]]:
        """How long every reading took: t, extras, seconds."""
        return [read_json(path) for path in sorted(self.folder.glob("t-*.json"))]

    def _path(self, t: int) -> Path:
        return self.folder / f"t-{t:07d}.parquet"

    def _wrapped(self, moment: Moment) -> LanguageModel:
        if self._lm is None or self._lm.model is not moment.model:
            name = type(moment.model).__name__
            self._lm = wrap(moment.model, moment.tokenizer, name)
        return self._lm

    def _labelled(self, found: pl.DataFrame, t: int) -> pl.DataFrame:
        whole = self.about.join(found, on="probe_id", how="left", maintain_order="left")
        return whole.select(
            pl.lit(self.run_id).alias("run_id"),
            pl.lit(self.seed, dtype=pl.Int64).alias("seed"),
            pl.lit(t, dtype=pl.Int64).alias("t"),
            *[name for name in LOG.schema if name not in ("run_id", "seed", "t")],
        )

    def _read_ceiling(self, lm: LanguageModel, plain: Sheet, main: bool) -> None:
        """The probes with their passage before them; those that are too long then are left out."""
        fitting = [
            text
            for text, span in zip(self.texts, plain.spans, strict=True)
            if text.probe_id in self.stories
            and len(span.string.ids) + len(self.stories[text.probe_id]) <= lm.context
        ]
        if not fitting:
            return
        before = {text.probe_id: self.stories[text.probe_id] for text in fitting}
        sheet = make_sheet(lm, fitting, begin=self.begin, before=before)
        found = read(lm, sheet, token_budget=self.token_budget, extras=False)
        if main:
            whole = self.about.join(found, on="probe_id", how="inner", maintain_order="left")
            rows = whole.select(
                pl.lit(self.run_id).alias("run_id"),
                pl.lit(self.seed, dtype=pl.Int64).alias("seed"),
                *[name for name in CEILING.schema if name not in ("run_id", "seed")],
            )
            write_parquet(CEILING.validate(rows), self.folder / CEILING_FILE)


def wait(device: Any) -> None:
    """Let an accelerator finish its queue, so that its work is booked where it belongs."""
    if device.type != "cpu":
        import torch

        torch.accelerator.synchronize(device)
