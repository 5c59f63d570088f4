"""Scores as dense arrays over language pairs, items, checkpoints and onsets.

One setting at a time, so that memory stays bounded. Shapes: P language pairs, I items (pairs of
concepts), K checkpoints in the course of training, J onsets; J is 1 where nothing is patched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polylore.errors import DataError
from polylore.metrics.index import Array
from polylore.metrics.patching.errors import NATURAL_TARGET, category_of, clean_items
from polylore.tables.course import course

METRICS = ("p_full", "p_first", "exact_match")
UNPATCHED = "none"
"""Intervention of runs in which nothing is patched."""


@dataclass(frozen=True)
class Axes:
    """What the positions of the arrays stand for."""

    langs_P: tuple[tuple[str, str], ...]
    pairs_I: tuple[str, ...]
    source_I: tuple[str, ...]
    """Source concept of each item."""
    target_I: tuple[str, ...]
    ckpts_K: tuple[str, ...]
    onsets_J: tuple[int, ...]
    n_blocks: int
    """L: one more than the last onset."""


class Values:
    """Scores and exact matches of a run, setting by setting.

    Args:
        scores: table SCORES of `patch`.
        pairs: table PAIRS.
        checkpoints: table CHECKPOINTS; suspect ones and further branches are left out.
        flags: table LEXICON_FLAGS of the language pairs that were asked.
        errors: table ERRORS; without it there is no exact match.
        prompts: table PROMPTS; its incompatible prompts do not count for p_first.
        items: table ITEMS; says where it can be told which language an answer is in.

    Raises:
        DataError: scores of a pair or a checkpoint that is not there.
    """

    def __init__(
        self,
        scores: pl.DataFrame,
        pairs: pl.DataFrame,
        checkpoints: pl.DataFrame,
        flags: pl.DataFrame,
        *,
        errors: pl.DataFrame | None = None,
        prompts: pl.DataFrame | None = None,
        items: pl.DataFrame | None = None,
    ) -> None:
        _check(scores, pairs, checkpoints)
        self.axes = axes = _axes(scores, pairs, checkpoints)
        self.clean_PI = _marked(axes, clean_items(flags), "fact_id", axes.source_I, "clean")
        self._frames = _by_series(_placed(scores, axes))
        self._right: dict[tuple[str, str], pl.DataFrame] = {}
        if errors is not None and errors.height:
            self._right = _by_series(_placed(_as_cells(errors), axes))
        self._separable = {
            column: None if items is None else _marked(axes, items, "pair_id", axes.pairs_I, column)
            for column in ("separable", "first_separable")
        }
        self._no_first_I = np.zeros(len(axes.pairs_I), dtype=bool)
        if prompts is not None:
            bad = set(prompts.filter(pl.col("incompatible"))["pair_id"])
            self._no_first_I = np.array([p in bad for p in axes.pairs_I])

    def series(self) -> list[tuple[str, str]]:
        """(setting, intervention) of everything that was run, by name."""
        return sorted({*self._frames, *self._right})

    def interventions(self) -> list[str]:
        """Interventions that patch something, by name."""
        return sorted({i for _, i in self.series()} - {UNPATCHED})

    def cells(self, setting: str, intervention: str) -> list[str]:
        """Cells with scores: src_b and tgt_b; all of them where the last token is patched."""
        frame = self._frames.get((setting, intervention))
        if frame is None or not intervention.startswith("last_token"):
            return ["src_b", "tgt_b"]
        return sorted(frame["cell"].unique().to_list())

    def sizes(self, setting: str) -> list[int]:
        """Numbers of averaged source prompts in a setting, ascending."""
        found = {
            int(k)
            for (name, _), frame in self._frames.items()
            if name == setting
            for k in frame["k"].unique()
        }
        return sorted(found)

    def draws(self, k: int) -> list[int]:
        """Draws of `samek` with so many source prompts."""
        found = {
            int(d)
            for (setting, _), frame in self._frames.items()
            if setting == "samek"
            for d in frame.filter(pl.col("k") == k)["draw"].unique()
        }
        return sorted(found)

    def get(
        self,
        setting: str,
        intervention: str,
        metric: str,
        cell: str = "src_b",
        *,
        k: int | None = None,
        draw: int | None = None,
    ) -> Array | None:
        """Values of one setting: float64 (P, I, K, J), NaN where there is none; None without any.

        Several draws of one item are averaged. `p_full` is exp(logp_full). Where the language of
        the answer is the question (cells of another language than b), only items whose words
        differ in all languages count.

        Args:
            setting: setting or control; `samek1` is `samek` with one source prompt.
            intervention: see ITEMS; `none` for unpatched runs.
            metric: one of `METRICS`.
            cell: src or tgt, then _a, _b or a language code.
            k: only items with so many source prompts.
            draw: only this draw.
        """
        if setting.startswith("samek") and setting != "samek":
            setting, k = "samek", int(setting.removeprefix("samek"))
        source = self._right if metric == "exact_match" else self._frames
        frame = source.get((setting, intervention))
        if frame is None:
            return None
        keep = pl.col("cell") == cell
        keep = keep if k is None else keep & (pl.col("k") == k)
        keep = keep if draw is None else keep & (pl.col("draw") == draw)
        value = {"p_full": pl.col("logp_full").exp() if metric == "p_full" else None}.get(metric)
        column = pl.col(metric).cast(pl.Float64) if value is None else value
        rows = frame.filter(keep).select("_p", "_i", "_k", "_j", value=column).drop_nulls("value")
        if not rows.height:
            return None
        return self._mask(self._dense(rows, intervention), metric, cell)

    def _dense(self, rows: pl.DataFrame, intervention: str) -> Array:
        a = self.axes
        n_j = 1 if intervention == UNPATCHED else len(a.onsets_J)
        shape = (len(a.langs_P), len(a.pairs_I), len(a.ckpts_K), n_j)
        place = tuple(rows[name].to_numpy() for name in ("_p", "_i", "_k", "_j"))
        total, count = np.zeros(shape), np.zeros(shape, dtype=np.int32)
        np.add.at(total, place, rows["value"].to_numpy())
        np.add.at(count, place, 1)
        with np.errstate(invalid="ignore"):
            return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def _mask(self, values_PIKJ: Array, metric: str, cell: str) -> Array:
        first = metric == "p_first"
        if first:
            values_PIKJ[:, self._no_first_I] = np.nan
        told_PI = self._separable["first_separable" if first else "separable"]
        if not cell.endswith("_b") and told_PI is not None:
            values_PIKJ[~told_PI] = np.nan
        return values_PIKJ


def _check(scores: pl.DataFrame, pairs: pl.DataFrame, checkpoints: pl.DataFrame) -> None:
    for key, table, name in (
        ("pair_id", pairs, "the plan"),
        ("ckpt_id", checkpoints, "the table of checkpoints"),
    ):
        unknown = scores.join(table, on=key, how="anti")
        if unknown.height:
            raise DataError(
                f"Scores name the {key} '{unknown[key][0]}', which {name} does not hold; use the "
                "tables of one run."
            )


def _axes(scores: pl.DataFrame, pairs: pl.DataFrame, checkpoints: pl.DataFrame) -> Axes:
    there = set(scores["ckpt_id"].unique())
    used = pairs.filter(pl.col("pair_id").is_in(scores["pair_id"].unique().implode()))
    used = used.sort("pair_id")
    onsets = sorted(scores["onset"].drop_nulls().unique().to_list())
    return Axes(
        langs_P=tuple(sorted(scores.select("lang_a", "lang_b").unique().rows())),
        pairs_I=tuple(used["pair_id"]),
        source_I=tuple(used["fact_id"]),
        target_I=tuple(used["fact_id_target"]),
        ckpts_K=tuple(c for c in course(checkpoints)["ckpt_id"] if c in there),
        onsets_J=tuple(onsets),
        n_blocks=(onsets[-1] + 1) if onsets else 0,
    )


def _marked(
    axes: Axes, frame: pl.DataFrame, key: str, names_I: Sequence[str], column: str
) -> Array:
    """bool (P, I): where a frame by language pair and `key` says so; unknown means no."""
    yes = set(frame.filter(pl.col(column)).select("lang_a", "lang_b", key).unique().rows())
    return np.array([[(a, b, name) in yes for name in names_I] for a, b in axes.langs_P])


def _as_cells(errors: pl.DataFrame) -> pl.DataFrame:
    """Exact matches in the form of scores."""
    natural = pl.col("setting") == NATURAL_TARGET
    return category_of(errors).with_columns(
        cell_concept=pl.when(natural).then(pl.lit("tgt")).otherwise(pl.lit("src")),
        cell_lang=pl.col("lang_b"),
        exact_match=pl.col("right"),
    )


def _placed(frame: pl.DataFrame, axes: Axes) -> pl.DataFrame:
    """Rows with their positions on the axes; those of left-out checkpoints are dropped."""
    langs = [f"{a}\x1f{b}" for a, b in axes.langs_P]
    role = (
        pl.when(pl.col("cell_lang") == pl.col("lang_b"))
        .then(pl.lit("b"))
        .when(pl.col("cell_lang") == pl.col("lang_a"))
        .then(pl.lit("a"))
        .otherwise("cell_lang")
    )
    return frame.with_columns(
        _p=_place(pl.concat_str("lang_a", "lang_b", separator="\x1f"), langs),
        _i=_place(pl.col("pair_id"), axes.pairs_I),
        _k=_place(pl.col("ckpt_id"), axes.ckpts_K),
        _j=pl.when(pl.col("onset").is_null())
        .then(0)
        .otherwise(_place(pl.col("onset"), axes.onsets_J)),
        cell=pl.concat_str("cell_concept", role, separator="_"),
    ).drop_nulls(["_p", "_i", "_k", "_j"])


def _place(column: pl.Expr, values: Sequence[object]) -> pl.Expr:
    places = {value: i for i, value in enumerate(values)}
    return column.replace_strict(places, default=None, return_dtype=pl.Int64)


def _by_series(frame: pl.DataFrame) -> dict[tuple[str, str], pl.DataFrame]:
    parts = frame.partition_by(["setting", "intervention"], as_dict=True)
    return {(str(s), str(i)): part for (s, i), part in parts.items()}
