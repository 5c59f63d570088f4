"""The linter finds what it promises, and nothing in a clean set."""

import polars as pl

from polylore.facts import FactSet, lint


def found(factset: FactSet, rule: str) -> list[tuple[str | None, str | None, int]]:
    rows = lint(factset).filter(pl.col("rule") == rule)
    return list(rows.select("lang", "relation", "count").iter_rows())


def severities(factset: FactSet) -> dict[str, str]:
    return dict(lint(factset).select("rule", "severity").unique().iter_rows())


def test_a_clean_set_has_only_notes(capitals: FactSet) -> None:
    assert severities(capitals) == {"same_object_as_pivot": "note"}
    assert found(capitals, "same_object_as_pivot") == [("fr", None, 2)]
    assert lint(capitals.filter(languages=["zh"])).is_empty()


def test_strings(make) -> None:
    rows = [
        ("a", "r", "en", "Mexico City", "Mexico"),
        ("b", "r", "en", "Niger River", "Niger"),
        ("c", "r", "en", "Lagos", "Nigeria"),
        ("d", "r", "en", "Lagos", "Lagos State"),
        ("e", "r", "en", "Oslo", "Norway"),
        ("f", "r", "en", "Oslo", "Norway"),
        ("g", "r", "en", "Que\u0301bec", "Canada"),
        ("h", "r", "en", "Riga ", "Latvia"),
    ]
    factset = make(rows)
    assert found(factset, "answer_in_subject") == [("en", "r", 2)]
    assert found(factset, "prefix_conflict") == [("en", "r", 2)]
    assert found(factset, "several_golds") == [("en", "r", 2)]
    assert found(factset, "duplicate_triple") == [("en", "r", 2)]
    assert found(factset, "not_nfc") == [("en", "r", 1)]
    assert found(factset, "outer_space") == [("en", "r", 1)]
    row = lint(factset).filter(pl.col("rule") == "duplicate_triple").row(0, named=True)
    assert row["examples"] == ["e: Oslo -> Norway", "f: Oslo -> Norway"]
    assert severities(factset)["duplicate_triple"] == "warning"


def test_gaps(make) -> None:
    rows = [
        ("a", "r", "en", "x", "1"),
        ("b", "r", "en", "y", "2"),
        ("b", "r", "fr", "ý", "3"),
        ("c", "r", "fr", "z", "4"),
    ]
    factset = make(rows)
    assert found(factset, "missing_facts") == [("en", "r", 1), ("fr", "r", 1)]


def test_candidates(make) -> None:
    rows = [
        ("a", "r", "en", "Lagos", "Nigeria"),
        ("b", "r", "en", "Lagos", "Lagos State"),
        ("a", "r", "fr", "Lagos", "Nigéria"),
        ("b", "r", "fr", "Lagos", "Lagos"),
    ]
    factset = make(
        rows,
        candidates=[
            ["Lagos State", "Nigeria"],
            ["Oslo", "Lagos State"],
            ["Oslo", "Nigéria"],
            ["Lagos", "Lagos"],
        ],
        candidate_ids=[["1", "2"], ["3", "4"], ["1", "2"], ["4", "3"]],
        gold_pos=[1, 1, 1, 1],
    )
    assert found(factset, "gold_among_distractors") == [("en", "r", 1)]
    assert found(factset, "duplicate_candidates") == [("fr", "r", 1)]
    assert found(factset, "candidates_not_parallel") == [(None, "r", 2)]
    assert severities(factset)["candidates_not_parallel"] == "error"
    assert found(factset, "gold_position") == [("en", None, 2), ("fr", None, 2)]
    assert lint(factset)["severity"].to_list()[0] == "error"


def test_wordings(make) -> None:
    templates = [
        ("r", "en", "prompt", 0, "<subject> is <mask>."),
        ("r", "en", "prompt", 1, "<mask> of <subject>"),
        ("r", "en", "prompt", 2, "<subject>: <mask>"),
        ("r", "en", "prompt", 3, "<subject>: <mask>"),
        ("r", "en", "statement", 0, "<subject> and <subject> are <mask>."),
        ("mention", "en", "mention", 0, "<name> and <name>"),
    ]
    factset = make([("a", "r", "en", "x", "y"), ("a", "r", "fr", "x", "z")], templates)
    assert found(factset, "subject_after_mask") == [("en", "r", 1)]
    assert found(factset, "text_after_mask") == [(None, None, 2)]
    assert found(factset, "repeated_slot") == [("en", "r", 1), ("en", "mention", 1)]
    assert found(factset, "duplicate_wording") == [("en", "r", 2)]
    assert found(factset, "no_prompt") == [("fr", "r", 1)]
    assert severities(factset)["no_prompt"] == "error"


def test_published_sets(klar_with_candidates: FactSet) -> None:
    assert found(klar_with_candidates, "gold_text_differs") == [("zh", None, 122)]
    assert found(klar_with_candidates, "subject_text_differs") == [("zh", None, 276)]
    assert "error" not in severities(klar_with_candidates).values()
