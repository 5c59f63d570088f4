"""What each declared change does against its baseline arm."""

import polars as pl

from polylore.report import Block, Chart, TableView, interval, shapes
from polylore.report.numbers import in_lines, number_axis, wrapped
from polylore.studies.unify.context import UnifyContext

_OUTCOMES = (
    ("acc_x", "acc_X", "Effect on transfer"),
    ("u_norm", "U_norm, last hidden state", "Effect on unification"),
    ("t_know", "steps to half of recall", "Effect on the time of recall"),
    ("t_unify", "steps to unification", "Effect on the time of unification"),
)


def effect_blocks(context: UnifyContext) -> list[Block]:
    """Charts of the main outcomes and a table of all; nothing without declared baselines."""
    effects = context.table("unify_effects")
    if effects is None:
        return []
    marks = dict(context.conditions.select("condition", "marks").drop_nulls().iter_rows())
    labels = wrapped(
        [
            f"{arm}{_note(marks, arm)}, not {base}{_note(marks, base)}"
            for arm, base in effects.select("arm", "baseline").iter_rows()
        ]
    )
    frame = effects.with_columns(change=pl.Series(labels, dtype=pl.String))
    if context.headline()["step"].n_unique() <= 2:  # too few scores to tell when they rise
        frame = frame.filter(pl.col("outcome") != "t_unify")
    charts = [_chart(context, frame, *outcome) for outcome in _OUTCOMES]
    return [*(chart for chart in charts if chart is not None), _table(frame)]


def _note(marks: dict[str, str], condition: str) -> str:
    return f" ({marks[condition]})" if marks.get(condition) else ""


def _chart(
    context: UnifyContext, effects: pl.DataFrame, outcome: str, words: str, title: str
) -> Chart | None:
    own = effects.filter(outcome=outcome).drop_nulls("effect")
    if not own.height:
        return None
    order = own["change"].unique(maintain_order=True).to_list()
    spec = shapes.dots(
        number_axis(own, "effect", f"difference in {words}", "lo", "hi", zero=True),
        "change",
        order,
        {"arm": ("change", ""), "baseline": ("against", ""), "effect": ("difference", ".3f"),
         "lo": ("from", ".3f"), "hi": ("to", ".3f"), "value_arm": ("with", ".3f"),
         "value_baseline": ("without", ".3f"), "n_seeds": ("seeds", "d")},
        rule=0,
    )  # fmt: skip
    shown = sorted({*own["arm"], *own["baseline"]} & set(context.conditions["condition"]))
    return Chart(
        f"unify-effect-{outcome.replace('_', '-')}",
        title,
        "Change minus baseline arm, paired over seeds, with its 95 % interval over seeds (none of "
        "a single seed). " + context.said(of=shown, score=outcome.startswith("u_")),
        f"Dot plot of the difference in {words} by change.",
        in_lines(spec, order),
        own.with_columns(interval("effect")),
        {"family": "Family", "arm": "Change", "baseline": "Against", "n_seeds": "Seeds",
         "value_arm": "With", "value_baseline": "Without", "effect_ci": "Difference"},
        {"effect_ci": "interval.number"},
        "half",
    )  # fmt: skip


def _table(effects: pl.DataFrame) -> TableView:
    """All outcomes of all declared pairs of arms."""
    frame = effects.drop_nulls("effect").with_columns(interval("effect"))
    return TableView(
        "unify-effects-table",
        "All changes and outcomes",
        "Arm minus baseline, paired over seeds, with 95 % intervals over seeds. A seed "
        "that never passed a mark has no time for it; what no seed has in both arms is left out. "
        "Unfit: one of the two runs did not learn what it was told; such seeds are left out where "
        "others are fit in both arms.",
        frame,
        {"family": "Family", "arm": "Change", "baseline": "Against", "outcome": "Outcome",
         "n_seeds": "Seeds", "n_unfit": "Of them unfit", "n_left_out": "Left out",
         "value_arm": "With", "value_baseline": "Without",
         "effect_ci": "Difference", "least": "Least", "most": "Most"},
        {"effect_ci": "interval.number"},
    )  # fmt: skip
