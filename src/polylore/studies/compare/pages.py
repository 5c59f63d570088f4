"""The report of a comparison."""

from collections.abc import Sequence

import polars as pl

from polylore.report import Case, Finding, Page, Report, judge, tally
from polylore.report.languages import name as language_name
from polylore.runs import RunFolder
from polylore.studies.compare.beside import answers_page, method_page, tokens_page
from polylore.studies.compare.config import CompareConfig
from polylore.studies.compare.numbers import differences_page, relations_page, side_page
from polylore.studies.compare.side import Side
from polylore.studies.compare.view import ALL, WAYS, View
from polylore.studies.trace.context import percent, with_interval


def build_report(
    run: RunFolder, sides: Sequence[Side], config: CompareConfig, remarks: Sequence[str]
) -> Report:
    """The report of a comparison, from its tables.

    Args:
        run: folder with the tables `model_*`.
        sides: the compared runs, reduced to the shared questions.
        config: how they were compared.
        remarks: what differs between the runs.
    """
    view = View.of(run, sides)
    pages: list[Page | None] = [
        side_page(view, remarks),
        differences_page(view),
        relations_page(view),
        tokens_page(view),
        answers_page(view),
        method_page(view, config, remarks),
    ]
    facts = sides[0].facts
    return Report(
        title=" and ".join(view.models) if len(view.models) < 3 else "Models side by side",
        subtitle="The same questions put to several models: which recalls more, in which "
        "languages, and how sure is the difference?",
        glance=(
            (str(len(view.models)), "models"),
            (f"{facts['fact_id'].n_unique():,}", "facts"),
            (str(facts["relation"].n_unique()), "relations"),
            (str(len(view.languages)), "languages"),
            (f"{sides[0].prompts.height:,}", "shared questions"),
        ),
        findings=_findings(view),
        pages=tuple(page for page in pages if page is not None),
        provenance=_provenance(run, sides),
    )


def _findings(view: View) -> tuple[Finding, ...]:
    found = []
    for matcher in view.matchers:
        found += [_better(view, matcher, other) for other in view.models[1:]]
    for matcher in view.matchers[:2]:
        found += [_above_guessing(view, matcher, model) for model in view.models]
    return tuple(f for f in found if f is not None)


def _better(view: View, matcher: str, other: str) -> Finding | None:
    first = view.models[0]
    rows = view.difference.filter(
        (pl.col("model") == other) & (pl.col("matcher") == matcher) & (pl.col("relation") == "all")
    )
    langs = rows.filter(pl.col("lang") != ALL).sort(view.place("lang"))
    pooled = rows.filter(pl.col("lang") == ALL)
    if not langs.height or not pooled.height:
        return None
    cases = [
        Case(language_name(r["lang"]), r["lo"], r["hi"], 0.0) for r in langs.iter_rows(named=True)
    ]
    ahead = sum(case.side == "for" for case in cases)
    r = pooled.row(0, named=True)
    text = (
        f"{WAYS[matcher]}, {first} is right in {percent(r['acc_reference'])} of cases and {other} "
        f"in {percent(r['acc'])} over all languages, a difference of "
        f"{with_interval(r['difference'], r['lo'], r['hi'])}; {first} is ahead in {ahead} of "
        f"{len(cases)} languages."
    )
    detail = (
        f"Claim: over all languages together {first} recalls more than {other}; paired over "
        f"{r['n']:,} facts. {first} alone is right in {percent(r['only_reference'])}, {other} "
        f"alone in {percent(r['only_model'])}. That {first} recalls more in every single language: "
        f"{judge(cases)}. {tally(cases)}"
    )
    whole = Case("all languages", r["lo"], r["hi"], 0.0)
    return Finding(text, judge([whole]), detail)


def _above_guessing(view: View, matcher: str, model: str) -> Finding | None:
    rows = view.recall.filter(
        (pl.col("model") == model)
        & (pl.col("matcher") == matcher)
        & (pl.col("relation") == "all")
        & (pl.col("lang") != ALL)
    )
    rows = rows.drop_nulls(["acc", "gc"]).sort("acc", descending=True, maintain_order=True)
    if not rows.height:
        return None
    cases = [
        Case(language_name(r["lang"]), r["gc_lo"], r["gc_hi"], 0.0)
        for r in rows.iter_rows(named=True)
    ]
    best, worst = rows.row(0, named=True), rows.row(-1, named=True)
    above = sum(case.side == "for" for case in cases)
    text = (
        f"{WAYS[matcher]}, {model} is above the best knowledge-free baseline in {above} of "
        f"{len(cases)} languages: from {percent(best['acc'])} in {language_name(best['lang'])} "
        f"(baseline {percent(best['baseline'])}) down to {percent(worst['acc'])} in "
        f"{language_name(worst['lang'])} (baseline {percent(worst['baseline'])})."
    )
    detail = (
        f"Claim: guess-corrected recall of {model} is above 0 in every language. {tally(cases)} "
        "Best and weakest were picked after looking."
    )
    return Finding(text, judge(cases), detail)


def _provenance(run: RunFolder, sides: Sequence[Side]) -> dict[str, str]:
    manifest = run.manifest
    found = {
        "Folder": run.path.name,
        "Written": str(manifest.get("created", "unknown")),
        "Command": " ".join(str(word) for word in manifest.get("command", [])),
    }
    for side in sides:
        own = side.run.manifest
        weights = side.run.table("checkpoints").filter(pl.col("ckpt_id") == side.ckpt_id)
        hashed = weights["weight_hash"][0] if weights.height else None
        versions = own.get("versions", {})
        named = ("polylore", "torch", "transformers")
        found[f"Run of {side.name}"] = "; ".join(
            [
                f"folder {side.run.path.name}",
                f"checkpoint {side.ckpt_id}",
                f"weights {(hashed or 'unknown')[:12]}",
                f"configuration {str(own.get('config_digest', 'unknown'))[:12]}",
                *(f"{name} {versions[name]}" for name in named if name in versions),
            ]
        )
    return found
