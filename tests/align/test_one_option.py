"""Questions with one option say nothing: they are not chosen from, and never break an analysis."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.facts.choices.ask import Manner, build_prompts
from polylore.facts.choices.sets import without_choice
from polylore.metrics.align.analysis import Rules, align_tables
from polylore.metrics.align.free import left_out
from polylore.runs import RunFolder
from polylore.tables import align

SYSTEM = {"model": "m", "step": 1, "mode": "rank", "variant": "item-0shot"}


def asked(sizes: list[int], dataset: str, free: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions and items with so many options; the first one is right."""
    names = [["Paris", "Rome", "Oslo"][:size] for size in sizes]
    questions = [
        {"dataset": dataset, "item": n, "lang": lang, "source_id": f"s{n}", "question": "Where?",
         "options": own, "gold_index": 0, "object": "Paris"}
        for n, own in enumerate(names) for lang in ("en", "de")
    ]  # fmt: skip
    items = [
        {"dataset": dataset, "item": n, "fact_id": f"f{n}", "relation": "r", "cluster": f"c{n}",
         "n_options": 0 if free else len(own), "gold_index": None if free else 0}
        for n, own in enumerate(names)
    ]  # fmt: skip
    return align.QUESTIONS.build(questions), align.ITEMS.build(items)


def ranked(questions: pl.DataFrame) -> pl.DataFrame:
    """Scores of every option, as runs had them that asked for such a choice; the first wins."""
    return align.OPTION_SCORES.build(
        [
            SYSTEM
            | {name: row[name] for name in ("dataset", "item", "lang")}
            | {"rotation": None, "option_index": at, "logp": -1.0 - at}
            for row in questions.iter_rows(named=True)
            for at in range(len(row["options"]))
        ]
    )


@pytest.mark.parametrize("free", [True, False])
def test_they_are_counted_and_not_asked_for_a_choice(free: bool) -> None:
    questions, items = asked([3, 1, 2] if free else [1, 1, 1], "x", free)
    assert without_choice(questions, items) == {"x": 1 if free else 3}
    modes = ("rank", "generate") if free else ("letter_ll", "text_ll", "generate")
    made = build_prompts(questions, items, modes, Manner(n_shot=0))
    told = {mode: sorted(set(own["item"])) for (mode,), own in made.group_by("mode")}
    # Whoever writes freely has everything to choose from.
    assert told == ({"rank": [0, 2], "generate": [0, 1, 2]} if free else {})


@pytest.mark.parametrize("reference", ["constants", "human:95", "own_pivot"])
def test_a_set_of_only_such_has_no_corrected_accuracy_and_says_why(reference: str) -> None:
    questions, items = asked([1, 1], "x", free=True)
    rules = Rules(draws=20, pairs="all", reference=reference)
    made = align_tables(align.ANSWERS.empty(), items, questions, ranked(questions), rules=rules)
    cells = made["align_cells"]
    assert cells["chance"].to_list() == [100.0, 100.0]
    assert cells["acc"].to_list() == [100.0, 100.0]
    assert cells["x"].null_count() == cells["ra"].null_count() == 2
    assert set(made["align_trust"]["reason"]) == {"no question has a second option"}
    assert not made["align_trust"]["usable"].any()
    pairs = made["align_consistency"]
    assert pairs["k_both"].null_count() == pairs.height == 2
    assert not pairs["interpretable"].any()


def test_beside_others_they_do_not_count() -> None:
    whole = asked([3, 1, 3], "x", free=True)
    others = [frame.filter(pl.col("item") != 1) for frame in whole]
    tables = [
        align_tables(align.ANSWERS.empty(), items, questions, ranked(questions), rules=Rules())
        for questions, items in (whole, others)
    ]
    assert tables[0]["align_cells"].equals(tables[1]["align_cells"])
    assert tables[0]["align_cells"]["n"].to_list() == [2, 2]
    assert tables[0]["align_cells"]["x"].to_list() == [1.0, 1.0]


def test_what_an_older_run_asked_of_them_is_counted_where_it_is_left_out(tmp_path: Path) -> None:
    questions, items = asked([3, 1, 3, 1], "x", free=True)
    run = RunFolder.open(tmp_path / "run", "align", {}, {})
    run.write_table("align_questions", questions)
    run.write_table("align_items", items)
    parts = {"align_answers": align.ANSWERS.empty(), "align_option_scores": ranked(questions)}
    run.write_unit("c/x/en", parts)
    told = CliRunner().invoke(cli, ["align", "report", str(run.path), "--draws", "20", "-q"])
    assert told.exit_code == 0, told.output
    line = "not counted where options were ranked: items of x with a single option (2)\n"
    assert told.output.count(line) == 1
    assert run.table("align_cells")["n"].to_list() == [2, 2]
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert page.count("Items of x with a single option (2) are left out") == 1


def test_nothing_is_said_of_sets_that_have_only_such_or_none() -> None:
    for sizes in ([3, 2], [1, 1]):
        questions, items = asked(sizes, "x", free=True)
        made = align_tables(
            align.ANSWERS.empty(), items, questions, ranked(questions), rules=Rules(draws=20)
        )
        assert left_out(made["align_free"]) == {}
