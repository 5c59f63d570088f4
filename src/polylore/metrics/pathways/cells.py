"""The table of cells: the evidence of one checkpoint, its estimates and its labels, as rows."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from polylore.metrics.index import Array
from polylore.metrics.pathways.composition import Shares
from polylore.metrics.pathways.evidence import Evidence
from polylore.metrics.pathways.labels import LabelInputs, hard_labels
from polylore.metrics.pathways.rules import PathwayRules
from polylore.metrics.pathways.surfaces import Surfaces
from polylore.metrics.threshold import Classifier
from polylore.tables.pathways import CELLS

GUESS_PARTS = {"g_prior": "prior", "g_bias": "majority", "g_demo": "demo_copy"}


def cell_rows(
    evidence: Evidence,
    surfaces: Surfaces,
    found: Shares,
    rates_L: Array,
    supported_L: Mapping[str, bool | None],
    guess_rows: pl.DataFrame,
    rules: PathwayRules,
    steps: list[int | None],
) -> pl.DataFrame:
    """One row per (fact, language) that the fact set has, in the columns of table CELLS that do
    not need the raw tables.

    Args:
        evidence: the cells of one checkpoint.
        surfaces: what strings share.
        found: shares of the estimate.
        rates_L: transfer rate of each language.
        supported_L: whether its interval lies above 0.
        guess_rows: frame of `guesses` for this checkpoint and matcher.
        rules: the choices.
        steps: step of each place of the timeline.
    """
    shape = evidence.y.shape
    names = pl.DataFrame({"lang": evidence.langs})
    parts = {column: evidence.index.dense(guess_rows, column, names) for column in GUESS_PARTS}
    labels, whys = _labels(evidence, surfaces, found.p, parts, rules)
    foreign = np.broadcast_to(evidence.foreign_L, shape)
    right = evidence.y == 1
    first = np.where(
        evidence.donor_first >= 0,
        np.array([np.nan if s is None else s for s in [*steps, None]])[evidence.donor_first],
        np.nan,
    )
    columns: dict[str, Array] = {
        "y": evidence.y,
        "variants_right": evidence.share,
        "E_l": evidence.e,
        "E_p": np.broadcast_to(evidence.e[:, [evidence.home]], shape),
        "E_donor_max": np.where(foreign, 10**evidence.x_donor - 1, np.nan)
        if evidence.kind != "none"
        else np.full(shape, np.nan),
        "p_f": found.p,
        "p_0": found.floor,
        "g": evidence.g,
        **parts,
        "same_object": _flag(surfaces.same_object, foreign),
        "same_pair": _flag(surfaces.same_pair, foreign),
        "answer_in_subject": surfaces.answer_in_subject.astype(np.float64),
        "shared": evidence.shared.astype(np.float64),
        "sim": surfaces.sim,
        "script_same": np.broadcast_to(
            [np.nan if s is None else float(s) for s in surfaces.script_same_L], shape
        ),
        "donor_known": evidence.donor_right.astype(np.float64),
        "donor_first_step": first,
        "k": evidence.k,
        "t_l": np.broadcast_to(rates_L, shape),
        "supported": np.broadcast_to(
            [
                np.nan if (s := supported_L.get(lang)) is None else float(s)
                for lang in evidence.langs
            ],
            shape,
        ),
        "e_freq": found.frequency,
        "e_transfer": found.transfer,
        "e_floor": found.at_zero,
        "e_guess": np.where(right, np.fmax(evidence.g, found.at_zero), np.nan),
        "e_copy": np.where(surfaces.answer_in_subject, 1.0, surfaces.sim),
    }
    kept = surfaces.present.T.ravel()
    flat = {name: np.asarray(m, dtype=np.float64).T.ravel()[kept] for name, m in columns.items()}
    relations = np.array(evidence.index.relations, dtype=object)[evidence.relation_F]
    n_langs = len(evidence.langs)
    texts = {
        "fact_id": np.tile(np.array(evidence.index.fact_ids, dtype=object), n_langs),
        "relation": np.tile(relations, n_langs),
        "lang": np.repeat(np.array(evidence.langs, dtype=object), evidence.index.n),
        "label": labels.T.ravel(),
        "why": whys.T.ravel(),
        "paper_class": _paper_classes(evidence).T.ravel(),
    }
    frame = pl.DataFrame(
        {name: values[kept].tolist() for name, values in texts.items()},
        schema=dict.fromkeys(texts, pl.String()),
    )
    numbers = frame.with_columns(pl.Series(n, v).fill_nan(None) for n, v in flat.items())
    sources = guess_rows.select("fact_id", "lang", "guess_source")
    named = numbers.join(sources, on=["fact_id", "lang"], how="left", maintain_order="left")
    return named.with_columns(
        *(pl.col(n).cast(pl.Boolean()) for n in flat if CELLS.schema[n] == pl.Boolean()),
        guess_source=pl.col("guess_source").fill_null("data"),
        exposure_kind=pl.lit(evidence.kind),
        lang_conditioned=pl.lit(
            None if evidence.kind == "none" else not rules.string_level, dtype=pl.Boolean()
        ),
    )


def _flag(values: Array, known: Array) -> Array:
    return np.where(known, values, np.nan)


def _labels(
    evidence: Evidence,
    surfaces: Surfaces,
    p: Array,
    parts: Mapping[str, Array],
    rules: PathwayRules,
) -> tuple[Array, Array]:
    stacked = np.stack([np.nan_to_num(parts[c], nan=-1.0) for c in GUESS_PARTS])
    words = np.array([*GUESS_PARTS.values(), "majority"], dtype=object)
    strongest = np.where(stacked.max(axis=0) < 0, len(GUESS_PARTS), stacked.argmax(axis=0))
    inputs = LabelInputs(
        y=evidence.y,
        # Without counts frequency explains no single answer.
        p=p if evidence.kind != "none" else np.full(p.shape, np.nan),
        g=evidence.g,
        guess_why=words[strongest],
        same_pair=surfaces.same_pair,
        same_object=surfaces.same_object,
        answer_in_subject=surfaces.answer_in_subject,
        alike=np.nan_to_num(surfaces.sim, nan=-1.0) >= rules.similar,
        foreign=np.broadcast_to(evidence.foreign_L, evidence.y.shape),
        donor=evidence.k == 1,
    )
    return hard_labels(
        inputs,
        string_level=rules.string_level,
        guess=rules.guess,
        frequency=rules.frequency,
    )


def _paper_classes(evidence: Evidence) -> Array:
    """TP, FN, FP, TN of each language's published threshold; null where there is none."""
    out = np.full(evidence.y.shape, None, dtype=object)
    for at in range(len(evidence.langs)):
        own = np.flatnonzero(~(np.isnan(evidence.y[:, at]) | np.isnan(evidence.e[:, at])))
        right = evidence.y[own, at] == 1
        if not right.any() or right.all():
            continue
        e = evidence.e[own, at]
        often = e >= Classifier(e, right, evidence.index.folds_F[own]).paper()
        names = np.select([right & often, right, often], ["TP", "FN", "FP"], "TN")
        out[own, at] = names
    return out
