"""What the data and the network say about the language: association and readability."""

import polars as pl

from polylore.report import Block, Page, TableView
from polylore.studies.unify.context import UnifyContext

_ESTIMATORS = {
    ("attribute", "design"): "attribute_design",
    ("attribute", "plug_in"): "attribute_plug_in",
    ("attribute", "miller_madow"): "attribute_mm",
    ("attribute", "null_mean"): "attribute_null",
    ("fact", "design"): "fact_design",
    ("fact", "plug_in"): "fact_plug_in",
    ("unigram", "design"): "unigram",
    ("joint", "design"): "joint",
}


def data_page(context: UnifyContext) -> Page | None:
    """None without a table of association."""
    association = context.table("unify_association")
    if association is None:
        return None
    blocks: list[Block] = [_association(context, association)]
    blocks += [b for b in (_readability(context),) if b is not None]
    lead = (
        "How strongly facts belong to a language, and how easily that language is read: the two "
        "forces whose meeting keeps languages apart."
    )
    return Page("data", "Language in the data", lead, tuple(blocks))


def _association(context: UnifyContext, association: pl.DataFrame) -> TableView:
    who = context.runs.filter("used").select("run_hash", "condition", "final")
    rows = association.filter(relation="all").join(who, on="run_hash", maintain_order="left")
    data = rows.filter(population="training")
    frame = context.conditions.select("condition", "family", "marks", "seeds")
    for (quantity, estimator), name in _ESTIMATORS.items():
        own = data.filter(quantity=quantity, estimator=estimator)
        frame = _with_mean(frame, own, name)
    ends = rows.filter(pl.col("step") == pl.col("final"))
    for population, name in (("never_seen", "used_never"), ("mono_unseen", "used_x")):
        frame = _with_mean(frame, ends.filter(quantity="used_info", population=population), name)
    return TableView(
        "unify-association",
        "Association of facts with languages",
        "Bits, means over relations and seeds. Attribute: I(value; language | relation) by design "
        "and as realised (plug-in, Miller–Madow, mean of 200 permutations of home languages). "
        "Miller–Madow is right without parallel data only; with it, plug-in minus the permutation "
        "mean is the estimate. Used: the language's information in the network's own answers at "
        "the end, about never-seen entities and on held-out cells.",
        frame,
        {"condition": "Condition", "family": "Family", "marks": "Note", "seeds": "Seeds",
         "attribute_design": "Attribute, design", "attribute_plug_in": "Plug-in",
         "attribute_mm": "Miller–Madow", "attribute_null": "Permutation",
         "fact_design": "Fact, design", "fact_plug_in": "Fact, plug-in",
         "unigram": "One cue token", "joint": "Whole cue", "used_never": "Used, never seen",
         "used_x": "Used, on X"},
    )  # fmt: skip


def _with_mean(frame: pl.DataFrame, own: pl.DataFrame, name: str) -> pl.DataFrame:
    means = own.group_by("condition").agg(pl.col("value").mean().alias(name))
    return frame.join(means, on="condition", how="left", maintain_order="left")


def _readability(context: UnifyContext) -> TableView | None:
    probes = context.probes()
    if not probes.height:
        return None
    first = probes.filter(pl.col("step") == 0)
    last = probes.filter(pl.col("step") == pl.col("final"))
    frame = context.conditions.select("condition", "family", "cue", "i_uni", "seeds")
    for part, when in ((first, "first"), (last, "last")):
        for column in ("acc", "control_acc", "selectivity", "codelength"):
            means = part.group_by("condition").agg(pl.col(column).mean().alias(f"{column}_{when}"))
            frame = frame.join(means, on="condition", how="left", maintain_order="left")
    return TableView(
        "unify-readability",
        "How well the language can be read",
        "A linear probe on states at the answer position, last hidden state, on entities it was "
        "not trained on; control: languages permuted within each entity; selectivity: their "
        "difference; codelength: bits per item, prequential. A network passes at step 0 already "
        "where a tag stands in the prompt, so the probe alone shows no learning.",
        frame,
        {"condition": "Condition", "family": "Family", "cue": "Cue", "i_uni": "One cue token, bits",
         "seeds": "Seeds", "acc_first": "Probe, step 0", "acc_last": "Probe, end",
         "control_acc_last": "Control, end", "selectivity_last": "Selectivity, end",
         "codelength_first": "Codelength, step 0", "codelength_last": "Codelength, end"},
        dict.fromkeys(("acc_first", "acc_last", "control_acc_last"), "share"),
    )  # fmt: skip
