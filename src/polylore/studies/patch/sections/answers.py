"""What the model says before and after, and of which kind that is."""

import altair as alt
import polars as pl

from polylore.metrics.patching import CATEGORIES
from polylore.report import Block, Chart, Page, TableView, shapes
from polylore.report.axes import share
from polylore.studies.patch.context import (
    METRICS,
    PatchContext,
    setting_name,
    with_pairs,
    with_words,
)

GROUPS = {
    "right": ("correct_homograph", "correct_first", "correct_alt"),
    "copied": ("copy",),
    "near or other meaning": ("other_sense", "near_synonym", "related", "form_variant"),
    "another language": ("wrong_language",),
    "leaked from the prompt": ("target_leak", "shot_leak"),
    "anything else": ("lexicon_other", "fragment", "other"),
}
"""Classes of answers in groups that can be told apart by colour."""
_WORDS = {c: c.replace("_", " ") for c in CATEGORIES}
_SETTING = "seen"


def answers_page(context: PatchContext) -> Page | None:
    """None without generated answers."""
    changes = context.table("patch_changes")
    if changes is None:
        return None
    blocks: list[Block] = [_headline(context, changes)]
    blocks += [b for subset in ("full", "clean") if (b := _matrix(context, subset)) is not None]
    if context.trajectory:
        blocks += [b for s in ("src_unpatched", _SETTING) if (b := _shares(context, s)) is not None]
    lead = (
        "Is a better answer a better translation, or has the model stopped copying, or taken the "
        "other meaning of a word?"
    )
    return Page("answers", "What changes", lead, tuple(blocks))


def _headline(context: PatchContext, changes: pl.DataFrame) -> TableView:
    onset = _onset(context, changes)
    rows = context.at_end(changes).filter(pl.col("onset") == onset)
    keys = ["lang_a", "lang_b", "setting", "intervention", "subset"]
    curves = context.at_end(context.tables["patch_curves"]).filter(
        (pl.col("metric") == context.metric) & (pl.col("cell") == "src_b")
    )
    after = curves.filter((pl.col("at") == "onset") & (pl.col("onset") == onset))
    before = curves.filter(pl.col("setting") == "src_unpatched")
    frame = rows.join(after.select(*keys, p_after="mean"), on=keys, how="left").join(
        before.select("lang_a", "lang_b", "subset", p_before="mean"),
        on=["lang_a", "lang_b", "subset"],
        how="left",
    )
    frame = with_pairs(with_words(frame, "setting", "vector")).sort(
        "vector", "languages", "subset", descending=[False, False, True]
    )
    return TableView(
        "patch-changes",
        "Before and after, and what the difference is made of",
        f"Vectors put in from block {onset} on, last checkpoint. On clean items a right answer "
        "cannot come from a word spelled alike, a second meaning or a second form: only there is "
        "a change a gain or a loss. McNemar's exact test; adjusted over language pairs "
        f"(Benjamini-Hochberg). Probability: {METRICS[context.metric]}.",
        frame,
        {"vector": "Vector", "languages": "Languages", "subset": "Items", "n_items": "n",
         "acc_unpatched": "Right before", "acc_patched": "Right after",
         "p_before": "Probability before", "p_after": "after", "gain": "Gain",
         "shift_up": "Shift up", "loss": "Loss", "shift_down": "Shift down", "p": "p",
         "p_bh": "p, adjusted"},
        {"acc_unpatched": "share", "acc_patched": "share", "p_before": "share",
         "p_after": "share"},
    )  # fmt: skip


def _onset(context: PatchContext, changes: pl.DataFrame) -> int:
    """The earliest block from which the shared vector gives most right answers at the end."""
    rows = context.at_end(changes).filter(
        (pl.col("setting") == _SETTING) & (pl.col("subset") == "full")
    )
    rows = rows if rows.height else context.at_end(changes)
    best = rows.group_by("onset").agg(pl.col("acc_patched").mean())
    return int(best.sort("acc_patched", "onset", descending=[True, False])["onset"][0])


