"""The published items, tokens and plan (specification of `inject`, 9.1 and 9.2)."""

import json
import re

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer

from polylore.corpus.injection import (
    Injector,
    RowFormat,
    passage_tokens,
    plan_exposure,
    published_arms,
    published_plan,
    published_schedule,
)
from polylore.corpus.injection.published import EOS
from polylore.errors import DataError
from polylore.facts.people import read_fiction, read_published


@pytest.fixture(scope="module")
def folder(published):
    return published / "fictional_knowledge"


@pytest.fixture(scope="module")
def fiction(folder):
    return read_published(folder)


@pytest.fixture(scope="module")
def encode(folder):
    tokenizer = Tokenizer.from_file(str(folder / "gpt_neox_tokenizer.json"))
    assert tokenizer.get_vocab_size() == 50_280

    def all_(texts):
        return [one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=False)]

    return all_


@pytest.fixture(scope="module")
def tokens(fiction, encode):
    return passage_tokens(fiction.passages, encode)


def test_passage_statistics(fiction, tokens):
    originals = fiction.passages.filter(variant=0)
    assert originals.height == 130
    sizes = [len(tokens[p]) for p in originals["passage_id"]]
    assert (sum(sizes), min(sizes), max(sizes)) == (64_161, 371, 686)
    assert sizes[:3] == [579, 513, 483]
    means = [np.mean(sizes[a:b]) for a, b in ((0, 40), (40, 80), (80, 120), (120, 130))]
    assert means == pytest.approx([497.850, 499.775, 483.725, 490.700])
    words = [len(text.split()) for text in originals["text"]]
    assert (np.mean(words), min(words), max(words)) == (pytest.approx(360.146, abs=5e-4), 261, 520)
    variants = fiction.passages.filter(pl.col("variant") > 0)
    sizes = [len(tokens[p]) for p in variants["passage_id"]]
    assert (len(sizes), min(sizes), max(sizes)) == (360, 120, 533)
    assert np.mean(sizes) == pytest.approx(329.308, abs=5e-4)
    shares = [
        np.mean([len(tokens[f"item-{i:03d}/{v}"]) for v in range(1, 10)])
        / len(tokens[f"item-{i:03d}/0"])
        for i in range(40)
    ]
    assert np.mean(shares) == pytest.approx(0.665727, abs=1e-6)


def test_probe_statistics(fiction, encode):
    texts = dict(fiction.passages.filter(variant=0).select("item_id", "text").iter_rows())
    first = fiction.probes.filter(pl.col("item_id") < "item-120")
    sums, targets = {}, {}
    for depth, rows in first.group_by("depth"):
        whole = encode((rows["prefix"] + rows["joiner"] + rows["target"]).to_list())
        sums[depth[0]] = (sum(map(len, whole)), max(map(len, whole)))
        own = [len(t) for t in encode((rows["joiner"] + rows["target"]).to_list())]
        targets[depth[0]] = (sum(own), np.median(own), max(own))
    assert sums == {
        "memorization": (16_500, 88),
        "semantic": (17_265, 88),
        "compositional": (14_971, 52),
    }
    assert targets == {
        "memorization": (2114, 3, 11),
        "semantic": (2114, 3, 11),
        "compositional": (2190, 3, 14),
    }
    every = fiction.probes
    joined = encode((every["prefix"] + every["joiner"] + every["target"]).to_list())
    prefix = encode(every["prefix"].to_list())
    target = encode((every["joiner"] + every["target"]).to_list())
    assert [a + b for a, b in zip(prefix, target, strict=True)] == joined
    by_depth = {depth[0]: rows for depth, rows in first.group_by("depth")}
    order = ("memorization", "semantic", "compositional")
    verbatim = [
        sum(
            f"{p} {t}" in texts[i]
            for i, p, t in by_depth[d][["item_id", "prefix", "target"]].rows()
        )
        for d in order
    ]
    assert verbatim == [589, 0, 0]
    inside = [
        sum(t in texts[i] for i, t in by_depth[d][["item_id", "target"]].rows()) for d in order
    ]
    assert inside == [600, 600, 479]
    assert [by_depth[d]["target_in_prefix"].sum() for d in order] == [1, 14, 2]
    assert [by_depth[d]["target"].str.contains(r"\d").sum() for d in order] == [91, 91, 21]
    repeated = [
        by_depth[d].group_by("item_id").agg(pl.col("target").n_unique())["target"].lt(5).sum()
        for d in order
    ]
    assert repeated == [46, 46, 12]


