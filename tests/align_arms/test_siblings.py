"""Manifests prove what differs between arms (`align`, 2.7, 4.4 and 9.7.10)."""

import copy
from typing import Any

import pytest

from polylore.errors import ConfigError
from polylore.studies.align.arms.siblings import Pair, compare_pair, usual_pairs


def manifest(arm: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "run_id": f"{arm}/seed{seed}", "arm": arm, "kind": "mix", "seed": seed,
        "start": {"from": "start", "hash": "s"}, "data": {"hash": arm},
        "design": {"lang": None, "ratio": {"qaa": 1}, "new": None, "replay": 0.0, "match": None,
                   "target": None, "design": "pair", "translate": None,
                   "parallel_exposure": False, "shuffled": False, "source": None},
        "targets": [], "target": None,
        "train": {"learning_rate": 0.001, "global_batch": 8}, "method": {"name": "full"},
        "budget": {"updates": 10, "until": "end", "match": "total"}, "versions": {"torch": "2"},
        "machine": {"device": "cpu", "dtype": "float32", "code": "c"},
        "spent": {"updates": 10, "input_tokens": 1000, "loss_tokens": 900, "seconds": 1.0,
                  "by_language": {"qaa": {"input_tokens": 1000}}},
    }  # fmt: skip
    for path, value in changes.items():
        where, *rest = path.split("__")
        place = made
        for name in (where, *rest)[:-1]:
            place = place[name]
        place[(where, *rest)[-1]] = value
    return made


def row(one: dict[str, Any], other: dict[str, Any], factor: str = "data") -> dict[str, Any]:
    return compare_pair(Pair(one["arm"], other["arm"], factor), [one, other])


def test_arms_with_other_text_are_siblings() -> None:
    found = row(manifest("a", design__ratio={"qab": 1}), manifest("b"))
    assert found["siblings"]
    assert found["beyond"] == []
    assert any(sentence.startswith("design.ratio") for sentence in found["differs"])
    assert found["budget"] == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train__learning_rate": 0.002}, "train.learning_rate: 0.001 there, 0.002 here"),
        ({"start__hash": "other"}, "start"),
        ({"versions__torch": "3"}, "versions.torch"),
        ({"machine__dtype": "bfloat16"}, "machine.dtype"),
        ({"machine__device": "cuda"}, "machine.device"),
        ({"machine__code": "d"}, "machine.code"),
        ({"method__name": "lora"}, "method.name"),
        ({"spent__input_tokens": 1020}, "budgets differ by 2.0%"),
        ({"spent__updates": 11}, "budgets differ by 9.1%"),
    ],
)
def test_a_second_difference_is_found(change: dict[str, Any], named: str) -> None:
    found = row(manifest("a", **change), manifest("b"))
    assert not found["siblings"]
    assert any(sentence.startswith(named) for sentence in found["beyond"])


def test_budgets_within_one_percent_are_matched() -> None:
    assert row(manifest("a", spent__input_tokens=1009), manifest("b"))["siblings"]


def test_a_factor_allows_its_own_part_only() -> None:
    slow = manifest("a", train__learning_rate=0.002, data__hash="b")
    assert row(slow, manifest("b"), "rate")["siblings"]
    assert not row(manifest("a"), manifest("b"), "rate")["siblings"]  # other data
    after = manifest("a", start__hash="x", data__hash="b")
    assert row(after, manifest("b"), "start")["siblings"]
    assert not row(after, manifest("b"), "replay")["siblings"]


def test_training_may_change_what_is_read_but_not_how_it_is_learned() -> None:
    assert row(manifest("a", kind="itune"), manifest("b"), "training")["siblings"]
    faster = row(manifest("a", train__learning_rate=0.002), manifest("b"), "training")
    assert faster["beyond"] == ["train.learning_rate: 0.001 there, 0.002 here"]
    assert not row(manifest("a", method__name="lora"), manifest("b"), "training")["siblings"]
    assert not row(manifest("a", spent__updates=11), manifest("b"), "training")["siblings"]


