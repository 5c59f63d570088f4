"""What arms read: ordinary facts, rows, replay, budgets (`align`, 4.3, 4.4 and 9.7.10)."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from polylore.errors import ConfigError, DataError
from polylore.studies.align.arms.rows import ArmRows, write_packed, write_single
from polylore.studies.align.arms.tokenised import Document, cut, fits

BLANK = -100


def document(*ids: int, start: int = 1, lang: str = "qaa") -> Document:
    return Document(np.array(ids, dtype=np.int32), start, lang, "text")


def test_ordinary_facts_leave_the_held_out_wording_to_the_test(workshop) -> None:
    shop = workshop()
    primer, texts = shop.material.primer, shop.material.texts
    sentences = {part: set(texts.filter(part=part)["response"]) for part in ("text", "heldout")}
    assert not sentences["text"] & sentences["heldout"]
    assert len(sentences["heldout"]) == 3 * len(primer.facts)
    told = texts.filter(pl.col("part") == "start", pl.col("fact_id").is_not_null())
    by_lang = dict(told.group_by("lang").agg(pl.col("fact_id").n_unique()).iter_rows())
    assert by_lang == {"qaa": 8, "qab": 4, "qac": 4}
    asked = set(texts.filter(part="question")["fact_id"])
    assert asked == {fact.id for fact in primer.facts if fact.instructed}
    tested = shop.material.sets.items.filter(dataset="questions.free")["fact_id"]
    assert set(tested) == {fact.id for fact in primer.facts} - asked


def test_names_of_ordinary_subjects_are_nobody_elses(workshop) -> None:
    shop = workshop()
    for tongue in shop.material.primer.tongues:
        own = [shop.material.primer.name(tongue, n) for n in range(8)]
        assert len(set(own)) == 8
        for world in shop.material.worlds.values():
            assert not set(own) & set(world.facts.filter(lang=tongue.lang)["subject"])


def test_every_text_is_known_to_the_tokenizer_and_facts_are_equally_long(workshop) -> None:
    shop = workshop()
    tokenizer = shop.kitchen.reader.tokenizer
    sizes = set()
    for part in ("start", "text"):
        for own in shop.kitchen.part(part).values():
            sizes |= {len(one.ids) for one in own}
            assert all(tokenizer.unk_token_id not in one.ids for one in own)
    assert len(sizes) == 1  # so that equal rows are equal tokens, translations included
    for world in shop.material.worlds.values():
        for text in world.rows["response"]:
            assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
    name = shop.material.worlds["qab"].facts["subject"][0]
    assert tokenizer.decode(tokenizer(name)["input_ids"]) == name.lower()


def test_a_mix_has_its_tokens_exact_to_one_document(workshop, tmp_path: Path) -> None:
    arm = {"name": "m", "kind": "mix", "ratio": {"qaa": 5, "qab": 2, "qac": 1}}
    shop = workshop(arms=[arm], budget={"updates": 7})
    shop.kitchen.write(shop.nodes["m"], 0, tmp_path / "a")
    rows = ArmRows(tmp_path / "a")
    assert rows.steps == 7
    read = rows.read
    assert read["row"].to_list() == list(range(56))
    counts = dict(read.group_by("lang").agg(pl.col("input_tokens").sum()).iter_rows())
    longest = int(read["input_tokens"].max())
    for lang, share in (("qaa", 5), ("qab", 2), ("qac", 1)):
        assert abs(counts[lang] - share / 8 * sum(counts.values())) <= longest
    shop.kitchen.write(shop.nodes["m"], 0, tmp_path / "b")
    shop.kitchen.write(shop.nodes["m"], 1, tmp_path / "c")
    digests = [ArmRows(tmp_path / name).digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_budgets_are_matched_in_all_or_by_the_target(workshop, tmp_path: Path) -> None:
    ratio = {"qaa": 1, "qab": 1, "qac": 2}
    arms = [
        {"name": "cpt", "kind": "cpt", "lang": "qab"},
        {"name": "total", "kind": "mix", "ratio": ratio},
        {"name": "target", "kind": "mix", "ratio": ratio, "match": "target", "target": "qab"},
    ]
    shop = workshop(arms=arms, budget={"updates": 10})
    tokens = {}
    for name in ("base_mix", "cpt", "total", "target"):
        shop.kitchen.write(shop.nodes[name], 0, tmp_path / name)
        read = ArmRows(tmp_path / name).read
        tokens[name] = dict(read.group_by("lang").agg(pl.col("input_tokens").sum()).iter_rows())
    sums = {name: sum(own.values()) for name, own in tokens.items()}
    assert sums["base_mix"] == sums["cpt"] == sums["total"]
    assert sums["target"] == 4 * sums["cpt"]
    assert abs(tokens["target"]["qab"] - tokens["cpt"]["qab"]) <= 8  # one document
    assert tokens["base_mix"]["mul"] > 0
    wrong = [{"name": "x", "kind": "mix", "ratio": ratio, "match": "target", "target": "qzz"}]
    bad = workshop(arms=wrong)
    with pytest.raises(ConfigError, match="reads none in 'qzz'"):
        bad.kitchen.budget(bad.nodes["x"])


def test_an_injection_replays_the_same_share_of_every_update(workshop, tmp_path: Path) -> None:
    arm = {"name": "i", "kind": "inject", "targets": "qab", "replay": 0.25, "updates": 50}
    shop = workshop(arms=[arm])
    node = shop.nodes["i/qab"]
    shop.kitchen.write(node, 0, tmp_path / "rows")
    rows = ArmRows(tmp_path / "rows")
    injected = ~rows.read["block"].is_in(["start"]).to_numpy()
    assert (injected.reshape(50, 8).sum(axis=1) == 6).all()
    world = shop.material.worlds["qab"]
    first = rows.read.filter(pl.Series(injected)).head(world.rows.height)
    counts = dict(first.group_by("block").len().iter_rows())
    assert counts == dict(world.rows.group_by("block").len().iter_rows())  # one whole epoch
    tokenizer = shop.kitchen.reader.tokenizer
    batch = rows.rows(0, range(8))
    learned = np.where(batch.labels == BLANK, tokenizer.pad_token_id, batch.labels)
    said = [tokenizer.decode(row, skip_special_tokens=True) for row in learned]
    answers = {tokenizer.decode(tokenizer(text)["input_ids"]) for text in world.rows["response"]}
    own = [text for text, new in zip(said, injected[:8], strict=True) if new]
    assert own
    assert set(own) <= answers
    assert (batch.labels[:, 0] == BLANK).all()


def test_variants_teach_the_same_facts_otherwise(workshop, tmp_path: Path) -> None:
    plain = {"kind": "inject", "targets": "qab", "updates": 3}
    arms = [
        {"name": "t", "translate": []},
        {"name": "both", "translate": ["t>s", "s>t"]},
        {"name": "ceiling", "parallel_exposure": True},
        {"name": "turned", "shuffled": True},
        {"name": "row", "design": "row", "targets": ["qab", "qac"]},
    ]
    shop = workshop(arms=[plain | arm for arm in arms])
    blocks = {}
    for name in ("t/qab", "both/qab", "ceiling/qab", "turned/qab", "row"):
        blocks[name] = {one.block for one in shop.kitchen._injected(shop.nodes[name])}
    base = {"source_0", "source_1", "target_0"}
    assert blocks["t/qab"] == base
    assert blocks["both/qab"] == base | {"translate_ts", "translate_st"}
    assert blocks["ceiling/qab"] == base | {"target_1", "translate_ts"}
    one = shop.kitchen._injected(shop.nodes["both/qab"])
    both = shop.kitchen._injected(shop.nodes["row"])
    sources = [sum(d.block == "source_0" for d in own) for own in (one, both)]
    assert sources[0] == sources[1]  # rows of the source are shared
    assert sum(d.block == "target_0" for d in both) == 2 * sum(d.block == "target_0" for d in one)


def test_more_exposures_than_wordings_are_as_many_in_every_language(workshop) -> None:
    arms = [
        {"name": "i", "kind": "inject", "targets": "qab", "updates": 1},
        {"name": "row", "kind": "inject", "design": "row", "updates": 1},
    ]
    shop = workshop(arms=arms, data={"world": {"train_wordings": 2, "exposures": 5}})
    for name, langs in (("i/qab", ["qaa", "qab"]), ("row", ["qaa", "qab", "qac"])):
        told: dict[tuple[str, str | None], int] = {}
        for one in shop.kitchen._injected(shop.nodes[name]):
            if one.block in ("source_0", "source_1", "target_0"):
                told[one.lang, one.fact_id] = told.get((one.lang, one.fact_id), 0) + 1
        assert set(told.values()) == {5}, name
        assert sorted({lang for lang, _ in told}) == langs


def test_packed_rows_are_full_and_go_on(tmp_path: Path, workshop) -> None:
    made = [document(9, 1, 2, 0), document(9, 5, 0, start=2)]
    form = workshop().kitchen.reader.form(5, padded=False)
    write_packed(made, [0, 1, 0, 1], form, 1, 2, tmp_path / "rows")
    rows = ArmRows(tmp_path / "rows")
    stream = np.concatenate([rows.rows(k, [0]).tokens[0] for k in range(2)])
    assert stream.tolist() == [9, 1, 2, 0, 9, 5, 0, 9, 1, 2]
    labels = np.concatenate([rows.rows(k, [0]).labels[0] for k in range(2)])
    assert labels.tolist() == [BLANK, 1, 2, 0, BLANK, BLANK, 0, BLANK, 1, 2]
    assert rows.read["row"].to_list() == [0, 1, 1]
    with pytest.raises(DataError, match="holds 4 tokens"):
        write_packed(made, [0], form, 1, 2, tmp_path / "short")


def test_long_texts_are_cut_and_rows_without_anything_to_learn_are_left_out(
    tmp_path: Path, workshop
) -> None:
    long = document(*range(12))
    assert [len(piece.ids) for piece in cut(long, 5)] == [5, 5, 2]
    assert fits(document(*range(6), start=5), 5) is None
    kept = fits(document(*range(6), start=4), 5)
    assert kept is not None
    assert kept.loss_tokens == 1
    write_single([kept], [0], workshop().kitchen.reader.form(5, padded=True), 1, tmp_path / "r", 3)
    assert ArmRows(tmp_path / "r").left_out == 3
    shop = workshop(train={"context": 8}, arms=[{"name": "i", "kind": "inject", "updates": 1}])
    with pytest.raises(DataError, match="anything to learn within 8 tokens"):
        shop.kitchen.write(shop.nodes["i/qab"], 0, tmp_path / "none")


def test_rows_beyond_the_arm_are_refused(workshop, tmp_path: Path) -> None:
    shop = workshop()
    shop.kitchen.write(shop.nodes["cpt_B"], 0, tmp_path / "rows")
    rows = ArmRows(tmp_path / "rows")
    with pytest.raises(DataError, match="4 steps of 8 rows"):
        rows.rows(4, [0])
    with pytest.raises(DataError, match="4 steps of 8 rows"):
        rows.rows(0, [8])
