"""What each concept vector does, by the block from which on it is put in."""

import altair as alt
import polars as pl

from polylore.report import Block, Chart, Page, interval, shapes
from polylore.report.axes import share, upper
from polylore.report.languages import name as language_name
from polylore.studies.patch.context import (
    BAR,
    PatchContext,
    setting_name,
    with_words,
)

_VECTORS = ("seen", "tgt", "en_en", "self", "norm_matched")
_ORDER = (*_VECTORS, "random_concept", "shuffled_mean", "grand_mean", "gauss", "shots_shuffled",
          "identity")  # fmt: skip
PATCHED, SOURCE, TARGET = "patched", "source prompt, unpatched", "target prompt, unpatched"
_LINES = (PATCHED, SOURCE, TARGET)
_TIPS = {
    "panel": ("vector", ""),
    "line": ("", ""),
    "onset": ("from block", "d"),
    "mean": ("probability", ".3f"),
    "sim_lo": ("from", ".3f"),
    "sim_hi": ("to", ".3f"),
    "n_items": ("items", ","),
}


EITHER = "either"
_CONCEPTS = {"src": "source", "tgt": "target", EITHER: EITHER}


def onsets_page(context: PatchContext) -> Page | None:
    """None without a patched setting."""
    curves = context.table("patch_curves")
    if curves is None or not context.interventions:
        return None
    blocks: list[Block] = [_curves(context, curves)]
    blocks += [
        b for b in (_course(context), _same_k(context), _last_token(context)) if b is not None
    ]
    lead = (
        "A concept read off other prompts is written over the word of the prompt, from one block "
        "to the last: does the model then name it?"
    )
    return Page("onsets", "Where a vector works", lead, tuple(blocks))


def _curves(context: PatchContext, curves: pl.DataFrame) -> Chart:
    rows = context.at_end(context.here(curves))
    patched = rows.filter(pl.col("at") == "onset")
    there = set(patched["setting"])
    order = [s for s in _ORDER if s in there] + sorted(there - set(_ORDER) - {"samek"})
    patched = patched.filter(pl.col("setting").is_in(order)).with_columns(line=pl.lit(PATCHED))
    onsets = patched.select("setting", "onset").unique()
    flat = [
        onsets.join(
            rows.filter(pl.col("setting") == setting).drop("setting", "onset"), how="cross"
        ).with_columns(line=pl.lit(line))
        for setting, line in (("src_unpatched", SOURCE), ("tgt_unpatched", TARGET))
    ]
    columns = ["setting", "onset", "line", "mean", "lo", "hi", "sim_lo", "sim_hi", "n_items"]
    frame = pl.concat([part.select(columns) for part in (patched, *flat)])
    place = {s: i for i, s in enumerate(order)}
    frame = with_words(frame, "setting", "panel").sort(
        pl.col("setting").replace_strict(place, return_dtype=pl.Int64), "line", "onset"
    )
    spec = shapes.panels(
        shapes.lines(
            _blocks(frame, "from block"),
            share("mean", None, upper(frame, "mean", "sim_hi"), axis=alt.Y),
            _TIPS,
            series="line",
            order=_LINES,
            band=("sim_lo", "sim_hi"),
        ),
        "panel",
        [setting_name(s) for s in order],
    )
    return Chart(
        "patch-onsets",
        "Every vector and every control, by onset",
        "Probability of naming the source concept when its vector is put in from this block on; "
        "−1 also replaces the input of the first block. The last onset can change nothing. Band: "
        "95 %, simultaneous over onsets and checkpoints. Beside it what the model does by itself "
        "with the source word and with the target word. "
        + context.conditions(frame["n_items"]),
        "Small multiples of the probability of the source concept by onset, one panel per vector.",
        spec,
        frame.with_columns(interval("mean"), interval("mean", "sim_lo", "sim_hi").alias("band")),
        {"panel": "Vector", "line": "Run", "onset": "From block", "n_items": "n",
         "mean_ci": "Probability", "band": "Simultaneous"},
        {"mean_ci": "interval", "band": "interval"},
        "panels",
    )  # fmt: skip