def test_beside_no_training_everything_but_the_start_may_differ() -> None:
    nothing = manifest("none", kind="none", budget__updates=0, machine={}, spent__updates=0)
    arm = manifest("a", train__learning_rate=0.002, method__name="lora")
    found = row(arm, nothing, "training")
    assert found["siblings"]
    assert found["budget"] is None
    assert not row(manifest("a", start__hash="x"), nothing, "training")["siblings"]
    assert not row(manifest("a", versions__torch="3"), nothing, "training")["siblings"]


def injection(arm: str, injected: int, updates: int = 10, **changes: Any) -> dict[str, Any]:
    read = {lang: {"input_tokens": 9, "injected": injected} for lang in ("qaa", "qab")}
    return manifest(arm, kind="inject", spent__by_language=read, spent__updates=updates,
                    budget__updates=updates, data__hash="d", **changes)  # fmt: skip


def test_replay_is_compared_at_equal_exposures() -> None:
    plain = injection("inj", 40)
    half = injection("half", 20, design__replay=0.5)
    found = row(half, plain, "replay")
    assert found["beyond"] == ["exposures of injected facts differ by 50.0%"]
    twice = row(injection("twice", 40, 20, design__replay=0.5), plain, "replay")
    assert twice["siblings"]
    assert twice["budget"] == 0
    # Until a gate passes, what is equal is the gate.
    gated = {"budget__until": "gate 0.9"}
    both = injection("half", 20, design__replay=0.5, **gated), injection("inj", 40, **gated)
    assert row(*both, "replay")["siblings"]


def test_budgets_of_the_target_count_where_they_are_matched() -> None:
    other = manifest("b", spent__by_language={"qab": {"input_tokens": 500}}, target="qab")
    one = manifest(
        "a", spent__by_language={"qab": {"input_tokens": 501}, "qaa": {"input_tokens": 900}},
        spent__input_tokens=1401, spent__updates=14, budget__match="target", budget__updates=14,
        target="qab",
    )  # fmt: skip
    assert row(one, other)["siblings"]
    one["spent"]["by_language"]["qab"]["input_tokens"] = 600
    assert not row(one, other)["siblings"]


def test_one_bad_seed_is_enough() -> None:
    pair = Pair("a", "b", "data")
    every = [manifest(arm, seed) for arm in "ab" for seed in (0, 1)]
    assert compare_pair(pair, every)["siblings"]
    spoilt = copy.deepcopy(every)
    spoilt[1]["train"]["global_batch"] = 16
    assert not compare_pair(pair, spoilt)["siblings"]
    with pytest.raises(ConfigError, match="no trained arm 'c'; there are a, b"):
        compare_pair(Pair("c", "b", "data"), every)


def test_the_usual_comparisons_name_one_factor_each() -> None:
    inject = {"kind": "inject", "targets": ["qab"], "target": "qab"}
    arms = [
        manifest("none", kind="none"),
        manifest("base_mix", design__ratio="start"),
        manifest("cpt", kind="cpt", target="qab"),
        manifest("mix", design__ratio={"qaa": 1, "qab": 1}),
        manifest("it", kind="itune"),
        manifest("inj/qab", **inject),
        manifest("back/qab", **inject, design__translate=["t>s", "s>t"]),
        manifest("two/qab", **inject, design__shuffled=True, design__replay=0.5),
        manifest("cpt>inj/qab", **inject, start={"from": "cpt", "hash": "c"}),
    ]
    found = {(p.arm, p.minus): p.factor for p in usual_pairs(arms)}
    assert found == {
        ("cpt", "base_mix"): "data", ("mix", "base_mix"): "data", ("mix", "cpt"): "data",
        ("it", "none"): "training", ("inj/qab", "none"): "training",
        ("back/qab", "none"): "training", ("back/qab", "inj/qab"): "translate",
        ("two/qab", "none"): "training", ("cpt>inj/qab", "inj/qab"): "start",
    }  # fmt: skip
