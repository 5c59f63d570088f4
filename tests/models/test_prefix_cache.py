"""Where strings are cut, which stand together, and on which the engines are compared."""

import random
from collections.abc import Callable

import pytest
import torch

from polylore.models import LanguageModel, Question, engines, prepare
from polylore.models.forward import collate, evaluation, target_logprobs
from polylore.models.memory import Budget
from polylore.models.packing import distinct_rows
from polylore.models.prefix_cache import KEEN, best_cuts, cached_groups, read_on_cache
from polylore.models.spans import Encoded

Make = Callable[..., LanguageModel]

DEMONSTRATIONS = list(range(100, 160))


def asked(questions: int = 4, candidates: int = 5) -> list[Encoded]:
    """Demonstrations of 60 tokens, questions of 10, answers of 3."""
    return [
        Encoded([*DEMONSTRATIONS, *[q] * 10, c, 8, 9], 70, 73)
        for q in range(questions)
        for c in range(candidates)
    ]


def test_cuts_come_after_demonstrations_and_before_answers() -> None:
    strings = [s.ids for s in asked(20, 20)]
    cost, cuts = best_cuts(strings, 70)
    assert cuts == [60, 70]
    assert cost == 60 + 20 * 10 + 400 * 3 + 3 * 64


def test_no_cut_where_nothing_is_shared_or_a_pass_costs_more() -> None:
    assert best_cuts([[1, 2, 3], [4, 5, 6]], 2)[1] == []
    assert best_cuts([[1, 2, 3], [1, 2, 6]], 2)[1] == []
    # To find out whether cuts are exact, they are made all the same.
    assert best_cuts([[1, 2, 3], [1, 2, 6]], 2, KEEN)[1] == [1, 2]
    assert best_cuts([[1, 2, 3]], 2, KEEN)[1] != []


def test_every_string_stands_in_one_group_once() -> None:
    strings = asked()
    groups = cached_groups(strings, token_budget=400)
    found = [int(k) for group in groups for row in group for k in set(row.pair_string)]
    assert sorted(found) == list(range(len(strings)))
    assert all(len(group) * max(map(len, group)) <= 400 for group in groups)
    assert len(distinct_rows([Encoded([1, 2, 3], 2, 3), Encoded([1, 2, 4], 2, 3)])) == 1


def test_the_order_of_the_rows_does_not_matter(make_model: Make) -> None:
    lm = make_model("bloom")
    rows = distinct_rows(asked())
    random.Random(0).shuffle(rows)
    with evaluation(lm.model):
        whole = target_logprobs(lm.model, collate(rows, lm.device), tree=False)
        assert len(best_cuts([row.ids.tolist() for row in rows], 69)[1]) == 2
        torch.testing.assert_close(read_on_cache(lm.model, rows), whole, atol=1e-5, rtol=0)


def test_short_and_long_strings_do_not_stand_together() -> None:
    strings = [*asked(1), Encoded([1, 2, 3], 2, 3), Encoded([1, 2, 4, 5], 2, 4)]
    groups = cached_groups(strings, token_budget=10_000)
    assert sorted(len(group) for group in groups) == [2, 5]


def test_the_sample_shows_what_could_go_wrong(make_model: Make) -> None:
    lm = make_model(max_position_embeddings=200)
    demonstrations = "The capital of Germany is Berlin. " * 3
    questions = [
        Question(demonstrations + "Japan:", " ", ("Tokyo", "Oslo")),
        *[Question(f"{n} The capital of France is", " ", ("Paris", "Lyon")) for n in range(9)],
        Question(demonstrations + "the United States of America:", " ", ("Rome", "Paris", "Bonn")),
        Question("A", " ", ("B", "C")),
        Question("The capital is", " ", ("Oslo", "The capital of Norway in the north", "P")),
    ]
    prepared = prepare(lm, questions, bos=True)
    picked = engines.sample(prepared)
    lengths = [len(s.ids) for s in prepared.strings]
    targets = [s.stop - s.start for s in prepared.strings]
    assert max(lengths[k] for k in picked) == max(lengths)
    assert max(targets[k] for k in picked) == max(targets)
    assert min(lengths[k] for k in picked) == min(lengths)
    # The question that shares its demonstrations with the longest is there, the many others not.
    assert {prepared.owner[k] for k in picked} == {0, 10, 11, 12}
    many = Question("The capital is", " ", tuple(f"{n}" * (1 + n % 5) for n in range(1, 30)))
    assert len(engines.sample(prepare(lm, [many], bos=True))) == 4


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_the_check_cuts_even_where_asking_would_not(
    make_model: Make, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # Few and short questions: nothing to gain, so nothing would be cut and nothing be compared.
    lm = make_model(kind)
    prepared = prepare(lm, [Question("A", " ", ("Paris", "B"))], bos=True)
    cuts: list[list[int]] = []
    monkeypatch.setattr(
        "polylore.models.prefix_cache.read_beginnings", lambda _, __, found: cuts.append(found)
    )
    with evaluation(lm.model):
        engines.run_rows(lm, prepared, "cached", 64, 100)
        assert not any(cuts)
        cuts.clear()
        engines.run_rows(lm, prepared, "cached", 64, 100, keen=True)
    assert cuts
    assert all(cuts)


def test_rows_of_any_order_keep_within_the_budget() -> None:
    budget = Budget(tokens=20, heads=100)
    rows = [range(2), range(2), range(6), range(6), range(1)]
    assert budget.take(rows, 0) == 3
    assert budget.take(rows, 3) == 2
