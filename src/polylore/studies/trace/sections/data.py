"""Data: what was asked, in which words, what the set can show, and what was read in training."""

import polars as pl

from polylore.report import Block, Page, TableView
from polylore.studies.trace.context import Context
from polylore.studies.trace.sections.facts import exposure_at
from polylore.studies.trace.sections.series import series_blocks


def data_page(context: Context) -> Page | None:
    """None if the run holds no table about its data."""
    makers = (_training, _prompts, _data_report, _lint)
    blocks: list[Block] = [b for make in makers if (b := make(context)) is not None]
    blocks += series_blocks(context)
    if not blocks:
        return None
    lead = "What was asked and what was read: the limits of every number above start here."
    return Page("data", "Data", lead, tuple(blocks))


def _training(context: Context) -> TableView | None:
    counts = exposure_at(context)
    if counts is None or context.final is None:
        return None
    end = counts.filter(pl.col("ckpt_id") == context.final)
    read = pl.col("exposure")
    frame = end.group_by("lang", maintain_order=True).agg(
        facts=pl.len(),
        documents=read.sum(),
        unread=(read == 0).sum(),
        unread_share=(read == 0).mean(),
        median=read.filter(read > 0).median(),
        most=read.max(),
    )
    design = context.table("design")
    labels = {
        "lang": "Language", "facts": "Facts", "documents": "Documents that tell them",
        "unread": "Never read", "unread_share": "Never read, share",
        "median": "Median per fact read", "most": "Most",
    }  # fmt: skip
    if design is not None:
        held = design.group_by("lang").agg(held_out=(pl.col("dose") == 0).mean())
        frame = frame.join(held, on="lang", how="left", maintain_order="left")
        labels["held_out"] = "Held out by design"
    return TableView(
        "training-card",
        "What had been read by the last checkpoint",
        "Documents that tell a fact in the language, counted in the order of training. "
        + context.conditions(frame["facts"]),
        frame,
        labels,
        {"lang": "lang", "unread_share": "share", "held_out": "share"},
        ("documents", True),
    )


def _prompts(context: Context) -> TableView | None:
    prompts, facts = context.table("prompts"), context.table("facts")
    if prompts is None or facts is None:
        return None
    shared = prompts.group_by("fact_id", maintain_order=True).agg(pl.col("lang").n_unique())
    most = shared.sort("lang", descending=True, maintain_order=True)["fact_id"][0]
    rows = prompts.filter(pl.col("fact_id") == most).unique(
        ["lang", "variant"], keep="first", maintain_order=True
    )
    answers = facts.select("fact_id", "lang", "relation", "object")
    frame = rows.join(answers, on=["fact_id", "lang"], how="left", maintain_order="left")
    # Demonstrations are whole lines before the question.
    question = pl.col("text").str.split("\n").list.last()
    shots = frame["n_shot"].max()
    return TableView(
        "prompts-table",
        "What was asked",
        f"One fact ({most}) in each language and wording. Up to {shots} demonstrations in the same "
        "form stand before it, one a line; the table of prompts holds every text in full. "
        + context.conditions(prompts["fact_id"].n_unique()),
        frame.with_columns(question=question),
        {"lang": "Language", "variant": "Wording", "n_shot": "Demonstrations",
         "question": "Question", "object": "Expected"},
        {"lang": "lang", "question": "text@lang", "object": "text@lang"},
        None,
    )  # fmt: skip


def _data_report(context: Context) -> TableView | None:
    table = context.table("data_report")
    if table is None:
        return None
    return TableView(
        "data-report",
        "What the fact set can and cannot show",
        "Identical strings, answers inside subjects and one-sided objects let a model be right "
        "without knowing. " + context.conditions(table["n"]),
        table,
        {"lang": "Language", "relation": "Relation", "n": "n", "distinct_objects": "Objects",
         "majority_share": "Majority", "chance": "Chance", "copy_demo": "Copied demonstration",
         "one_char_baseline": "One character (paper)", "same_object": "Object as in pivot",
         "same_pair": "Pair as in pivot", "answer_in_subject": "Answer in subject",
         "prefix_conflicts": "Prefix conflicts", "multi_gold": "Several golds",
         "duplicate_triples": "Duplicates", "object_bytes_over_20": "Objects over 20 bytes",
         "missing_languages": "Missing in"},
        {"lang": "lang", "majority_share": "share", "chance": "share", "copy_demo": "share",
         "one_char_baseline": "share"},
        None,
    )  # fmt: skip


def _lint(context: Context) -> TableView | None:
    table = context.table("lint")
    if table is None:
        return None
    return TableView(
        "lint-table",
        "Findings of the linter",
        "Places in the fact set that a person should look at. " + context.conditions(
            sum(table["count"])
        ).replace(" facts.", " places."),
        table,
        {"severity": "Severity", "rule": "Rule", "lang": "Language", "relation": "Relation",
         "count": "Places", "message": "What it means", "examples": "Examples"},
        {"lang": "lang"},
        ("severity", False),
    )  # fmt: skip
