"""What every part of a sweep's report needs to know: runs, conditions, headline, words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from polylore.metrics.unification import mean_over_seeds
from polylore.studies.unify.knobs import KNOBS, varied
from polylore.studies.unify.summary import PLAIN

SHOWN = 24
"""Conditions that fit a dot plot; of more, those are shown that span the outcome."""
PANELS = 8
"""Conditions that get a panel of their own."""
LABELS = {"unified": "●", "partial": "◐", "separated": "○"}
"""Run labels as glyphs."""
MISSING: dict[str, type[pl.DataType]] = {"condition": pl.String, "seed": pl.Int64, "why": pl.String}
"""Columns of the runs that are not there."""
_CUE_LENGTH = pl.col("cue_kind").replace_strict(
    {"none": 0, "xor": 2}, default=1, return_dtype=pl.Int32
)
_NUMBERS = (
    "acc_x", "acc_train", "acc_never", "loss_x", "u_norm", "u_mid", "u_centred", "u_diff", "u_pair",
    "c", "ret1", "u_excess", "u_step0", "u_fresh", "u_null",
)  # fmt: skip


@dataclass(frozen=True)
class UnifyContext:
    """The tables of one sweep, opened for reporting."""

    tables: Mapping[str, pl.DataFrame]
    """By name, such as unify_runs and unify_course; absent or empty ones are left out."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Condition to preset of its size, in the order of the sweep."""
    missing: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MISSING))
    """Runs of the sweep that are not there."""

    def table(self, name: str) -> pl.DataFrame | None:
        """A table, None if it is absent or empty."""
        frame = self.tables.get(name)
        return frame if frame is not None and frame.height else None

    @cached_property
    def runs(self) -> pl.DataFrame:
        """Runs with `final` (their last evaluated step), `cue_length`, `answer` and `used`.

        A run is used if it ended well; where none of a condition did, all of it are, marked. Failed
        runs have no numbers and are among `missing`.
        """
        last = self.tables["unify_course"].group_by("run_hash").agg(final=pl.col("step").max())
        place = pl.col("condition").replace_strict(
            {name: k for k, name in enumerate(self.sizes)} or {"": 0},
            default=len(self.sizes), return_dtype=pl.Int32,
        )  # fmt: skip
        done = pl.col("status") == "done"
        return (
            self.tables["unify_runs"]
            .filter(pl.col("status") != "failed")
            .join(last, on="run_hash", maintain_order="left")
            .sort(place, maintain_order=True)
            .with_columns(
                cue_length=_CUE_LENGTH,
                answer=_CUE_LENGTH + pl.col("name_len").fill_null(1),
                used=done | ~done.any().over("condition"),
            )
        )

    @cached_property
    def course(self) -> pl.DataFrame:
        """Course of the runs used, with condition and seed."""
        who = self.runs.filter("used").select("run_hash", "condition", "seed", "final")
        return self.tables["unify_course"].join(who, on="run_hash", maintain_order="left")

    def headline(self, *, layer: str = "last", center: str = "none") -> pl.DataFrame:
        """Scores of the headline cell at every step: answer position, headline sample."""
        scores = self.tables["unify_unification"].filter(
            pl.col("item_kind") == "fact", pl.col("pair") == "all", ~pl.col("standardize"),
            pl.col("distractors") == "all", pl.col("center") == center,
        )  # fmt: skip
        middle = (pl.col("layers") + 1) // 2
        wanted = pl.col("layers") if layer == "last" else middle
        return self._of_runs(scores).filter(
            pl.col("layer") == wanted, pl.col("position") == pl.col("answer")
        )

    def answers(self) -> pl.DataFrame:
        """Plain scores at the answer position, all layers and steps."""
        scores = self.tables["unify_unification"].filter(
            PLAIN & (pl.col("item_kind") == "fact") & (pl.col("pair") == "all")
        )
        return self._of_runs(scores).filter(pl.col("position") == pl.col("answer"))

    def subject(self) -> pl.DataFrame:
        """Plain scores of names at their last token, last hidden state, all steps."""
        scores = self.tables["unify_unification"].filter(
            PLAIN & (pl.col("item_kind") == "entity") & (pl.col("pair") == "all")
        )
        return self._of_runs(scores).filter(
            pl.col("layer") == pl.col("layers"), pl.col("position") == pl.col("answer") - 1
        )

    def probes(self) -> pl.DataFrame:
        """The language probe at the answer position, last hidden state, all steps."""
        probe = self.tables["unify_probe"].filter(
            (pl.col("init") == 0) & (pl.col("item_kind") == "fact")
        )
        return self._of_runs(probe).filter(
            pl.col("layer") == pl.col("layers"), pl.col("position") == pl.col("answer")
        )

    def grid(self) -> pl.DataFrame:
        """Plain scores of facts in the whole layer x position grid at the end, with `place`."""
        scores = self.tables["unify_unification"].filter(
            PLAIN & (pl.col("item_kind") == "fact") & (pl.col("pair") == "all")
        )
        return self._of_runs(scores).filter(pl.col("step") == pl.col("final")).with_columns(
            place=_place(), u_norm=_unless_trivial("u_norm")
        )  # fmt: skip

    def _of_runs(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Rows of used runs and of each run's headline sample: held-out facts where it has any."""
        about = self.runs.filter("used").select(
            "run_hash", "condition", "family", "seed", "status", "leaky", "layers", "cue_length",
            "name_len", "answer", "final",
        )  # fmt: skip
        order = pl.col("items").replace_strict(
            {"mono": 0, "parallel": 1, "never_seen": 2}, default=3, return_dtype=pl.Int32
        )
        rows = scores.join(about, on="run_hash", maintain_order="left")
        return rows.filter(order == order.min().over("run_hash"))

    @cached_property
    def ends(self) -> pl.DataFrame:
        """One row per used run: outcomes and scores at its end, and the score's baselines."""
        last = self.course.filter(pl.col("step") == pl.col("final"))
        rows = self.runs.filter("used").join(
            last.select("run_hash", "acc_x", "acc_train", "acc_never", "loss_x", "chance",
                        "loss_uniform", "loss_language", "label"),
            on="run_hash", how="left", maintain_order="left",
        )  # fmt: skip
        return (
            rows.join(self._end_scores("last", "none"), on="run_hash", how="left")
            .join(
                self._end_scores("mid", "none").select("run_hash", u_mid="u_norm"),
                on="run_hash", how="left",
            )
            .join(
                self._end_scores("last", "lang").select("run_hash", u_centred="u_norm"),
                on="run_hash", how="left", maintain_order="left",
            )
        )  # fmt: skip

    def _end_scores(self, layer: str, center: str) -> pl.DataFrame:
        names = ("u_norm", "u_diff", "u_pair", "c", "ret1", "u_excess", "u_step0", "u_fresh",
                 "u_null")  # fmt: skip
        rows = self.headline(layer=layer, center=center).filter(pl.col("step") == pl.col("final"))
        return rows.select("run_hash", **{n: _unless_trivial(n) for n in names})

    @cached_property
    def conditions(self) -> pl.DataFrame:
        """One row per condition: knobs, runs, marks, and means with intervals over seeds.

        Those of acc_x, u_norm and u_diff draw seeds and then entities.
        """
        rows = []
        for (name,), own in self.ends.group_by(["condition"], maintain_order=True):
            rows.append(self._condition(str(name), own))
        frame = pl.DataFrame(rows, infer_schema_length=None)
        if (frame["marks"] == "").all():  # nothing to note, so no column of notes
            frame = frame.with_columns(marks=pl.lit(None, pl.String))
        numbers = [
            n for n in frame.columns if n.removesuffix("_lo").removesuffix("_hi") in _NUMBERS
        ]
        knobs = [*KNOBS, "cue_kind", "cue_level", "i_uni", "i_design"]
        about = self.runs.unique("condition", keep="first").select("condition", *knobs)
        return frame.with_columns(pl.col(numbers).cast(pl.Float64)).join(
            about, on="condition", maintain_order="left"
        )

    def _condition(self, name: str, own: pl.DataFrame) -> dict[str, Any]:
        row: dict[str, Any] = {
            "condition": name,
            "family": own["family"][0],
            "seeds": own.height,
            "runs": self.runs.filter(condition=name).height,
            "chance": own["chance"][0],
            "loss_uniform": own["loss_uniform"].mean(),
            "loss_language": own["loss_language"].mean(),
            "label": _most(own["label"]),
            "leaky": bool(own["leaky"].any()),
            "marks": _marks(own),
        }
        known = self._intervals(name)
        for number in _NUMBERS:
            found = mean_over_seeds(own[number].cast(pl.Float64).fill_null(float("nan")).to_list())
            lo, hi = known.get(number, (found.lo, found.hi))
            row |= {
                number: _number(found.value),
                f"{number}_lo": _number(lo),
                f"{number}_hi": _number(hi),
            }
        return row

    def _intervals(self, name: str) -> dict[str, tuple[Any, Any]]:
        """Intervals that draw entities within seeds, of the outcomes that have them."""
        table = self.table("unify_conditions")
        if table is None:
            return {}
        rows = table.filter(condition=name).drop_nulls(["lo", "hi"])
        return {r["outcome"]: (r["lo"], r["hi"]) for r in rows.iter_rows(named=True)}

    @cached_property
    def note(self) -> dict[str, tuple[str, str]]:
        """The note of a condition in pop-ups, where there is any."""
        return {"marks": ("note", "")} if self.conditions["marks"].count() else {}

    @cached_property
    def lags(self) -> pl.DataFrame | None:
        """Times of marks, without those read from scores that were measured at the ends only."""
        table = self.table("unify_lags")
        if table is None or self.subject()["step"].n_unique() > 2:
            return table
        read = ["dip", "t_unify", "t_probe"]
        return table.filter(~pl.col("first").is_in(read) & ~pl.col("second").is_in(read))

    @cached_property
    def varied(self) -> list[str]:
        """Knobs that tell the conditions apart."""
        return varied(self.conditions)

    @cached_property
    def shown(self) -> list[str]:
        """Conditions of dot plots, in the order of the sweep."""
        return self.few(SHOWN)

    def few(self, most: int) -> list[str]:
        """At most so many conditions, in their order: all, or such as span the outcome evenly."""
        frame = self.conditions
        if frame.height <= most:
            return frame["condition"].to_list()
        ranked = frame.with_row_index("at").sort("acc_x", "at", nulls_last=True)
        picks = sorted({round(k * (ranked.height - 1) / (most - 1)) for k in range(most)})
        return ranked[picks].sort("at")["condition"].to_list()

    @cached_property
    def trusted(self) -> pl.DataFrame:
        """Ends of the runs that claims may rest on: ended well, not leaky."""
        return self.ends.filter((pl.col("status") == "done") & ~pl.col("leaky"))

    def said(self, *, of: Sequence[str] | None = None, score: bool = True,
             layer: str = "last hidden state", position: str = "answer position",
             center: str = "none", trusted: bool = False) -> str:  # fmt: skip
        """The conditions that every caption names.

        Args:
            of: conditions shown; default all.
            score: whether a score is shown, so that its cell of the grid has to be named.
            layer: of the score.
            position: of the score.
            center: of the score.
            trusted: whether leaky runs were left out.
        """
        names = list(of) if of is not None else self.conditions["condition"].to_list()
        own = self.conditions.filter(pl.col("condition").is_in(names))
        sizes = sorted({self.sizes[n] for n in names if n in self.sizes}) or ["custom"]
        tokens = own["preset"].drop_nulls().unique(maintain_order=True).to_list()
        parts = [
            f"Preset {', '.join(sizes)}; tokens {', '.join(tokens[:4]) or 'custom'}"
            f"{', …' if len(tokens) > 4 else ''}"
        ]
        if score:
            parts.append(f"{layer}, {position}, centre {center}")
        low, high = own["seeds"].min(), own["seeds"].max()
        parts.append(f"n = {low if low == high else f'{low} to {high}'} {plural(high, 'seed')}"
                     f"{'' if own.height == 1 else ' per condition'}")  # fmt: skip
        parts.append(self._leaks(own, trusted))
        return "; ".join(parts) + "."

    def _leaks(self, own: pl.DataFrame, trusted: bool) -> str:
        leaky = int(own.filter("leaky")["runs"].sum())
        if not leaky:
            return "no leaky runs"
        return f"{leaky} leaky {plural(leaky, 'run')} {'left out' if trusted else 'included'}"


def plural(n: object, word: str) -> str:
    """The word for so many."""
    return word if n == 1 else f"{word}s"


def _marks(own: pl.DataFrame) -> str:
    """What a reader must know of a condition before believing its numbers."""
    said = sorted({s for s in own["status"] if s != "done"})
    return ", ".join([*(["leaky"] if own["leaky"].any() else []), *said])


def _most(labels: pl.Series) -> str | None:
    """The label of most runs; of equally frequent ones the cautious one."""
    order = ["separated", "partial", "unified"]
    counts = [int((labels == name).sum()) for name in order]
    return order[int(np.argmax(counts))] if max(counts) else None


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _unless_trivial(name: str) -> pl.Expr:
    return pl.when(~pl.col("trivial")).then(name).alias(name)


def _place() -> pl.Expr:
    """Positions in words: cue, name, answer, numbered where there are several."""
    position, cue, names = pl.col("position"), pl.col("cue_length"), pl.col("name_len")
    numbered = pl.format("cue {}", position + 1), pl.format("name {}", position - cue + 1)
    return (
        pl.when(position == pl.col("answer"))
        .then(pl.lit("answer"))
        .when((position < cue) & (cue == 1))
        .then(pl.lit("cue"))
        .when(position < cue)
        .then(numbered[0])
        .when(names == 1)
        .then(pl.lit("name"))
        .otherwise(numbered[1])
    )


PLACES = ["cue", *(f"cue {k}" for k in (1, 2)), "name", *(f"name {k}" for k in range(1, 9)),
          "answer"]  # fmt: skip
"""Positions in their order."""
