"""Recompute the published data statistics of `trace` (specification, sections 9.1 to 9.4).

No model takes part: everything follows from the fact set and the published frequencies, so the
file that this writes can be compared number by number with the published one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polylore import metrics
from polylore.corpus.frequencies import read_frequencies
from polylore.errors import DataError
from polylore.facts.load import load
from polylore.files import write_json
from polylore.metrics.index import FOLDS, Array
from polylore.metrics.logistic import logistic_fit
from polylore.metrics.ranking import pearson
from polylore.studies.reproduce_pathways import pathway_statistics
from polylore.tables import derived, raw

PIVOT = "en"
PUBLISHED_ORDER = ("en", "fr", "es", "ar", "zh", "ru", "ja", "tr", "uk", "ca", "ko", "el")
"""Languages in the order that the published pseudo-labels count in; others follow."""
LABEL_RULE = (
    "u=((index+100003*k)*2654435761 mod 2^32)/2^32, k = position of lang in "
    "[en,fr,es,ar,zh,ru,ja,tr,uk,ca,ko,el]; p=1/(1+exp(-(1.5*log10(1+freq)-4))); correct iff u<p"
)
LOW, HIGH = 10, 1000


def reproduce_trace(
    klar_dir: str | Path, frequencies: str | Path, out: str | Path
) -> dict[str, Any]:
    """Write the published statistics, recomputed for every language of a KLAR folder.

    Args:
        klar_dir: folder with `<lang>/<relation>.json`, or with that under `source/`.
        frequencies: published frequency file (`wimbd_frequencies.json`).
        out: JSON file to write. `reference_stats` and `pseudo_label_analysis` have the structure of
            the published file; `extra` holds the other tables of the specification: `data_report`
            (9.1), `frequencies` (9.2), `pseudo_labels` (9.3) and `pathways` (9.4). An infinite
            threshold is "inf".

    Returns:
        What was written.

    Raises:
        DataError: the data break their layout, or there is no English.
    """
    factset = load(klar_dir)
    if PIVOT not in factset.languages:
        raise DataError(
            f"{klar_dir} has no English ('{PIVOT}'), which everything is compared with."
        )
    langs = sorted(
        factset.languages,
        key=lambda c: PUBLISHED_ORDER.index(c) if c in PUBLISHED_ORDER else len(PUBLISHED_ORDER),
    )
    facts = factset.facts
    counts = read_frequencies(frequencies, factset).join(
        facts.select("fact_id", "lang", "relation", "subject", "object"), on=["fact_id", "lang"]
    )
    report = metrics.data_report(facts, PIVOT)
    data = _Published(facts, counts, langs)
    result = {
        "reference_stats": _reference(data, report),
        "pseudo_label_analysis": _pseudo(data),
        "extra": {
            "data_report": report.to_dicts(),
            "frequencies": _frequencies(data),
            "pseudo_labels": _extra_pseudo(data),
            "pathways": pathway_statistics(
                data.facts, data.checkpoints, data.exposure, pivot=PIVOT
            ),
        },
    }
    write_json(result, out)
    return result


class _Published:
    """The fact set, its frequencies and the published pseudo-labels, as the tables of a study."""

    def __init__(self, facts: pl.DataFrame, counts: pl.DataFrame, langs: list[str]) -> None:
        self.facts, self.counts, self.langs = facts, counts, langs
        self.checkpoints = raw.CHECKPOINTS.build(
            [
                {
                    "ckpt_id": "published",
                    "family": "none",
                    "model": "pseudo-labels",
                    "tokens_exact": False,
                    "final": True,
                    "suspect": False,
                }
            ]
        )
        exposure = counts.select(c for c in raw.EXPOSURE.schema if c in counts.columns)
        self.exposure = metrics.exposure_at(exposure, self.checkpoints, facts)
        self.index = metrics.FactIndex.of(facts)
        cells = pl.DataFrame({"lang": langs})
        self.f_FL = self.index.dense(self.exposure, "exposure", cells)
        self.grades = self._labels()
        self.y_FL = self.index.dense(self.grades, "y", cells) == 1
        self.known_FL = ~np.isnan(self.f_FL)

    def _labels(self) -> pl.DataFrame:
        parts = []
        others = [lang for lang in self.langs if lang not in PUBLISHED_ORDER]
        places = {lang: k for k, lang in enumerate([*PUBLISHED_ORDER, *others])}
        for lang in self.langs:
            own = self.exposure.filter((pl.col("lang") == lang) & pl.col("exposure").is_not_null())
            try:
                numbers = own["fact_id"].cast(pl.Int64()).to_numpy()
            except pl.exceptions.InvalidOperationError as error:
                raise DataError(
                    "The published pseudo-labels need facts with integer indices, as KLAR has them."
                ) from error
            right = metrics.published_labels(numbers, places[lang], own["exposure"].to_numpy())
            parts.append(
                own.select(
                    "ckpt_id",
                    "fact_id",
                    "relation",
                    "lang",
                    pl.lit(0).alias("variant"),
                    pl.lit("published").alias("matcher"),
                    pl.Series("y", right),
                    pl.lit(False).alias("truncated"),
                )
            )
        return derived.GRADES.validate(pl.concat(parts))

    def column(self, lang: str) -> Array:
        """Frequencies of one language, facts without a count left out."""
        at = self.langs.index(lang)
        return np.asarray(self.f_FL[self.known_FL[:, at], at])

    def log_r(self, a: str, b: str) -> float | None:
        """Pearson r of log10(1 + f) of two languages over their common facts."""
        x, y = self.f_FL[:, self.langs.index(a)], self.f_FL[:, self.langs.index(b)]
        both = ~np.isnan(x) & ~np.isnan(y)
        return _number(pearson(np.log10(1 + x[both]), np.log10(1 + y[both])))

    def curve(self) -> pl.DataFrame:
        """Published bins, all languages pooled."""
        tables = (self.grades, self.facts, self.checkpoints, self.exposure)
        curve = metrics.freq_curve(*tables, bins="paper")
        return curve.filter(pl.col("lang") == "all").sort("bin")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _reference(data: _Published, report: pl.DataFrame) -> dict[str, Any]:
    whole = {r["lang"]: r for r in report.filter(pl.col("relation") == "all").iter_rows(named=True)}
    sizes = {name: rows.stop - rows.start for name, rows in data.index.slices()}
    n_facts = sizes.pop("all")
    medians = data.counts.group_by("lang", "relation").agg(pl.col("count").median()).rows()
    by_cell = {(lang, relation): value for lang, relation, value in medians}
    return {
        "n_langs": len(data.langs),
        "n_relations": len(sizes),
        "n_facts": n_facts,
        "langs": data.langs,
        "relations": sizes,
        "wimbd": {lang: _summary(data.column(lang)) for lang in data.langs},
        "pearson_log10_1p_wimbd_matrix": {
            a: {b: data.log_r(a, b) for b in data.langs} for a in data.langs
        },
        "median_freq_lang_rel_wimbd": {
            lang: {r: by_cell.get((lang, r)) for r in sizes} for lang in data.langs
        },
        "identical_object_to_en": {lang: whole[lang]["same_object"] for lang in data.langs},
        "identical_subject_and_object_to_en": {
            lang: whole[lang]["same_pair"] for lang in data.langs
        },
        "total_hist_30edges_logspace_1_to_maxplus1": data.curve()["n"].to_list(),
    }


def _summary(f: Array) -> dict[str, float | int]:
    return {
        "zeros": int((f == 0).sum()),
        "max": int(f.max()),
        "sum": int(f.sum()),
        "median": float(np.median(f)),
        "mean_log10_1p": float(np.log10(1 + f).mean()),
    }


def _pseudo(data: _Published) -> dict[str, Any]:
    tables = (data.grades, data.facts, data.checkpoints)
    rows = metrics.freq_threshold(*tables, data.exposure, rules=("paper",))
    names = {"t": "threshold", "acc": "acc", "tp": "TP", "fp": "FP", "tn": "TN", "fn": "FN"}
    names |= {"majority": "majority", "auc": "auc"}
    classifier = {
        row["lang"]: {name: row[key] for key, name in names.items()}
        for row in rows.iter_rows(named=True)
    }
    forms = dict(
        metrics.consistency_summary(*tables, pivot=PIVOT).select("form", "value").iter_rows()
    )
    recalled = metrics.recall(*tables).filter(pl.col("relation") == "all")
    pooled = _pooled_correlations(data)
    curve = data.curve()
    return {
        "label_rule": LABEL_RULE,
        "classifier": classifier,
        "jaccard_with_en": {PIVOT: 1.0} | {k: r["jaccard"] for k, r in _pairs(data).items()},
        "acc": dict(recalled.select("lang", "acc").iter_rows()),
        "overall_clc_incl_en": forms["paper"],
        "mean_clc_excl_en": forms["without_pivot"],
        "pearson_log10(1+f)_vs_label_all": pooled["all"]["pearson"],
        "total_hist": curve["n"].to_list(),
        "correct_hist": curve["right"].to_list(),
        "pearson_logbincenter_vs_P": pooled["all"]["binned_r"],
    }


def _pairs(data: _Published) -> dict[str, dict[str, Any]]:
    """Consistency of each language with English, over all relations."""
    table = metrics.consistency(data.grades, data.facts, data.checkpoints, pivot=PIVOT)
    rows = table.filter(pl.col("relation") == "all").iter_rows(named=True)
    return {row["lang_b"]: row for row in rows}


def _pooled_correlations(data: _Published) -> dict[str, dict[str, Any]]:
    table = metrics.freq_corr(data.grades, data.facts, data.checkpoints, data.exposure)
    rows = table.filter(pl.col("lang") == "all").iter_rows(named=True)
    return {row["subset"]: row for row in rows}


def _frequencies(data: _Published) -> dict[str, Any]:
    english = data.f_FL[:, data.langs.index(PIVOT)]
    shared = metrics.shared_strings(data.facts, PIVOT).filter("same_pair")
    cells = pl.DataFrame({"lang": data.langs})
    flags = shared.select("fact_id", "lang", same=pl.lit(1.0))
    same_FL = data.index.dense(flags, "same", cells) == 1
    languages = {}
    for at, lang in enumerate(data.langs):
        f = data.f_FL[:, at]
        apart = f[~same_FL[:, at] & ~np.isnan(f)]
        languages[lang] = {
            "zeros": int((f == 0).sum()),
            "median": float(np.nanmedian(f)),
            "median_without_same_pair": float(np.median(apart)) if apart.size else None,
            "below_10": int((f < LOW).sum()),
            "at_least_1000": int((f >= HIGH).sum()),
            "below_10_with_english_at_least_1000": int(((f < LOW) & (english >= HIGH)).sum()),
            "equal_to_english": int((f == english).sum()),
            "above_english": int((f > english).sum()),
            "pearson_log10_1p_with_english": data.log_r(PIVOT, lang),
        }
    nowhere = data.counts.filter((pl.col("lang") == PIVOT) & (pl.col("count") == 0))
    pairs = data.counts.group_by("subject", "object").agg(pl.col("count").n_unique())
    strings = pl.concat([data.counts["subject"].alias("s"), data.counts["object"].alias("s")])
    known = data.f_FL[data.known_FL]
    return {
        "languages": languages,
        "pooled": {
            "n": int(known.size),
            "zeros": int((known == 0).sum()),
            "positive": int((known > 0).sum()),
            "sum": int(known.sum()),
            "max": int(known.max()),
        },
        "english_zero_objects": nowhere["object"].sort().to_list(),
        "distinct_pairs": pairs.height,
        "distinct_strings": strings.n_unique(),
        "equal_pairs_with_other_counts": pairs.filter(pl.col("count") > 1).height,
    }


def _extra_pseudo(data: _Published) -> dict[str, Any]:
    tables = (data.grades, data.facts, data.checkpoints)
    rows = metrics.freq_threshold(*tables, data.exposure, rules=("cv", "youden"))
    by_rule = {(r["lang"], r["rule"]): r for r in rows.iter_rows(named=True)}
    pairs = _pairs(data)
    languages = {}
    for at, lang in enumerate(data.langs):
        cv, pair = by_rule[lang, "cv"], pairs.get(lang, {})
        hits = None if cv["cv_acc"] is None else cv["tp"] + cv["tn"]
        languages[lang] = {
            "right": int(data.y_FL[:, at].sum()),
            "cv_hits": hits,
            "cv_accuracy": cv["cv_acc"],
            "cv_majority_hits": None if hits is None else round(cv["majority"] * cv["n"]),
            "fold_thresholds": ["inf" if np.isinf(t) else t for t in cv["fold_thresholds"] or []],
            "j0": pair.get("j0"),
            "j_norm": pair.get("j_norm"),
            "p_lang_given_en": pair.get("p_b_given_a"),
            "p_en_given_lang": pair.get("p_a_given_b"),
            "youden_t": by_rule[lang, "youden"]["t"],
        }
    fold_sizes = np.bincount(data.index.folds_F, minlength=FOLDS).tolist()
    return {"languages": languages, "fold_sizes": fold_sizes, "pooled": _extra_pooled(data)}


def _extra_pooled(data: _Published) -> dict[str, Any]:
    f, y = data.f_FL[data.known_FL], data.y_FL[data.known_FL]
    correlations = _pooled_correlations(data)
    forms = metrics.consistency_summary(data.grades, data.facts, data.checkpoints, pivot=PIVOT)
    log_f = np.log10(1 + f)
    intercept, slope = logistic_fit(np.column_stack([np.ones(len(f)), log_f]), y)
    zero = f == 0
    return {
        "n": int(f.size),
        "right": int(y.sum()),
        "share_right": float(y.mean()),
        "pearson_log10_1p": correlations["all"]["pearson"],
        "pearson_log10_1p_positive": correlations["positive"]["pearson"],
        "pearson_raw": _number(pearson(f, y.astype(np.float64))),
        "spearman": correlations["all"]["spearman"],
        "auc": correlations["all"]["auc"],
        "zero_bin": {
            "n": int(zero.sum()),
            "right": int(y[zero].sum()),
            "p": _number(float(y[zero].mean()) if zero.any() else float("nan")),
        },
        "binned_r": correlations["all"]["binned_r"],
        "mean_jaccard": dict(forms.select("form", "value").iter_rows()),
        "logistic": {"intercept": _number(intercept), "slope": _number(slope)},
    }
