"""Planted words held against the classes of answers: precision and recall.

Two truths, both from the design alone. *Taught*: what the documents say about an item, whatever the
model then answers; it is known for natural prompts only. *Origin*: which made-up word the answer
is, token for token, in the list of the design; it is known for every answer, patched or not.
"""

from pathlib import Path

import polars as pl
from scipy.stats import binomtest

from acceptance.planted import CONCEPTS, FLAGS, MEANING, OFTEN, STEPS, TAUGHT, Design
from polylore.metrics.patching.errors import intended
from polylore.metrics.patching.transitions import matched
from polylore.studies.patch.scoring import open_patch_run

NONE = "none"
PLANTED = {
    "homograph": "homograph: right, but no different from a copy",
    "false_friend": "false friend, copied",
    "lesser_sense": "colexified word, taken in its other sense",
}
"""What has to be recovered."""
LEAST = 0.95
"""Precision and recall that are required."""
_KEYS = ["ckpt_id", "lang_a", "lang_b", "setting", "draw", "pair_id", "intervention", "onset"]


def origin(design: Design, a: int, b: int, asked: int, answered: str) -> str:
    """Which planted word an answer is, if any."""
    own = {design.words[asked, a], design.words[asked, b]}
    kind = design.kind[a, b, asked]
    if kind == "homograph" and answered in own:
        return kind
    if kind == "false_friend" and answered == design.words[asked, a]:
        return kind
    other = design.partner.get((a, b, asked))
    if other is not None and answered == design.words[other, b]:
        return "lesser_sense"
    return NONE


def named() -> pl.Expr:
    """The same, as the classes and flags of `patch` have it."""
    copied = (pl.col("category") == "copy") & (pl.col("subtype") == "copy_source")
    return (
        pl.when(pl.col("category") == "correct_homograph")
        .then(pl.lit("homograph"))
        .when(copied & pl.col("hom_false"))
        .then(pl.lit("false_friend"))
        .when(pl.col("category") == "other_sense")
        .then(pl.lit("lesser_sense"))
        .otherwise(pl.lit(NONE))
    )


def judged(folder: Path, design: Design) -> pl.DataFrame:
    """Every answer of a run with its class, and what the design says of it.

    Returns:
        step, lang_a, lang_b, asked, setting, onset, category, the flags, change (class of the
        change against the natural answer), kind, as_taught, origin, named.
    """
    run = open_patch_run(folder)
    errors = run.table("patch_errors")
    told = run.read("patch_answers").select(*_KEYS, "raw_text")
    steps = run.table("checkpoints").select("ckpt_id", "step")
    changes = matched(errors).select("ckpt_id", "lang_a", "lang_b", "pair_id", "setting",
                                     "intervention", "onset", change="class")  # fmt: skip
    table = (
        errors.join(told, on=_KEYS, how="left", nulls_equal=True)
        .join(changes, on=[k for k in _KEYS if k != "draw"], how="left", nulls_equal=True)
        .join(steps, on="ckpt_id")
        .with_columns(asked=intended(), named=named())
    )
    rows = []
    for a_code, b_code, concept, raw in table.select(
        "lang_a", "lang_b", "asked", "raw_text"
    ).iter_rows():
        a, b, c = int(a_code[1:]), int(b_code[1:]), int(concept[1:])
        answered = raw.split('"')[0]
        taught = design.taught(a, b, c)
        rows.append((design.kind[a, b, c], answered == taught, origin(design, a, b, c, answered)))
    known = pl.DataFrame(rows, schema=["kind", "as_taught", "origin"], orient="row")
    kept = ("step", "lang_a", "lang_b", "asked", "setting", "onset", "category", "named", "change",
            *dict.fromkeys(FLAGS.values()))  # fmt: skip
    return pl.concat([table.select(kept), known], how="horizontal")


def natural(answers: pl.DataFrame) -> pl.DataFrame:
    """One answer of a trained model to each item: a concept, a pair of languages, a seed."""
    return answers.filter((pl.col("step") == STEPS) & (pl.col("setting") == "src_unpatched"))


def share(right: int, of: int) -> str:
    """A share with its exact (Clopper-Pearson) 95 % interval."""
    if of == 0:
        return "–"
    ends = binomtest(right, of).proportion_ci(method="exact")
    return f"{right} of {of} = {right / of:.3f} [{ends.low:.3f}, {ends.high:.3f}]"


def kinds(answers: pl.DataFrame) -> list[str]:
    """What was planted, whether the models learned it, and what was made of it."""
    lines = ["| planted | meaning | flag raised | answered as taught | classes of the answers |"]
    lines.append("|---|---|---|---|---|")
    flags = list(dict.fromkeys(FLAGS.values()))
    for kind, flag in FLAGS.items():
        own = natural(answers).filter(pl.col("kind") == kind)
        raised = own.filter(pl.col(flag), *[~pl.col(x) for x in flags if x != flag]).height
        classes = own["category"].value_counts().sort("count", "category", descending=True)
        said = ", ".join(f"{name} {n}" for name, n in classes.iter_rows())
        lines.append(
            f"| {kind} | {MEANING[kind]}: `{TAUGHT[kind]}` | {flag} {share(raised, own.height)} | "
            f"{share(int(own['as_taught'].sum()), own.height)} | {said} |"
        )
    return [*lines, ""]


