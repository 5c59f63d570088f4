"""A made-up trace run with the structure of a real one: random, but true to every contract.

Derived tables are computed here by the plainest formulas (normal intervals), because these tests
are about how numbers are shown, not about how they are made.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from polylore.runs import RunFolder

LANGUAGES = (
    "en", "fr", "de", "es", "it", "pt", "ru", "uk", "el", "tr", "fi", "ar", "he", "zh", "ja", "ko",
)  # fmt: skip
SUBJECTS = {
    "ar": "فرنسا", "he": "צרפת", "zh": "法国", "ja": "フランス", "ko": "프랑스", "ru": "Франция",
    "uk": "Франція", "el": "Γαλλία",
}  # fmt: skip
RELATIONS = ("capital_of", "continent", "currency", "language_of", "calling_code", "first_day")
MALICIOUS = "</script><img src=x onerror=alert(1)>"


@dataclass
class Spec:
    """Size and shape of the run."""

    languages: tuple[str, ...] = LANGUAGES
    facts: int = 60
    relations: tuple[str, ...] = RELATIONS
    steps: tuple[int, ...] = (0, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400)
    variants: tuple[int, ...] = (0, 2)
    matchers: tuple[str, ...] = ("default", "paper", "candidates")
    exposure: bool = True
    taught: bool = True
    intervals: bool = True
    generate: bool = True
    tokens_per_step: int | None = 4096
    evil: bool = False
    leave_out: tuple[str, ...] = ()
    seed: int = 7
    pivot: str = "en"
    extra: dict[str, pl.DataFrame] = field(default_factory=dict)


def write_run(folder: Path, spec: Spec | None = None) -> RunFolder:
    """A run folder filled with every table that the specification asks for."""
    spec = spec or Spec()
    config = {"preset": "default", "facts": {"source": "made up"}, "ask": {"n_shot": 3}}
    run = RunFolder.open(folder, "trace", config, {"facts": "0" * 64})
    for name, frame in {**tables(spec), **spec.extra}.items():
        if name not in spec.leave_out:
            run.write_table(name, frame)
    return run


def tables(spec: Spec) -> dict[str, pl.DataFrame]:
    """All tables of the run."""
    world = _World(spec)
    found = {
        "facts": world.facts(),
        "checkpoints": world.checkpoints(),
        "grades": world.grades(),
        "recall": world.recall(),
        "consistency": world.consistency(),
        "consistency_summary": world.consistency_summary(),
        "prompts": world.prompts(),
        "data_report": world.data_report(),
        "lint": world.lint(),
    }
    if spec.generate:
        found["answers"] = world.answers()
    if len(spec.steps) > 1:
        found |= {"survival": world.survival(), "acquisition": world.acquisition()}
        if len(spec.languages) > 1:
            found["lag"] = world.lag()
    if spec.exposure:
        found |= {
            "exposure": world.exposure(),
            "freq_curve": world.freq_curve(),
            "freq_corr": world.freq_corr(),
            "threshold": world.threshold(),
        }
    if spec.taught:
        found["design"] = world.design()
    return found


class _World:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        rng = np.random.default_rng(spec.seed)
        n_l, n_f, n_s = len(spec.languages), spec.facts, len(spec.steps)
        self.relation = [spec.relations[i % len(spec.relations)] for i in range(n_f)]
        self.ids = [f"{self.relation[i]}:{i:03d}" for i in range(n_f)]
        self.dose = np.round(10 ** rng.uniform(0.7, 2.3, (n_l, n_f))).astype(int)
        held = rng.random((n_l, n_f)) < 0.15
        held[[code == spec.pivot for code in spec.languages], :] = False
        self.held = held if spec.taught else np.zeros_like(held)
        self.dose[self.held] = 0
        skill = np.linspace(0.4, -1.4, n_l)[:, None]
        seen = np.array(spec.steps) / max(1, spec.steps[-1])
        self.read = np.round(self.dose[None] * seen[:, None, None]).astype(int)
        hard = rng.normal(0, 0.7, n_f)[None]
        draw = rng.random((n_l, n_f))
        level = -3.2 + 3.4 * np.log10(1 + self.read) + skill[None] - hard[None]
        p = 1 / (1 + np.exp(-level))
        self.y = {
            "default": draw[None] < p,
            "paper": draw[None] < np.clip(p + 0.06, 0, 1),
            "candidates": draw[None] < np.clip(p + 0.14, 0, 1),
        }
        self.n_s = n_s
        self.rng = rng

    # Names -------------------------------------------------------------------------------

    def ckpt(self, s: int) -> str:
        return f"step-{self.spec.steps[s]:06d}"

    def axis(self, s: int) -> dict:
        step, per = self.spec.steps[s], self.spec.tokens_per_step
        return {"ckpt_id": self.ckpt(s), "step": step, "tokens": step * per if per else None}

    def subject(self, lang: str, i: int) -> str:
        if self.spec.evil and i == 0:
            return MALICIOUS
        return f"{SUBJECTS.get(lang, 'France')} {i}"

    def object(self, lang: str, i: int) -> str:
        if self.spec.evil and i == 0:
            return f"{MALICIOUS}\u2028&amp;{{{{7*7}}}}"
        return f"{SUBJECTS.get(lang, 'Paris')}-{i % 9}"

    def cells(self):
        return itertools.product(enumerate(self.spec.languages), enumerate(self.ids))

    def ci(self, k: float, n: int) -> tuple[float | None, float | None]:
        if not self.spec.intervals or n < 2:
            return None, None
        half = 1.96 * np.sqrt(max(k * (1 - k), 0.25 / n) / n)
        return max(0.0, k - half), min(1.0, k + half)

    # Raw ---------------------------------------------------------------------------------

    def facts(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "fact_id": f, "relation": self.relation[i], "lang": lang,
                    "subject": self.subject(lang, i), "object": self.object(lang, i),
                    "aliases": [], "candidate_ids": [], "candidates": [], "gold_pos": None,
                    "source": "made up", "flags": [],
                }
                for (_, lang), (i, f) in self.cells()
            ],
            schema_overrides={
                "aliases": pl.List(pl.String), "candidate_ids": pl.List(pl.String),
                "candidates": pl.List(pl.String), "flags": pl.List(pl.String),
                "gold_pos": pl.Int32,
            },
        )  # fmt: skip

    def checkpoints(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    **self.axis(s), "family": "plain", "model": "made-up-27m",
                    "tokens_exact": True, "final": False, "weight_hash": f"{s:064x}",
                    "suspect": False,
                }
                for s in range(self.n_s)
            ]
        )  # fmt: skip

    def grades(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "ckpt_id": self.ckpt(s), "fact_id": f, "relation": self.relation[i],
                    "lang": lang, "variant": v, "matcher": m, "y": bool(self.y[m][s, k, i]),
                    "answer_id": None, "gold_rank": None, "truncated": False,
                }
                for s in range(self.n_s)
                for (k, lang), (i, f) in self.cells()
                for v in self.spec.variants
                for m in self.spec.matchers
            ],
            schema_overrides={"answer_id": pl.String, "gold_rank": pl.Float64},
        )  # fmt: skip

    def answers(self) -> pl.DataFrame:
        s = self.n_s - 1
        return pl.DataFrame(
            [
                {
                    "ckpt_id": self.ckpt(s), "fact_id": f, "lang": lang, "variant": v,
                    "mode": "generate", "prompt_id": f"{f}-{lang}-{v}",
                    "raw_text": f" {self.said(lang, k, i)}\nmore",
                    "n_new_tokens": 4, "stop_reason": "newline", "dtype": "float32",
                }
                for (k, lang), (i, f) in self.cells()
                for v in self.spec.variants
            ]
        )  # fmt: skip

    def said(self, lang: str, k: int, i: int) -> str:
        right = self.y["default"][self.n_s - 1, k, i]
        return self.object(lang, i if right else i + 1)

    def prompts(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "prompt_id": f"{f}-{lang}-{v}", "fact_id": f, "lang": lang, "variant": v,
                    "n_shot": 1, "demo_fact_ids": [self.ids[-1]], "delimiter": " ", "bos": True,
                    "text": f"{self.subject(lang, 1)} → …\n{self.subject(lang, i)} →",
                    "sha256": "0" * 64,
                }
                for (_, lang), (i, f) in self.cells()
                for v in self.spec.variants
            ]
        )  # fmt: skip

    def exposure(self) -> pl.DataFrame:
        rows = []
        for (k, lang), (i, f) in self.cells():
            for s in range(1, self.n_s):
                more = int(self.read[s, k, i] - self.read[s - 1, k, i])
                if more:
                    rows.append(
                        {
                            "source": "ledger", "fact_id": f, "lang": lang,
                            "step_lo": self.spec.steps[s - 1] + 1, "step_hi": self.spec.steps[s],
                            "doc_lang": lang, "count": more, "unit": "document", "exact": True,
                            "exposure_kind": "exact", "lang_conditioned": True,
                            "policy_id": "ledger",
                        }
                    )  # fmt: skip
        return pl.DataFrame(rows) if rows else self.no_exposure()

    def no_exposure(self) -> pl.DataFrame:
        from polylore.tables.raw import EXPOSURE

        return EXPOSURE.empty()

    def design(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "fact_id": f, "lang": lang, "relation": self.relation[i],
                    "condition": "pivot_only" if self.held[k, i] else "both",
                    "dose": int(self.dose[k, i]),
                }
                for (k, lang), (i, f) in self.cells()
            ]
        )  # fmt: skip

    # Derived -----------------------------------------------------------------------------

    def strata(self, k: int):
        every = np.ones(self.spec.facts, dtype=bool)
        yield "all", every
        if self.spec.taught:
            yield "taught", ~self.held[k]
            yield "held_out", self.held[k]
        yield "same_object", np.arange(self.spec.facts) % 5 == 0
        for v in self.spec.variants if len(self.spec.variants) > 1 else ():
            yield f"wording:{v}", every

    def recall(self) -> pl.DataFrame:
        rows = []
        floor = {"default": 0.12, "paper": 0.2, "candidates": 0.17}
        groups = [("all", np.ones(self.spec.facts, dtype=bool))]
        groups += [(r, np.array([x == r for x in self.relation])) for r in self.spec.relations]
        for s, (k, lang), m in itertools.product(
            range(self.n_s), enumerate(self.spec.languages), self.spec.matchers
        ):
            for stratum, mask in self.strata(k):
                for relation, inside in groups:
                    both = mask & inside
                    n = int(both.sum())
                    if not n:
                        continue
                    acc = float(self.y[m][s, k, both].mean())
                    lo, hi = self.ci(acc, n)
                    a0 = floor[m]
                    fix = [None if v is None else (v - a0) / (1 - a0) for v in (acc, lo, hi)]
                    rows.append(
                        {
                            **self.axis(s), "lang": lang, "relation": relation,
                            "stratum": stratum, "matcher": m, "n": n, "acc": acc, "lo": lo,
                            "hi": hi, "baseline": a0, "baseline_name": "majority",
                            "acc_guess_corrected": fix[0], "gc_lo": fix[1], "gc_hi": fix[2],
                        }
                    )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def consistency(self) -> pl.DataFrame:
        from polylore.tables.derived import CONSISTENCY

        rows = []
        for s, (a, b), m in itertools.product(
            range(self.n_s),
            itertools.combinations(range(len(self.spec.languages)), 2),
            self.spec.matchers,
        ):
            ya, yb = self.y[m][s, a], self.y[m][s, b]
            pa, pb, n = float(ya.mean()), float(yb.mean()), self.spec.facts
            either = int((ya | yb).sum())
            j = float((ya & yb).sum() / either) if either else 0.0
            j0 = pa * pb / (pa + pb - pa * pb) if pa + pb > 0 else None
            jmax = min(pa, pb) / max(pa, pb) if max(pa, pb) > 0 else None
            known = j0 is not None and jmax is not None and jmax > j0
            lo, hi = self.ci(j, n)
            norm = [
                (v - j0) / (jmax - j0) if known and v is not None else None for v in (j, lo, hi)
            ]
            rows.append(
                {
                    **self.axis(s), "lang_a": self.spec.languages[a],
                    "lang_b": self.spec.languages[b], "relation": "all", "matcher": m, "n": n,
                    "jaccard": j, "lo": lo, "hi": hi, "j0": j0, "jmax": jmax, "j_norm": norm[0],
                    "j_norm_lo": norm[1], "j_norm_hi": norm[2], "p_b_given_a": pb,
                    "p_a_given_b": pa, "agree_all": 0.5, "rankc": 0.2 + 0.5 * pb,
                    "rankc_chance": 0.19, "rankc_norm": 0.4, "coverlap": j,
                }
            )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None) if rows else CONSISTENCY.empty()

    def consistency_summary(self) -> pl.DataFrame:
        from polylore.tables.derived import CONSISTENCY_SUMMARY

        table = self.consistency()
        if not table.height:
            return CONSISTENCY_SUMMARY.empty()
        rows = []
        for s, m in itertools.product(range(self.n_s), self.spec.matchers):
            mine = table.filter((pl.col("ckpt_id") == self.ckpt(s)) & (pl.col("matcher") == m))
            with_pivot = mine.filter(pl.col("lang_a") == self.spec.pivot)["jaccard"].to_list()
            forms = {
                "paper": [*with_pivot, 1.0], "without_pivot": with_pivot,
                "all_pairs": mine["jaccard"].to_list(),
            }  # fmt: skip
            for form, values in forms.items():
                value = float(np.mean(values)) if values else None
                lo, hi = (
                    (max(0.0, value - 0.03), value + 0.03) if value is not None else (None, None)
                )
                rows.append(
                    {**self.axis(s), "matcher": m, "form": form, "value": value, "lo": lo, "hi": hi}
                )
        return pl.DataFrame(rows, infer_schema_length=None)

    def first_right(self, m: str, k: int, i: int) -> int | None:
        hits = np.flatnonzero(self.y[m][:, k, i])
        return int(hits[0]) if len(hits) else None

    def survival(self) -> pl.DataFrame:
        rows = []
        for (k, lang), m in itertools.product(enumerate(self.spec.languages), self.spec.matchers):
            when = [self.first_right(m, k, i) for i in range(self.spec.facts)]
            for s in range(self.n_s):
                done = sum(w is not None and w <= s for w in when)
                share = done / self.spec.facts
                lo, hi = self.ci(share, self.spec.facts)
                rows.append(
                    {
                        "lang": lang, "matcher": m, "step": self.spec.steps[s],
                        "tokens": self.axis(s)["tokens"],
                        "at_risk": self.spec.facts - sum(w is not None and w < s for w in when),
                        "events": sum(w == s for w in when), "share_acquired": share, "lo": lo,
                        "hi": hi,
                    }
                )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def acquisition(self) -> pl.DataFrame:
        rows = []
        for ((k, lang), (i, f)), m, event in itertools.product(
            self.cells(), self.spec.matchers, ("first", "sustained", "final_run", "forget")
        ):
            when = self.first_right(m, k, i) if event != "forget" else None
            censoring = "right" if when is None else "left" if when == 0 else "interval"
            before = self.axis(max(0, (when or 0) - 1))
            at = self.axis(when) if when is not None else {"step": None, "tokens": None}
            rows.append(
                {
                    "fact_id": f, "relation": self.relation[i], "lang": lang,
                    "variant": self.spec.variants[0], "matcher": m, "event": event,
                    "censoring": censoring, "step_lo": before["step"], "step_hi": at["step"],
                    "tokens_lo": before["tokens"], "tokens_hi": at["tokens"], "flips": 1,
                }
            )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def lag(self) -> pl.DataFrame:
        from polylore.tables.derived import LAG

        rows = []
        pivot = self.spec.languages.index(self.spec.pivot)
        for ((k, lang), (i, f)), m in itertools.product(self.cells(), self.spec.matchers):
            here, there = self.first_right(m, k, i), self.first_right(m, pivot, i)
            if k == pivot or here is None or there is None:
                continue
            a, b = self.spec.steps[here], self.spec.steps[there]
            rows.append(
                {
                    "fact_id": f, "relation": self.relation[i], "lang": lang,
                    "variant": self.spec.variants[0], "matcher": m,
                    "lag_tokens": float(a - b) * 4096,
                    "lag_log10": float(np.log10(max(a, 1)) - np.log10(max(b, 1))),
                    "lag_steps": float(a - b), "lo_steps": float(a - b), "hi_steps": float(a - b),
                    "order": "tie" if a == b else "pivot_first" if a > b else "language_first",
                }
            )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None) if rows else LAG.empty()

    def freq_curve(self) -> pl.DataFrame:
        edges = [1, 3, 10, 30, 100, 300]
        rows = []
        for s, (k, lang), m in itertools.product(
            range(self.n_s), enumerate(self.spec.languages), self.spec.matchers
        ):
            read = self.read[s, k]
            bins = [(-1, 0, 1)] + [(b, edges[b], edges[b + 1]) for b in range(len(edges) - 1)]
            for b, low, high in bins:
                mask = (read >= low) & (read < high)
                n, right = int(mask.sum()), int(self.y[m][s, k, mask].sum())
                p = right / n if n else None
                lo, hi = self.ci(p, n) if p is not None else (None, None)
                rows.append(
                    {
                        **self.axis(s), "lang": lang, "matcher": m, "bin": b,
                        "lo_edge": float(low), "hi_edge": float(high), "n": n, "right": right,
                        "p": p, "lo": lo, "hi": hi,
                    }
                )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def freq_corr(self) -> pl.DataFrame:
        rows = []
        for s, (k, lang), m, subset in itertools.product(
            range(self.n_s), enumerate(self.spec.languages), self.spec.matchers, ("all", "positive")
        ):
            y, read = self.y[m][s, k], self.read[s, k].astype(float)
            keep = read > 0 if subset == "positive" else np.ones_like(y)
            right, wrong = read[keep & y], read[keep & ~y]
            auc = None
            if len(right) and len(wrong):
                difference = right[:, None] - wrong[None]
                auc = float(((difference > 0) + 0.5 * (difference == 0)).mean())
            known = auc is not None and self.spec.intervals
            rows.append(
                {
                    **self.axis(s), "lang": lang, "matcher": m, "subset": subset,
                    "n": int(keep.sum()), "pearson": None if auc is None else auc - 0.4,
                    "spearman": None if auc is None else auc - 0.45, "auc": auc,
                    "auc_lo": max(0.0, auc - 0.11) if known else None,
                    "auc_hi": min(1.0, auc + 0.11) if known else None,
                    "binned_r": None if auc is None else 0.93,
                    "reason": "fewer than 2 classes" if auc is None else None,
                }
            )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def threshold(self) -> pl.DataFrame:
        rows = []
        for s, (k, lang), m, rule in itertools.product(
            range(self.n_s), enumerate(self.spec.languages), self.spec.matchers, ("paper", "cv")
        ):
            majority = float(max(self.y[m][s, k].mean(), 1 - self.y[m][s, k].mean()))
            rows.append(
                {
                    **self.axis(s), "lang": lang, "matcher": m, "rule": rule, "n": self.spec.facts,
                    "t": float("inf") if rule == "cv" and k % 3 == 0 else 20.0 + k,
                    "acc": min(1.0, majority + 0.05), "majority": majority,
                    "cv_acc": majority + 0.01 if rule == "cv" else None, "tp": 1, "fp": 1,
                    "tn": 1, "fn": 1, "auc": 0.7, "balanced_accuracy": 0.66,
                    "fold_thresholds": [1.0, float("inf")],
                }
            )  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def data_report(self) -> pl.DataFrame:
        names = (
            "duplicate_triples multi_gold same_object same_object_cf same_pair same_pair_cf "
            "answer_in_subject subject_equals_object prefix_conflicts object_bytes_over_20 non_nfc"
        )
        counts = names.split()
        return pl.DataFrame(
            [
                {
                    "lang": lang, "relation": relation, "n": self.spec.facts,
                    **dict.fromkeys(counts, 1), "distinct_objects": 9, "majority_share": 0.12,
                    "copy_demo": 0.1, "demo_leak_probability": 0.2, "one_char_baseline": 0.3,
                    "chance": 0.1, "gold_last_share": None, "missing_languages": [],
                }
                for lang in self.spec.languages
                for relation in ("all", *self.spec.relations)
            ],
            schema_overrides={
                "missing_languages": pl.List(pl.String), "gold_last_share": pl.Float64,
            },
        )  # fmt: skip

    def lint(self) -> pl.DataFrame:
        evil = MALICIOUS if self.spec.evil else "France 0"
        return pl.DataFrame(
            [
                {
                    "rule": "several-golds", "severity": "note", "lang": "fr",
                    "relation": self.spec.relations[0], "count": 2, "examples": [evil],
                    "message": "A subject with several objects: add the others as aliases.",
                }
            ]
        )  # fmt: skip