def _matrix(context: PatchContext, subset: str) -> Chart | None:
    cells, changes = context.table("patch_transitions"), context.table("patch_changes")
    if cells is None or changes is None:
        return None
    onset = _onset(context, changes)
    rows = context.at_end(context.here(cells, subset=subset)).filter(
        (pl.col("setting") == _SETTING) & (pl.col("onset") == onset)
    )
    if not rows.height:
        return None
    # Wrong-to-right cells may hold gains and shifts; the picture shows both together.
    frame = (
        rows.group_by("from", "to")
        .agg(pl.col("n", "share").sum(), pl.col("class").sort().str.join(", "))
        .with_columns(
            pl.col("from", "to").replace_strict(_WORDS, return_dtype=pl.String),
            count=pl.col("n").cast(pl.String),
        )
        .sort("n", "from", "to", descending=[True, False, False])
    )
    order = [_WORDS[c] for c in CATEGORIES]
    spec = shapes.heat_map(
        alt.X("to:N", sort=order, title=f"with the vector of {setting_name(_SETTING)}",
              axis=alt.Axis(labelAngle=-40)),
        alt.Y("from:N", sort=order, title="unpatched"),
        "share",
        "share of items",
        {"from": ("before", ""), "to": ("after", ""), "n": ("items", ","),
         "share": ("share", ".1%"), "class": ("change", "")},
        # Beyond the largest share, so that the darkest cell still lets its number be read.
        domain=(0, max(0.1, 1.6 * float(frame["share"].to_numpy().max()))),
        rows_count=frame["from"].n_unique(),
        row=22,
        mark="count",
    )  # fmt: skip
    words = "all items" if subset == "full" else "clean items"
    return Chart(
        f"patch-transitions-{subset}",
        f"From what to what: {words}",
        f"Answers for the source word unpatched (rows) and to the patched prompt (columns), "
        f"vectors put in from block {onset} on; the diagonal did not change. "
        + context.conditions(pl.Series([int(frame["n"].sum())])),
        f"Matrix of answer classes before and after, {words}.",
        spec,
        frame,
        {"from": "Before", "to": "After", "n": "n", "share": "Share", "class": "Change"},
        {"share": "share"},
        "half",
    )


def _shares(context: PatchContext, setting: str) -> Chart | None:
    shares, changes = context.table("patch_shares"), context.table("patch_changes")
    if shares is None or changes is None:
        return None
    rows = context.here(shares).filter(pl.col("setting") == setting)
    if setting == _SETTING:
        rows = rows.filter(pl.col("onset") == _onset(context, changes))
    if not rows.height:
        return None
    group = {c: name for name, members in GROUPS.items() for c in members}
    order = {name: i for i, name in enumerate(GROUPS)}
    sums = rows.with_columns(
        group=pl.col("category").replace_strict(group, return_dtype=pl.String)
    ).group_by("ckpt_id", "group").agg(pl.col("share", "n").sum())  # fmt: skip
    places = rows.select("ckpt_id", "step", "tokens").unique()
    # Every group at every checkpoint, so that areas have no holes.
    whole = places.join(pl.DataFrame({"group": list(GROUPS)}), how="cross").join(
        sums, on=["ckpt_id", "group"], how="left"
    ).with_columns(pl.col("share", "n").fill_null(0))  # fmt: skip
    ranked = whole.sort(pl.col("group").replace_strict(order, return_dtype=pl.Int64))
    frame = context.placed(
        ranked.with_columns(end=pl.col("share").cum_sum().over("ckpt_id")).with_columns(
            start=pl.col("end") - pl.col("share")
        )
    )
    spec = shapes.single(
        shapes.areas(
            context.axis.encode("x", context.axis_title),
            share("start", "share of answers", axis=alt.Y),
            "end",
            "group",
            list(GROUPS),
            {"group": ("", ""), "label": (context.axis_title, ""), "share": ("share", ".1%"),
             "n": ("answers", ",")},
        )
    )  # fmt: skip
    words = setting_name(setting)
    return Chart(
        f"patch-shares-{setting.replace('_', '-')}",
        f"Kinds of answers over training: {words}",
        "All answers are right, or wrong in one of these ways; the twelve classes behind the "
        "groups are in the table of shares. "
        + context.conditions(frame.group_by("ckpt_id").agg(pl.col("n").sum())["n"]),
        f"Stacked areas of kinds of answers over training, {words}.",
        spec,
        frame,
        {"label": context.axis_title.capitalize(), "group": "Answer", "n": "n", "share": "Share"},
        {"share": "share"},
        "wide",
    )