def taught_rows(answers: pl.DataFrame) -> list[str]:
    """Precision and recall against what was taught."""
    items = natural(answers)
    truth = pl.when(pl.col("kind").is_in(list(PLANTED))).then("kind").otherwise(pl.lit(NONE))
    items = items.with_columns(truth=truth)
    lines = ["| planted | precision | kept | recall | kept |", "|---|---|---|---|---|"]
    for label, said in [*PLANTED.items(), (None, "all three")]:
        true, found = _is("truth", label), _is("named", label)
        both = items.filter(true & found & (pl.col("truth") == pl.col("named"))).height
        cells = []
        for of in (items.filter(found).height, items.filter(true).height):
            cells += [share(both, of), _kept(both, of)]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return [*lines, ""]


def origin_rows(answers: pl.DataFrame) -> list[str]:
    """Precision and recall against the origin of every answer, and the same by items."""
    lines = [
        "| planted | precision | kept | recall | kept | items without false alarm | without miss |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, said in [*PLANTED.items(), (None, "all three")]:
        true, found = _is("origin", label), _is("named", label)
        cells, items = [], []
        for chosen in (found, true):
            rows = answers.filter(chosen).with_columns(right=pl.col("origin") == pl.col("named"))
            right = int(rows["right"].sum())
            cells += [f"{right} of {rows.height} = {right / max(rows.height, 1):.3f}",
                      _kept(right, rows.height)]  # fmt: skip
            whole = rows.group_by("seed", "lang_a", "asked").agg(pl.col("right").all())
            items.append(share(int(whole["right"].sum()), whole.height))
        lines.append(f"| {said} | {' | '.join([*cells, *items])} |")
    return [*lines, ""]


def classes(answers: pl.DataFrame) -> list[str]:
    """How many answers of each origin fell into each class."""
    labels = [*PLANTED, NONE]
    wide = (
        answers.group_by("category", "origin").len().sort("category")
        .pivot("origin", index="category", values="len").fill_null(0)
    )  # fmt: skip
    columns = [label for label in labels if label in wide.columns]
    lines = [f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in wide.select("category", *columns).iter_rows():
        lines.append(f"| {' | '.join(map(str, row))} |")
    return [*lines, ""]


def changed(answers: pl.DataFrame) -> list[str]:
    """What the shared vector makes of planted words."""
    rows = answers.filter(
        (pl.col("step") == STEPS) & (pl.col("setting") == "seen") & (pl.col("onset") == -1)
    )
    found = [c for c in CHANGES if (rows["change"] == c).any()]
    lines = [f"| planted | items | {' | '.join(found)} |", "|---" * (len(found) + 2) + "|"]
    for kind in FLAGS:
        own = rows.filter(pl.col("kind") == kind)
        cells = [str((own["change"] == c).sum()) for c in found]
        lines.append(f"| {kind} | {own.height} | {' | '.join(cells)} |")
    return [*lines, ""]


CHANGES = ("gain", "shift_up", "loss", "shift_down", "synonym_switch", "same", "other_change")


def lines(answers: pl.DataFrame, code: str) -> list[str]:
    """The part of the page about planted words.

    Args:
        answers: `judged` of all seeds, with their `seed`.
        code: commits that the models were patched with.
    """
    return [
        "## Planted homographs and colexified words",
        "",
        f"Required: precision and recall of at least {LEAST}.",
        "",
        f"{PLANTING} Patched with code {code}.",
        "",
        *kinds(answers),
        "Against what was *taught*: the answers of the finished models to natural prompts, one for "
        "each item. The truth is the kind of the item, whatever the model answered, so an item "
        "that was not learned counts against recall. Every item has a truth. Intervals are exact "
        "binomial ones, as if items were independent.",
        "",
        *taught_rows(answers),
        f"Against the *origin* of the answered word: all {answers.height:,} answers, from "
        "untrained to finished models, natural and patched, at all onsets with written answers. "
        "The truth is which of the made-up words the answer is, token for token, in the list of "
        "the design (half of the homographs differ in a capital letter). It holds for every "
        "answer. The classifier is told the same words by its lexicon, so this tests its rules and "
        "their order, no more. Answers to one item are alike; so the last two columns count items, "
        "each right only if all its answers are.",
        "",
        *origin_rows(answers),
        *classes(answers),
        "What the shared vector (`seen`, onset -1) changes in the finished models. Nothing is "
        "required here. On items that are not clean, wrong → right is `shift_up`, no gain.",
        "",
        *changed(answers),
    ]


PLANTING = (
    f"A third arm, `planted`: {CONCEPTS} concepts, all pairs of languages, nothing held out, "
    f"{STEPS:,} steps. In l2 → l3, l4 → l5 and l6 → l7 words are planted, other concepts in each "
    f"pair and seed; documents of these pairs are drawn {OFTEN} times as often as others. Where "
    "documents say something wrong they do so every time. Demonstrations in prompts show the right "
    "words. A pilot model (seed 90) was trained for 2,000 steps and looked at, answers and classes "
    f"included, before the seeds here: it had learnt everything by step 600, so {STEPS:,} steps "
    "were taken."
)


def _is(column: str, label: str | None) -> pl.Expr:
    return pl.col(column) != NONE if label is None else pl.col(column) == label


def _kept(right: int, of: int) -> str:
    return "yes" if of and right / of >= LEAST else "**no**"