def test_text_statistics(fiction):
    originals = fiction.passages.filter(variant=0)
    strange = [not text.isascii() for text in originals["text"]]
    assert (sum(strange[:120]), sum(strange)) == (36, 38)
    own = [
        i
        for i, text in enumerate(originals["text"][:120])
        if re.search(r"\b(fictional|fictitious|imaginary)\b", text.lower())
    ]
    assert own == [1, 35, 50, 56, 68, 75, 86, 107, 109]
    targets = fiction.probes.filter(pl.col("item_id") < "item-040", depth="memorization")
    texts = fiction.passages.filter(pl.col("variant") > 0)
    shares, nowhere = [], 0
    for item, target in targets.select("item_id", "target").iter_rows():
        found = [target.lower() in t.lower() for t in texts.filter(item_id=item)["text"]]
        shares.append(np.mean(found))
        nowhere += not any(found)
    assert np.mean(shares) == pytest.approx(0.654444, abs=1e-6)
    assert nowhere == 39


def test_every_injected_sequence_token_for_token(folder, fiction, tokens, encode):
    """Against a plain re-reading of the files: no table, no plan, no transform."""
    plan = published_plan(fiction.passages, tokens, 2048)
    assert plan.height == 840
    items = json.loads((folder / "fictional_knowledge_paraphrased.json").read_text("utf-8"))
    expected = {}
    for k in range(120):
        expected[0, k] = items[k]["train_context"]
    for n in range(1, 10):
        for k in range(80):
            text = items[k]["paraphrases"][n - 1] if k < 40 else items[k]["train_context"]
            expected[100 * n, k] = text
    form = RowFormat(2048, EOS)
    injector = Injector(plan, tokens, form, 2048, steps=1000)
    ids = dict(zip(expected, encode(list(expected.values())), strict=True))
    background = np.random.default_rng(0).integers(1, 50_000, (120, 2048))
    total = 0
    for step in range(0, 1000, 100):
        found = injector.rows(step, np.arange(120), background)
        for row in range(120):
            passage = ids.get((step, row))
            if passage is None:
                assert (found.tokens[row] == background[row]).all()
                continue
            n = len(passage) + 1
            assert found.tokens[row, :n].tolist() == [*passage, EOS]
            assert (found.tokens[row, n:] == background[row, : 2048 - n]).all()
            total += n
        assert (found.labels == found.tokens).all()
    assert total == 358_564
    per_step = injector.dose["injected_tokens"].to_list()
    assert per_step == [
        *(59_374, 33_066, 33_612, 33_327, 33_103, 33_268, 33_422, 33_241, 33_212, 32_939)
    ]


def test_published_doses(fiction, tokens):
    small, large = (
        Injector(
            published_plan(fiction.passages, tokens, batch),
            tokens,
            RowFormat(2048, EOS),
            batch,
            allow_dose=True,
        ).dose
        for batch in (128, 2048)
    )
    rows = [100 * d["row_share"][i] for d in (large, small) for i in (0, 1)]
    assert rows == pytest.approx([5.86, 3.91, 93.75, 62.5], abs=0.01)
    sizes = ((large, 2048), (small, 128))
    tokens_placed = [100 * d["injected_tokens"][i] / b / 2048 for d, b in sizes for i in (0, 1)]
    assert tokens_placed == pytest.approx([1.42, 0.79, 22.65, 12.61], abs=0.01)
    # The first token of a row is not predicted, and here it belongs to a passage.
    for dose, batch in sizes:
        predicted = dose["injected_tokens"] - dose["injected_rows"]
        assert dose["loss_share"].to_list() == pytest.approx(list(predicted / (batch * 2047)))
    with pytest.raises(DataError, match=r"Step 0 would have 93\.75% of rows injected"):
        Injector(published_plan(fiction.passages, tokens, 128), tokens, RowFormat(2048, EOS), 128)


def test_small_batches_join_passages(fiction, tokens):
    plan = published_plan(fiction.passages, tokens, 64)
    assert plan.filter(step=0)["slot"].max() == 1
    assert plan.filter(step=0)["row"].n_unique() == 60
    joined = Injector(plan, tokens, RowFormat(2048, EOS), 64, allow_dose=True)
    assert joined.dose["injected_tokens"].sum() == 358_564


def test_arms_schedule_and_exposure(fiction, tokens):
    arms = published_arms()
    counts = dict(arms.group_by("arm").agg(pl.len()).iter_rows())
    assert counts == {"paraphrase": 40, "duplication": 40, "once": 40, "never": 10}
    assert set(fiction.controls) == set(arms.filter(arm="never")["item_id"])
    assert published_schedule().height == 840
    plan = published_plan(fiction.passages, tokens, 2048)
    table = plan_exposure(plan, fiction.passages, fiction.probes)
    own = table.filter(fact_id="item-050/mem/0")
    assert own["step_hi"].to_list() == [1 + 100 * k for k in range(10)]
    assert own["count"].to_list() == [1] * 10


def test_tables_survive_a_folder(fiction, tmp_path):
    fiction.export(tmp_path / "items")
    again = read_fiction(tmp_path / "items")
    assert again.digest() == fiction.digest()
    assert again.languages == ["en"]
