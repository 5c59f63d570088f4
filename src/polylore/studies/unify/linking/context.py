"""What every part of a link report needs: the table, the headline place, names."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from polylore.report.languages import ALL
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import quantity
from polylore.tables.course import course

POSITIONS = {"subject_last": "last token of the subject", "prompt_end": "end of the question"}
CONTROLS = {
    "none": "score",
    "shuffled_pairs": "shuffled pairs",
    "fresh_init": "fresh initialisation",
    "permuted_accuracy": "exchanged outcomes",
}
ONE_MODEL = "One model is a case, not a finding."


@dataclass(frozen=True)
class LinkContext:
    """The table LINK of one run, opened for reporting."""

    table: pl.DataFrame
    checkpoints: pl.DataFrame
    about: Mapping[str, Any]
    """The part `analysis` of the manifest."""
    states: Mapping[str, Any]
    """Settings of the states, `variant` and `bos` included."""
    failed: Mapping[str, str]
    """Checkpoints that could not be read, and why."""

    @cached_property
    def main(self) -> pl.DataFrame:
        """Rows of facts that are not the same tokens in both languages, if there are any."""
        found = self.table.filter(stratum="main")
        return found if found.height else self.table

    @cached_property
    def course(self) -> pl.DataFrame:
        """ckpt_id and label of the checkpoints that were read, in order."""
        read = self.table["ckpt_id"].unique()
        kept = course(self.checkpoints).filter(pl.col("ckpt_id").is_in(read.implode()))
        column = "step" if kept["tokens"].null_count() else "tokens"
        labels = [
            ckpt if value is None else quantity(value)
            for ckpt, value in kept.select("ckpt_id", column).iter_rows()
        ]
        return kept.with_columns(label=pl.Series(labels, dtype=pl.String))

    @property
    def axis_title(self) -> str:
        """What the labels of checkpoints say."""
        kept = self.course
        if kept["step"].null_count() and kept["tokens"].null_count():
            return "checkpoint"
        return "training steps" if kept["tokens"].null_count() else "training tokens"

    @property
    def final(self) -> str:
        """The last checkpoint."""
        return str(self.course["ckpt_id"][-1])

    @cached_property
    def place(self) -> tuple[int, str, bool]:
        """Layer and position of the headline, and whether half of the facts chose them.

        Where no half could choose: the last state of the question's end, as in the synthetic study.
        """
        chosen = self.main.filter(pl.col("selected_on") == "other_half", pl.col("score") == "s_i")
        if chosen.height:
            return int(chosen["layer"][0]), str(chosen["position"][0]), True
        positions = self.main["position"].unique().to_list()
        position = "prompt_end" if "prompt_end" in positions else str(positions[0])
        return int(self.main["layer"].max()), position, False  # type: ignore[arg-type]

    @property
    def place_words(self) -> str:
        """The headline place in words."""
        layer, position, chosen = self.place
        how = "chosen on the other half of the facts" if chosen else "not chosen by any data"
        return f"hidden state {layer}, {POSITIONS[position]} ({how})"

    def items(self, *, selected_on: str = "none") -> pl.DataFrame:
        """Item rows of the plain score: every place, or those of one half of the facts."""
        return self.main.filter(level="item", score="s_i", selected_on=selected_on)

    def reported(self) -> pl.DataFrame:
        """Rows of the half that did not choose, at the last checkpoint, with `direction`."""
        return with_directions(self.items(selected_on="other_half").filter(ckpt_id=self.final))

    def labelled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows in the course of training, with the checkpoint's label."""
        order = self.course.select("ckpt_id", "label").with_row_index("_place")
        return frame.join(order, on="ckpt_id", maintain_order="left").sort(
            "_place", maintain_order=True
        )


def direction(a: str, b: str) -> str:
    """A direction in words: known in a, asked in b."""
    return "All directions" if a == ALL else f"{language_name(a)} → {language_name(b)}"


def with_directions(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `direction` in words."""
    names = [direction(a, b) for a, b in frame.select("lang_a", "lang_b").iter_rows()]
    return frame.with_columns(direction=pl.Series(names, dtype=pl.String))
