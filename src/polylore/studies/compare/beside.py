"""What stands beside the numbers of a comparison: tokens, answers, method."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from polylore.report import Chart, Definitions, Page, TableView, shapes
from polylore.studies.compare.config import CompareConfig
from polylore.studies.compare.view import WAYS, View, many
from polylore.studies.trace.context import with_names


def tokens_page(view: View) -> Page | None:
    """How names are cut into tokens; None if no candidates were scored."""
    if view.tokens is None:
        return None
    rows = view.tokens.filter(pl.col("relation") == "all")
    frame = with_names(rows.sort(view.place("lang"), view.series()))
    top = frame["tokens"].max()
    spec = shapes.dots(
        alt.X("tokens:Q", title="tokens per candidate",
              axis=alt.Axis(tickCount=6),
            scale=alt.Scale(domain=[0, top if isinstance(top, float) else 1], nice=True)),
        "language",
        view.names[:-1],
        {"language": ("language", ""), "model": ("model", ""),
         "tokens": ("tokens per candidate", ".2f"), "whole": ("one token", ".0%"),
         "bytes_per_token": ("bytes per token", ".1f"), "n": ("candidates", ",")},
        series="model",
        series_order=view.models,
        interval=None,
    )  # fmt: skip
    chart = Chart(
        "tokens",
        "Tokens per candidate",
        "A name that a tokenizer cuts into many pieces must be put together again by the model. "
        f"Every different candidate counts once; {many(frame['n'])} per language.",
        "Dot plot of the mean number of tokens per candidate by language and model.",
        spec,
        frame,
        {"language": "Language", "model": "Model", "n": "n", "tokens": "Tokens",
         "whole": "One token", "bytes_per_token": "Bytes per token"},
        {"whole": "share", "tokens": "number", "bytes_per_token": "number"},
        "wide",
    )  # fmt: skip
    lead = "Low recall may begin with the tokenizer."
    return Page("tokens", "Names in tokens", lead, (chart,))


def answers_page(view: View) -> Page | None:
    """What each model said, fact by fact; None if nobody answered freely."""
    first = view.sides[0]
    frame = first.prompts.select("fact_id", "lang", "variant").join(
        first.facts.select("fact_id", "lang", "relation", "subject", "object"),
        on=["fact_id", "lang"],
        how="left",
        maintain_order="left",
    )
    labels = {
        "lang": "Language",
        "relation": "Relation",
        "subject": "Subject",
        "object": "Expected",
    }
    formats = {"lang": "lang", "subject": "text@lang", "object": "text@lang"}
    if frame["variant"].n_unique() > 1:
        labels["variant"] = "Wording"
    keys = ["fact_id", "lang", "variant"]
    for number, side in enumerate(view.sides):
        said = side.answers.filter(pl.col("mode") == "generate")
        if not said.height:
            return None
        graded = side.grades.filter(pl.col("matcher") == "default")
        right = graded.select(*keys, pl.col("y").alias(f"y{number}"))
        text = pl.col("raw_text").str.strip_chars().str.split("\n").list.first()
        said = said.select(*keys, text.alias(f"said{number}"))
        for part in (said, right):
            frame = frame.join(part, on=keys, how="left", maintain_order="left")
        labels |= {f"said{number}": f"{side.name} says", f"y{number}": "Right"}
        formats[f"said{number}"] = "text@lang"
    table = TableView(
        "answers",
        "Free answers",
        "The first line that each model wrote, as it came, and whether it counts as right. The "
        "whole table is in the run folders.",
        frame.sort(view.place("lang"), maintain_order=True),
        labels,
        formats,
    )
    lead = "Read a few before believing a number: wrong may mean in another language or script."
    return Page("answers", "What they said", lead, (table,))


def method_page(view: View, config: CompareConfig, remarks: Sequence[str]) -> Page:
    """How the numbers were made."""
    same = "The runs differ in the model alone." if not remarks else "See the first part."
    items = [
        ("The same questions", "Compared are questions that all runs asked with the same text, "
         "demonstrations included, the same accepted answers and the same candidates. " + same),
        *((WAYS[m], _MATCHER_WORDS[m]) for m in view.matchers if m in _MATCHER_WORDS),
        ("Baseline", "The best of what is reached without knowing the fact: chance, the commonest "
         "answer, copying a demonstration, and the same model's answers to a prompt without a "
         "subject. The last may differ between models."),
        ("Intervals", f"95 % percentile intervals from {config.draws:,} bootstrap draws of whole "
         f"facts within relations, seed {config.seed}; one draw serves all models and languages, "
         "so differences are paired. They cover the choice of facts, not of wordings or "
         "trainings." if config.draws else "None were computed, so no claim is confirmed."),
        ("All languages", "A fact counts with its mean over languages."),
        ("What this does not say", "Recall depends on wording, matcher and candidates. Models of "
         "other size, data and tokenizer differ in all of these at once, so a difference is no "
         "explanation. One prompt per question leaves out how a model reads other wordings."),
    ]  # fmt: skip
    block = Definitions("Words used here", tuple(items))
    return Page("method", "Method", "How the numbers were made, and their limits.", (block,))


_MATCHER_WORDS = {
    "default": "The first line written begins with an accepted answer, case and punctuation "
    "aside, and ends it at a word boundary where the script has them.",
    "paper": "The published match: the answer begins with the gold or the gold with the answer.",
    "candidates": "The right candidate has the highest log-probability, summed over its tokens.",
    "candidates_pmi": "The same after subtracting each candidate's log-probability when the "
    "question names no subject, so that names that are likely anyway gain nothing.",
}