def _blocks(frame: pl.DataFrame, title: str) -> alt.X:
    """The axis of blocks: a label at whole numbers only, at most six of them."""
    onsets = sorted(frame["onset"].unique())
    values = onsets[:: -(-len(onsets) // 6)]
    return alt.X("onset:Q", title=title, axis=alt.Axis(values=values, format="d"))


def _course(context: PatchContext) -> Chart | None:
    contrasts = context.table("patch_contrasts")
    if contrasts is None or not context.trajectory:
        return None
    rows = context.here(contrasts).filter(
        (pl.col("contrast") == "seen-random_concept") & (pl.col("at") == "onset")
    )
    if not rows.height:
        return None
    frame = context.placed(rows).with_columns(
        mark=pl.when(pl.col("sim_lo") > BAR).then(pl.lit("•")).otherwise(pl.lit(""))
    )
    onsets = sorted(frame["onset"].unique())
    spec = shapes.heat_map(
        alt.X("label:O", sort=context.checkpoints["label"].to_list(), title=context.axis_title,
              axis=alt.Axis(labelAngle=-40)),
        alt.Y("onset:O", sort=onsets, title="from block"),
        "mean",
        "mean over other languages − another concept",
        {"label": (context.axis_title, ""), "onset": ("from block", ""), "mean": ("gain", ".3f"),
         "sim_lo": ("from", ".3f"), "sim_hi": ("to", ".3f"), "n_items": ("items", ",")},
        domain=(0, upper(frame, "mean")),
        rows_count=len(onsets),
        row=16,
        mark="mark",
    )  # fmt: skip
    return Chart(
        "patch-map",
        "Blocks and training",
        f"How much more the concept's own vector does than another concept's. A dot: above {BAR} "
        "by the band that holds for all cells together. " + context.conditions(frame["n_items"]),
        "Heat map of the gain over another concept's vector, onset by checkpoint.",
        spec,
        frame.with_columns(interval("mean", "sim_lo", "sim_hi")),
        {"label": context.axis_title.capitalize(), "onset": "From block", "n_items": "n",
         "mean_ci": "Gain, simultaneous"},
        {"mean_ci": "interval"},
        "half",
    )  # fmt: skip


def _same_k(context: PatchContext) -> Chart | None:
    samek = context.table("patch_samek")
    if samek is None:
        return None
    rows = context.at_end(context.here(samek)).filter(
        (pl.col("at") == "best_crossfit") & pl.col("draw").is_null()
    )
    if not rows.height:
        return None
    other = context.at_end(context.here(context.tables["patch_curves"])).filter(
        (pl.col("at") == "best_crossfit") & (pl.col("setting") == "tgt")
    )
    tgt = other["mean"][0] if other.height else None
    frame = rows.sort("k").with_columns(tgt=pl.lit(tgt, pl.Float64))
    axis = alt.X("k:Q", title="language pairs averaged", axis=alt.Axis(tickMinStep=1),
                 scale=alt.Scale(type="log", nice=False))  # fmt: skip
    spec = shapes.single(
        shapes.lines(
            axis,
            share("mean", "probability", upper(frame, "mean", "hi", "tgt"), axis=alt.Y),
            {"k": ("language pairs", "d"), "mean": ("probability", ".3f"), "lo": ("from", ".3f"),
             "hi": ("to", ".3f"), "tgt": ("same language pair", ".3f")},
            band=("lo", "hi"),
            reference="tgt" if tgt is not None else None,
        )
    )  # fmt: skip
    return Chart(
        "patch-samek",
        "What averaging alone does",
        "The mean over other languages made from fewer of them; dashed: the vector of the same "
        "language pair, which is a single one. Compare the two at one. Best onset, cross-fitted. "
        + context.conditions(frame["n_items"]),
        "Line of the probability of the source concept by the number of averaged language pairs.",
        spec,
        frame.with_columns(interval("mean")),
        {"k": "Language pairs", "n_items": "n", "mean_ci": "Probability",
         "tgt": "Same pair"},
        {"mean_ci": "interval", "tgt": "share"},
        "half",
    )  # fmt: skip


def _last_token(context: PatchContext) -> Chart | None:
    """Four cells of the last-token patch (Dumas et al. 2025): which concept, which language."""
    curves = context.tables["patch_curves"]
    rows = context.at_end(curves).filter(
        pl.col("intervention").str.starts_with("last_token")
        & (pl.col("at") == "onset")
        & (pl.col("subset") == "full")
        & (pl.col("metric") == context.metric)
    )
    if not rows.height:
        return None
    # The first language pair: the experiment has one.
    a, b = rows.select("lang_a", "lang_b").sort("lang_a", "lang_b").row(0)
    own = rows.filter((pl.col("lang_a") == a) & (pl.col("lang_b") == b))
    cells = _telling(own)
    words = {c: _cell_words(c, a, b) for c in cells}
    frame = own.filter(pl.col("cell").is_in(cells)).with_columns(
        line=pl.col("cell").replace_strict(words, return_dtype=pl.String)
    ).sort("line", "onset")  # fmt: skip
    spec = shapes.single(
        shapes.lines(
            _blocks(frame, "patched block"),
            share("mean", "probability", upper(frame, "mean", "hi"), axis=alt.Y),
            {k: v for k, v in _TIPS.items() if k != "panel"},
            series="line",
            order=[words[c] for c in cells],
            band=("lo", "hi"),
        )
    )
    return Chart(
        "patch-last-token",
        "Which concept, in which language",
        "The last token's state is put into one block of another prompt: the four likeliest "
        "answers, and either concept in the pivot. Only items whose words differ between languages "
        "count where the language is the question.",
        "Lines of the probability of five answers by the patched block.",
        spec,
        frame.with_columns(interval("mean")),
        {"line": "Answer", "onset": "Block", "n_items": "n", "mean_ci": "Probability"},
        {"mean_ci": "interval"},
        "half",
    )


def _telling(rows: pl.DataFrame) -> list[str]:
    """The four likeliest cells of one concept, and the cell that both share in the pivot."""
    best = rows.group_by("cell").agg(pl.col("mean").max()).sort("mean", "cell", descending=True)
    shared = [c for c in best["cell"] if c.startswith(EITHER)]
    apart = {f"{concept}_{c.partition('_')[2]}" for c in shared for concept in ("src", "tgt")}
    return [c for c in best["cell"] if c not in {*shared, *apart}][:4] + shared


def _cell_words(cell: str, a: str, b: str) -> str:
    concept, _, lang = cell.partition("_")
    spoken = {"a": a, "b": b}.get(lang, lang)
    return f"{_CONCEPTS[concept]} concept in {language_name(spoken)}"
