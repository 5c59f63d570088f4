"""Vectors at positions of sentences, and how alike they are: against the plainest references."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from zoo import ZOO

from polylore.errors import ModelError
from polylore.models import LanguageModel, Sentence, align, layers_of, place, read_vectors
from polylore.models import alignment as alignment_module
from polylore.models import hidden as hidden_module
from polylore.models.hidden import Layers, span_means
from polylore.models.sentences import POSITIONS

Make = Callable[..., LanguageModel]

SENTENCES = [
    Sentence("The capital of France is", 21, " ", "Paris"),
    Sentence("The capital of France is", 21, " ", "Berlin"),
    Sentence("New York is a city in the", 8, " ", "United States"),
    Sentence("法国的首都是", 2, "", "巴黎"),
    Sentence("日本の首都は", 2, "", "東京です。"),
    Sentence("عاصمة فرنسا هي", 11, " ", "باريس"),
    Sentence("फ़्रांस", 7, " ", "पेरिस"),
]


def naive(lm: LanguageModel, bos: bool, left: int = 0) -> np.ndarray:
    """(L, P, N, D): one forward per text, each alone; `left` pads it in front, masked."""

    def hidden(text: str) -> tuple[np.ndarray, list[tuple[int, int]], int]:
        found = lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        front = [lm.tokenizer.bos_token_id] if bos else []
        ids = [1] * left + front + found["input_ids"]
        mask = [0] * left + [1] * (len(ids) - left)
        inputs = {"input_ids": torch.tensor([ids])}
        if left:
            inputs["attention_mask"] = torch.tensor([mask])
            inputs["position_ids"] = torch.tensor([[0] * left + [*range(len(ids) - left)]])
        with torch.inference_mode():
            out = lm.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
        own = torch.stack([h[0, left + len(front) :] for h in out]).numpy()
        return own, found["offset_mapping"], len(front)

    columns = []
    for one in SENTENCES:
        asked, offsets, _ = hidden(one.prompt)
        told, _, _ = hidden(one.prompt + one.delimiter + one.answer)
        at = max(k for k, (a, b) in enumerate(offsets) if a < one.subject_end <= b)
        weight = np.arange(1, told.shape[1] + 1)
        mean = (told * weight[None, :, None]).sum(1) / weight.sum()
        columns.append(np.stack([asked[:, at], asked[:, -1], told[:, -1], mean], axis=1))
    return np.stack(columns, axis=2)


def read(lm: LanguageModel, bos: bool = True, budget: int = 64, block: Any = None) -> np.ndarray:
    layers = layers_of(lm)
    placed = place(lm, SENTENCES, POSITIONS, bos=bos)
    block = range(len(layers.widths)) if block is None else block
    return torch.stack(read_vectors(lm, placed, layers, block, token_budget=budget)).numpy()


@pytest.mark.parametrize("kind", sorted(ZOO))
def test_vectors_are_those_of_each_text_alone(kind: str, make_model: Make) -> None:
    lm = make_model(kind)
    expected = naive(lm, bos=True)
    assert expected.shape[:3] == (3, 4, len(SENTENCES))
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(read(lm), expected, rtol=1e-4, atol=1e-5)


def test_neither_batches_nor_padding_matter(make_model: Make) -> None:
    lm = make_model("llama")
    one_by_one = read(lm, bos=False, budget=1)
    np.testing.assert_allclose(read(lm, bos=False, budget=4096), one_by_one, rtol=1e-4, atol=1e-6)
    for left in (0, 5):  # padded on the left by hand, on the right by us
        np.testing.assert_allclose(one_by_one, naive(lm, False, left), rtol=1e-4, atol=1e-5)


def test_layers_in_blocks_are_the_same_to_the_last_bit(make_model: Make) -> None:
    lm = make_model("gemma3-mixed")
    whole = read(lm)
    layers = layers_of(lm)
    assert layers.after_norm
    assert layers.widths == (32, 32, 32)
    blocks = layers.blocks(vectors=10, room=2 * 10 * 32 * 4)
    assert blocks == [range(2), range(2, 3)]
    parts = np.concatenate([read(lm, block=block) for block in blocks])
    assert np.array_equal(parts, whole)
    assert layers.blocks(10, 1) == [range(1), range(1, 2), range(2, 3)]


def test_a_pass_leaves_a_bounded_number_of_bytes() -> None:
    small, large = Layers((64,) * 3, True, 4), Layers((4096,) * 33, True, 2)
    assert small.budget(2048, "cpu") == 2048
    assert large.budget(65536, "cpu") * 4096 * 33 * 2 <= 2**28
    assert large.budget(65536, "cuda") * 4096 * 33 * 2 <= 2**31


def test_hidden_states_die_with_their_pass(
    make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_model("llama")
    alive: list[weakref.ref[torch.Tensor]] = []
    passes = 0
    real = hidden_module._read

    def watched(lm: LanguageModel, ids_BS: torch.Tensor) -> Any:
        nonlocal passes
        assert not [one for one in alive if one() is not None]
        passes += 1
        output = real(lm, ids_BS)
        alive.extend(weakref.ref(one) for one in output.hidden_states)
        return output

    monkeypatch.setattr(hidden_module, "_read", watched)
    read(lm, budget=1)
    assert passes > len(SENTENCES) - 2


def test_equal_texts_are_read_once_and_nothing_twice(make_model: Make) -> None:
    lm = make_model("llama")
    placed = place(lm, SENTENCES[:3] + SENTENCES[:3], POSITIONS, bos=True)
    # A question is the beginning of its sentence: five positions of three facts, three rows.
    assert len(placed.rows) == 3
    asked = place(lm, SENTENCES[:2], ("prompt_end",), bos=True)
    assert len(asked.rows) == 1  # without answers both ask the same


def test_a_question_that_its_answer_tokenises_anew_has_its_own_row(make_model: Make) -> None:
    lm = make_model("llama")
    # The tokenizer knows "Pa" as one token.
    ids = [lm.tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("P", "Paris")]
    assert ids[1][: len(ids[0])] != ids[0]
    placed = place(lm, [Sentence("P", 1, "", "aris")], ("prompt_end", "answer_last"), bos=False)
    assert sorted(placed.rows) == sorted(ids)


def test_without_offsets_or_subject_there_is_a_sentence(make_model: Make) -> None:
    from dataclasses import replace

    lm = make_model("llama")

    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="no character offsets"):
        place(replace(lm, tokenizer=Slow()), SENTENCES, POSITIONS, bos=True)
    with pytest.raises(ModelError, match="no token of its own"):
        place(lm, [Sentence("x", 0, " ", "y")], POSITIONS, bos=True)
    with pytest.raises(ModelError, match="reads at most 64"):
        place(lm, [Sentence("x" * 900, 3, " ", "y")], POSITIONS, bos=True)
    placed = replace(place(lm, SENTENCES, POSITIONS, bos=True), tokenizer_hash="other")
    with pytest.raises(ModelError, match="another tokenizer"):
        read_vectors(lm, placed, layers_of(lm), [0], token_budget=64)


def test_golden_numbers() -> None:
    """T11 of the specification."""
    u = torch.tensor([[1.0, 0], [0, 1], [3, 4]])
    v = torch.tensor([[4.0, 3], [0, 2], [0, -1]])
    found = align(u, v, ["r"] * 3, {"all": np.ones(3, dtype=bool)})
    assert found.cos_N == pytest.approx([0.8, 1, -0.8])
    assert found.cos_N.mean() == pytest.approx(0.333333, abs=1e-6)
    assert np.clip(found.cos_N, 0, 1).mean() == pytest.approx(0.6)
    bases = {(s, r): (n, base) for s, r, n, base in found.bases}
    assert bases["all", "all"] == (3, pytest.approx(0.226667, abs=1e-6))
    assert found.cos_N.mean() - bases["all", "all"][1] == pytest.approx(0.106667, abs=1e-6)
    assert found.base_N.mean() == pytest.approx(0.226667, abs=1e-6)
    assert found.centred_N == pytest.approx([-0.686013, 0.6, -0.994893], abs=1e-6)
    assert found.hit_N.tolist() == [0, 1, 0]
    hidden = torch.tensor([[[1.0, 0], [0, 2], [3, 3]]])
    mean = span_means(hidden, *(torch.tensor([k]) for k in (0, 0, 2)))
    assert mean[0].tolist() == pytest.approx([1.666667, 2.166667], abs=1e-6)


def naive_align(
    u: np.ndarray, v: np.ndarray, relations: Sequence[str], stratum: np.ndarray
) -> dict[str, Any]:
    """The same with whole n x n matrices of cosines."""
    there = (np.abs(u).sum(1) > 0) & (np.abs(v).sum(1) > 0)
    every = np.full((len(u), len(u)), np.nan)
    for i in np.flatnonzero(there):
        for j in np.flatnonzero(there):
            every[i, j] = u[i] @ v[j] / np.linalg.norm(u[i]) / np.linalg.norm(v[j])
    same = np.array([[a == b for a in relations] for b in relations])
    apart = ~np.eye(len(u), dtype=bool)
    cos = np.diag(every).copy()
    others = np.where(apart, every, np.nan)

    def own(i: int) -> float:
        pairs = np.r_[others[i][same[i]], others[:, i][same[i]]]
        return np.nan if np.isnan(pairs).all() else float(np.nanmean(pairs))

    rivals = np.where(np.isnan(others), -np.inf, others)
    hit = cos > np.maximum(rivals.max(1), rivals.max(0))
    bases = {}
    for name in [*sorted({*relations}), "all"]:
        members = stratum & there & (True if name == "all" else np.array(relations) == name)
        pairs = others[np.ix_(members, members)]
        few = members.sum() < 2
        bases[name] = (int(members.sum()), np.nan if few else np.nanmean(pairs))
    mean = [x[there].mean(0) for x in (u, v)]
    a, b = u - mean[0], v - mean[1]
    centred = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    base = np.array([own(i) if there[i] else np.nan for i in range(len(u))])
    return {
        "cos": cos,
        "base": base,
        "hit": np.where(there, hit, np.nan),
        "centred": np.where(there, centred, np.nan),
        "bases": bases,
    }


@pytest.mark.parametrize("pairs", [300, 2**24])
def test_closed_forms_equal_whole_matrices(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment_module, "PAIRS", pairs)
    generator = np.random.default_rng(3)
    shared = generator.normal(size=(40, 16))
    u, v = (shared + 0.7 * generator.normal(size=(40, 16)) + 2 for _ in range(2))
    u[5] = v[9] = 0
    relations = [f"r{k}" for k in generator.integers(0, 4, 39)] + ["alone"]
    stratum = generator.random(40) < 0.6
    found = align(
        torch.tensor(u, dtype=torch.float32),
        torch.tensor(v, dtype=torch.float32),
        relations,
        {"all": np.ones(40, dtype=bool), "some": stratum},
    )
    expected = naive_align(u, v, relations, stratum)
    for name in ("cos", "base", "centred", "hit"):
        np.testing.assert_allclose(getattr(found, f"{name}_N"), expected[name], atol=1e-6)
    assert 0 < np.nansum(found.hit_N) < 38
    some = {r: (n, base) for s, r, n, base in found.bases if s == "some"}
    assert set(some) == set(expected["bases"])
    for relation, (n, base) in some.items():
        assert n == expected["bases"][relation][0]
        assert base == pytest.approx(expected["bases"][relation][1], abs=1e-6, nan_ok=True)


def test_vectors_that_are_all_alike_tell_nothing() -> None:
    one = torch.ones(4, 3) * torch.tensor([[1.0], [1.0], [1.0], [1.0]])
    found = align(one, 2 * one, ["r"] * 4, {"all": np.ones(4, dtype=bool)})
    assert found.cos_N == pytest.approx([1] * 4)
    assert np.isnan(found.centred_N).all()
    assert found.hit_N.tolist() == [0] * 4  # ties are no hits
    assert found.bases[-1][3] == pytest.approx(1)
    nothing = align(one[:0], one[:0], [], {"all": np.ones(0, dtype=bool)})
    assert len(nothing.cos_N) == 0
    assert nothing.bases == [("all", "all", 0, pytest.approx(np.nan, nan_ok=True))]
