"""What every part of a patch report needs to know: tables, axis, names, headline."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from polylore.report.axes import LogAxis
from polylore.report.languages import ALL
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import quantity
from polylore.tables.course import course

SETTINGS = {
    "src_unpatched": "source prompt, unpatched",
    "tgt_unpatched": "target prompt, unpatched",
    "seen": "mean over other languages",
    "tgt": "same language pair",
    "en_en": "English",
    "self": "target language",
    "samek": "mean over fewer languages",
    "samek1": "one other language pair",
    "norm_matched": "mean, members' norm",
    "random_concept": "another concept",
    "shuffled_mean": "mean over different concepts",
    "grand_mean": "mean over all concepts",
    "gauss": "noise",
    "identity": "the prompt's own word",
    "shots_shuffled": "after unrelated words",
    "full_replace": "the whole prompt's states",
    "full_replace_unpatched": "that prompt, unpatched",
}
"""Settings in plain words; those named after families keep their names."""

METRICS = {
    "p_full": "probability of the whole word",
    "p_first": "probability of the first token",
    "exact_match": "right answers",
}
SUMMARIES = {
    "best_crossfit": "best onset, cross-fitted",
    "mean_first_half": "mean over the first half of the blocks",
    "best_insample": "best onset, picked on the same items (optimistic)",
}
ONE_RUN = "One training run: no between-run variance."
BAR = 0.01
"""Difference in probability below which nothing is claimed, as the floor margin of emergence."""


@dataclass(frozen=True)
class PatchContext:
    """The tables of one run, opened for reporting."""

    tables: Mapping[str, pl.DataFrame]
    """By name, such as patch_curves and checkpoints; absent or empty ones are left out."""
    seen: tuple[str, ...] = ()
    """Languages that the model is known to be trained on; empty if unknown."""
    preset: str = "default"

    def table(self, name: str) -> pl.DataFrame | None:
        """A table, None if it is absent or empty."""
        frame = self.tables.get(name)
        return frame if frame is not None and frame.height else None

    @property
    def metric(self) -> str:
        """Metric of the headline: that of the published presets, or that of whole words."""
        return "p_full" if self.preset == "default" else "p_first"

    @cached_property
    def checkpoints(self) -> pl.DataFrame:
        """ckpt_id, step, tokens, stage, label and x (place on the axis) of those with results."""
        curves, known = self.tables["patch_curves"], self.tables["checkpoints"]
        kept = course(known).filter(pl.col("ckpt_id").is_in(curves["ckpt_id"].unique().implode()))
        stages = known.select("ckpt_id", "stage")
        frame = kept.join(stages, on="ckpt_id", how="left", maintain_order="left")
        labels = [
            quantity(value) if value is not None else ckpt
            for ckpt, value in zip(frame["ckpt_id"], frame[self._column(frame)], strict=True)
        ]
        return frame.with_columns(label=pl.Series(labels, dtype=pl.String))

    @staticmethod
    def _column(frame: pl.DataFrame) -> str:
        return "step" if frame["tokens"].null_count() else "tokens"

    @property
    def axis_column(self) -> str:
        """`tokens`, or `step` where the tokens are not known."""
        return self._column(self.checkpoints)

    @property
    def axis_title(self) -> str:
        """Title of the training axis."""
        return "training tokens" if self.axis_column == "tokens" else "training steps"

    @cached_property
    def axis(self) -> LogAxis:
        """The log axis of training."""
        return LogAxis.over(self.checkpoints[self.axis_column].to_list())

    @property
    def final(self) -> str:
        """The last checkpoint with results."""
        return str(self.checkpoints["ckpt_id"][-1])

    @property
    def trajectory(self) -> bool:
        """Whether there is a course of training to draw."""
        return self.checkpoints.height > 1

    @cached_property
    def headline(self) -> tuple[str, str]:
        """(lang_a, lang_b) of the headline: all pairs together, or the only one."""
        pairs = self.tables["patch_curves"].select("lang_a", "lang_b").unique().sort("lang_a")
        rows = pairs.rows()
        return (ALL, ALL) if (ALL, ALL) in rows else rows[0]

    @cached_property
    def interventions(self) -> list[str]:
        """What was patched, the usual object patch first."""
        found = set(self.tables["patch_curves"]["intervention"]) - {"none"}
        return sorted(found, key=lambda i: (i != "object:onset", i))

    def here(self, frame: pl.DataFrame, *, subset: str = "full") -> pl.DataFrame:
        """Rows of the headline: its languages and metric, all items, the usual patch."""
        a, b = self.headline
        keep = (pl.col("lang_a") == a) & (pl.col("lang_b") == b) & (pl.col("subset") == subset)
        if "metric" in frame.columns:
            keep &= pl.col("metric") == self.metric
        if "cell" in frame.columns:
            keep &= pl.col("cell") == "src_b"
        return frame.filter(keep & pl.col("intervention").is_in(["none", *self.interventions[:1]]))

    def at_end(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the last checkpoint."""
        return frame.filter(pl.col("ckpt_id") == self.final)

    def placed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows in the course of training, with `x` and the checkpoint's label."""
        order = self.checkpoints.select("ckpt_id", "label").with_row_index("_place")
        return (
            frame.join(order, on="ckpt_id", how="inner", maintain_order="left")
            .with_columns(x=self.axis.place(self.axis_column))
            .sort("_place", maintain_order=True)
            .drop("_place")
        )

    @property
    def final_words(self) -> str:
        """The last checkpoint as a reader would name it."""
        row = self.checkpoints.row(-1, named=True)
        tokens = f" ({quantity(row['tokens'])} tokens)" if row["tokens"] is not None else ""
        return f"{row['ckpt_id']}{tokens}"

    def conditions(self, n: pl.Series) -> str:
        """The conditions that every caption names."""
        low, high = n.min(), n.max()
        many = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        return (
            f"Preset {self.preset}; {METRICS[self.metric]} for the source concept in the language "
            f"asked for; languages: {pair_name(*self.headline)}; n = {many} items."
        )


def pair_name(a: str, b: str) -> str:
    """A language pair in words."""
    if a == ALL:
        return "all pairs" if b == ALL else f"all into {language_name(b)}"
    return f"{language_name(a)} → {language_name(b)}"


def setting_name(setting: str) -> str:
    """A setting in plain words."""
    return SETTINGS.get(setting, setting)


def contrast_name(contrast: str) -> str:
    """A contrast in plain words."""
    first, _, second = contrast.partition("-")
    return f"{setting_name(first)} − {setting_name(second)}"


def with_words(frame: pl.DataFrame, column: str, target: str) -> pl.DataFrame:
    """Add settings or contrasts in plain words."""
    speak = contrast_name if column == "contrast" else setting_name
    words = {value: speak(value) for value in frame[column].unique()}
    return frame.with_columns(
        pl.col(column).replace_strict(words, return_dtype=pl.String).alias(target)
    )


def with_pairs(frame: pl.DataFrame) -> pl.DataFrame:
    """Add language pairs in words as `languages`."""
    names = [pair_name(a, b) for a, b in frame.select("lang_a", "lang_b").iter_rows()]
    return frame.with_columns(languages=pl.Series(names, dtype=pl.String))
