"""The derived tables of a planted run (specification of `patch`, sections 2, 6 and 9).

The lexicon has 20 homographs, 20 colexified pairs and 40 plain concepts; the scripted model copies
homographs and takes the other reading of colexified words when nothing is patched, and translates
all of them when a vector is put in.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.metrics import patching
from polylore.metrics.patching import Forms
from polylore.metrics.patching.transitions import matched

N = 20
TOKENS = [0, 1_000, 2_000, 4_000, 8_000]


@pytest.fixture(scope="module")
def planted(make: SimpleNamespace) -> SimpleNamespace:
    """20 false homographs (h), 20 words with two meanings (x, y) and 40 plain concepts (c)."""
    words: dict[str, dict[str, list[str]]] = {}
    for i in range(N):
        # English « homograph » is French for something else.
        words[f"h{i:02d}"] = {"en": [f"homograph{i:02d}"], "fr": [f"traduit{i:02d}"]}
        words[f"g{i:02d}"] = {"en": [f"mislead{i:02d}"], "fr": [f"homograph{i:02d}"]}
        words[f"x{i:02d}"] = {"en": [f"double{i:02d}"], "fr": [f"premier{i:02d}"]}
        words[f"y{i:02d}"] = {"en": [f"double{i:02d}"], "fr": [f"second{i:02d}"]}
        words[f"c{i:02d}"] = {"en": [f"plain{i:02d}"], "fr": [f"simple{i:02d}", f"autre{i:02d}"]}
        words[f"d{i:02d}"] = {"en": [f"other{i:02d}"], "fr": [f"ailleurs{i:02d}"]}
    lexicon = make.lexicon(words)
    asked = [f"{kind}{i:02d}" for kind in "hxd" for i in range(N)]
    pairs = make.pairs([(s, f"g{(i * 7) % N:02d}") for i, s in enumerate(asked)])
    rows: list[dict[str, Any]] = []
    for pair in pairs.iter_rows(named=True):
        s = pair["fact_id"]
        kind, own = s[0], words[s]
        natural = {"h": own["en"][0], "x": f"second{s[1:]}", "d": own["fr"][0]}[kind]
        if s == "d19":
            natural = "simple05"  # one plain error that stays as it is
        patched = natural if s == "d19" else own["fr"][0]
        for setting, onset, text in (
            ("src_unpatched", None, natural),
            ("seen", 0, patched),
        ):
            keys = make.keys(pair, "en", "fr", setting, onset)
            rows.append(keys | {"raw_text": f'{text}"\n'})
    return SimpleNamespace(
        lexicon=lexicon,
        pairs=pairs,
        flags=make.flags(lexicon, [("en", "fr")]),
        answers=make.answers(rows),
        checkpoints=make.checkpoints([1_000]),
    )


def scores_of(answers: pl.DataFrame, make: SimpleNamespace) -> pl.DataFrame:
    columns = [*make.keys({"pair_id": "", "fact_id": "", "fact_id_target": ""}, "", "", "", 0)]
    rows = answers.select(columns).to_dicts()
    return make.scores([row | {"logp_full": -1.0, "p_first": 0.5} for row in rows])


@pytest.fixture(scope="module")
def tables(planted: SimpleNamespace, make: SimpleNamespace) -> dict[str, pl.DataFrame]:
    return patching.patch_tables(
        scores_of(planted.answers, make), planted.answers, planted.pairs, planted.checkpoints,
        planted.lexicon.frame, planted.flags, draws=200,
    )  # fmt: skip


def test_planted_answers_are_recognised(tables: dict[str, pl.DataFrame]) -> None:
    errors = tables["patch_errors"].filter(pl.col("setting") == "src_unpatched")
    kinds = errors.group_by(pl.col("fact_id").str.head(1), "category").len()
    assert sorted(kinds.rows()) == [
        ("d", "correct_first", 19),
        ("d", "lexicon_other", 1),
        ("h", "copy", 20),
        ("x", "other_sense", 20),
    ]
    flags = errors.group_by(pl.col("fact_id").str.head(1)).agg(
        pl.col("hom_false", "colex_a", "clean").sum()
    )
    assert sorted(flags.rows()) == [("d", 0, 0, 20), ("h", 20, 0, 0), ("x", 0, 20, 0)]


def test_planted_changes_are_no_gains(tables: dict[str, pl.DataFrame]) -> None:
    changes = {r["subset"]: r for r in tables["patch_changes"].iter_rows(named=True)}
    full, clean = changes["full"], changes["clean"]
    assert (full["gain"], full["shift_up"], full["loss"], full["shift_down"]) == (0, 40, 0, 0)
    assert (clean["gain"], clean["shift_up"], clean["n_items"]) == (0, 0, 20)
    assert full["acc_patched"] - full["acc_unpatched"] == 40 / 60
    assert clean["acc_patched"] == clean["acc_unpatched"] == 19 / 20
    assert (full["n01"], full["n10"]) == (40, 0)
    assert full["p"] == pytest.approx(2 * 0.5**40)
    assert clean["p"] == 1
    cells = tables["patch_transitions"].filter(pl.col("subset") == "full")
    assert sorted(cells.select("from", "to", "class", "n").rows()) == [
        ("copy", "correct_first", "shift_up", 20),
        ("correct_first", "correct_first", "same", 19),
        ("lexicon_other", "lexicon_other", "same", 1),
        ("other_sense", "correct_first", "shift_up", 20),
    ]
    copied = cells.filter(pl.col("from") == "copy").row(0, named=True)
    assert copied["share"] == pytest.approx(1 / 3)
    assert 0.1 < copied["lo"] < 1 / 3 < copied["hi"] < 0.6


def test_shares_of_classes_add_up(tables: dict[str, pl.DataFrame]) -> None:
    shares = tables["patch_shares"]
    sums = shares.group_by("setting", "subset").agg(pl.col("share").sum(), pl.col("n").sum())
    assert sums["share"].to_list() == pytest.approx([1.0] * 4)
    assert dict(zip(sums["subset"], sums["n"], strict=True)) == {"full": 60, "clean": 20}
    row = only(shares, setting="src_unpatched", subset="full", category="copy")
    assert (row["n"], row["share"]) == (20, pytest.approx(1 / 3))
    assert row["lo"] < 1 / 3 < row["hi"]


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_identity_holds_for_any_answers(make: SimpleNamespace, seed: int) -> None:
    generator = np.random.default_rng(seed)
    words = {
        f"c{i}": {"en": [f"en{i}" if i % 3 else f"fr{i}"], "fr": [f"fr{i}", f"alt{i}"]}
        for i in range(12)
    }
    lexicon = make.lexicon(words)
    pairs = make.pairs([(f"c{i}", f"c{(i + 1) % 12}") for i in range(12)])
    said = ["fr{0}", "alt{0}", "en{0}", "fr{1}", "zzz", ""]
    rows = []
    for pair in pairs.iter_rows(named=True):
        i = int(pair["fact_id"][1:])
        for setting, onset in (("src_unpatched", None), ("seen", 0), ("seen", 1)):
            text = said[generator.integers(len(said))].format(i, (i + 1) % 12)
            rows.append(make.keys(pair, "en", "fr", setting, onset) | {"raw_text": text})
    answers = make.answers(rows)
    found = patching.patch_tables(
        scores_of(answers, make), answers, pairs, make.checkpoints([1_000]), lexicon.frame,
        make.flags(lexicon, [("en", "fr")]), draws=20,
    )["patch_changes"]  # fmt: skip
    assert found.height >= 2
    for r in found.iter_rows(named=True):
        net = r["gain"] + r["shift_up"] - r["loss"] - r["shift_down"]
        right = [round(r[c] * r["n_items"]) for c in ("acc_patched", "acc_unpatched")]
        assert right[0] - right[1] == net == r["n01"] - r["n10"]


def test_synonyms_switch_and_shots_leak(make: SimpleNamespace) -> None:
    lexicon = make.lexicon(
        {
            "a": {"en": ["one"], "fr": ["un", "premier"], "es": ["uno"]},
            "b": {"en": ["two"], "fr": ["deux"], "es": ["dos"]},
            "s": {"en": ["tree"], "fr": ["arbre"], "es": ["árbol"]},
        }
    )
    pairs = make.pairs([("a", "b")], shots=["s"])
    pair = pairs.row(0, named=True)
    rows = [
        make.keys(pair, "en", "fr", setting, onset) | {"raw_text": text}
        for setting, onset, text in (
            ("src_unpatched", None, "un"),
            ("seen", 0, "premier"),
            ("seen", 1, "arbre"),
            ("tgt_unpatched", None, "deux"),
            ("tgt", 0, "deux"),
        )
    ]
    flags = make.flags(lexicon, [("en", "fr")])
    errors = patching.error_classes(make.answers(rows), pairs, Forms(lexicon.frame), flags)
    classes = {(r["setting"], r["onset"]): r["category"] for r in errors.iter_rows(named=True)}
    assert classes == {
        ("src_unpatched", None): "correct_first",
        ("seen", 0): "correct_alt",
        ("seen", 1): "shot_leak",
        ("tgt_unpatched", None): "correct_first",
        ("tgt", 0): "target_leak",
    }
    changes = matched(errors).filter(pl.col("setting") == "seen").sort("onset")["class"].to_list()
    assert changes == ["synonym_switch", "shift_down"]
    with pytest.raises(DataError, match="no flags for 'a' from en to fr"):
        patching.error_classes(make.answers(rows), pairs, Forms(lexicon.frame), flags.clear())
    with pytest.raises(DataError, match="the pair 'p0000'"):
        patching.error_classes(make.answers(rows), pairs.clear(), Forms(lexicon.frame), flags)


# --- curves -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(make: SimpleNamespace) -> dict[str, pl.DataFrame]:
    """Five checkpoints, three language pairs, four onsets; `seen` rises at the fourth."""
    concepts = [f"c{i:02d}" for i in range(16)]
    words = {
        c: {lang: [f"{lang}{c}"] for lang in ("en", "fr", "es", "de")}
        | ({"fr": [f"fr{c}", f"alt{c}"]} if i < 4 else {})
        for i, c in enumerate(concepts)
    }
    lexicon = make.lexicon(words)
    langs = [("es", "fr"), ("de", "fr"), ("fr", "en")]
    pairs = make.pairs([(concepts[i], concepts[(i + 5) % 16]) for i in range(16)])
    generator = np.random.default_rng(0)
    level = {"seen": [0.02, 0.02, 0.1, 0.5, 0.6], "random_concept": [0.02] * 5}
    level |= {"tgt": [0.02, 0.1, 0.5, 0.6, 0.6], "src_unpatched": [0.02, 0.3, 0.6, 0.7, 0.8]}
    level |= {"en_en": [0.02, 0.02, 0.1, 0.5, 0.5], "self": [0.02, 0.02, 0.1, 0.4, 0.5]}
    rows = []
    for k in range(5):
        for a, b in langs:
            for pair in pairs.iter_rows(named=True):
                for setting, by_k in level.items():
                    if setting == "self" and b == "en":
                        continue
                    for onset in (None,) if setting == "src_unpatched" else (-1, 0, 1, 2, 3):
                        p = by_k[k] if onset in (None, 0, 1) else 0.02
                        p = float(np.clip(p * generator.uniform(0.9, 1.1), 1e-4, 1))
                        keys = make.keys(pair, a, b, setting, onset, ckpt_id=f"c{k}")
                        rows.append(keys | {"logp_full": np.log(p), "p_first": min(1.0, p * 1.2)})
                for size, draw in ((1, 0), (1, 1), (2, 2)):
                    p = by_size(size) * level["seen"][k] / 0.6
                    keys = make.keys(pair, a, b, "samek", 0, ckpt_id=f"c{k}")
                    keys |= {"k": size, "draw": draw}
                    rows.append(keys | {"logp_full": np.log(p + 0.01 * draw), "p_first": p})
    return patching.patch_tables(
        make.scores(rows), make.answers([]), pairs, make.checkpoints(TOKENS), lexicon.frame,
        make.flags(lexicon, langs), draws=200,
    )  # fmt: skip


def by_size(k: int) -> float:
    return {1: 0.3, 2: 0.5}[k]


def only(frame: pl.DataFrame, **where: Any) -> dict[str, Any]:
    rows = frame.filter(*(pl.col(c).eq_missing(pl.lit(v)) for c, v in where.items()))
    assert rows.height == 1, rows
    return rows.row(0, named=True)


HERE = {"lang_a": "es", "lang_b": "fr", "metric": "p_full", "subset": "full"}


def test_curves_give_means_intervals_and_bands(course: dict[str, pl.DataFrame]) -> None:
    curves = course["patch_curves"]
    row = only(curves, **HERE, ckpt_id="c4", setting="seen", at="onset", onset=0, cell="src_b")
    assert row["mean"] == pytest.approx(0.6, rel=0.03)
    assert row["sim_lo"] <= row["lo"] < row["mean"] < row["hi"] <= row["sim_hi"]
    assert row["rowwise_lo"] < row["mean"] < row["rowwise_hi"]
    assert (row["n_items"], row["step"], row["tokens"]) == (16, 400, 8_000)
    best = only(curves, **HERE, ckpt_id="c4", setting="seen", at="best_crossfit", cell="src_b")
    assert best["mean"] == pytest.approx(0.6, rel=0.05)
    # L = 4: onsets 0 and 1, both at the top.
    half = only(curves, **HERE, ckpt_id="c4", setting="seen", at="mean_first_half", cell="src_b")
    assert half["mean"] == pytest.approx(0.6, rel=0.05)
    plain = only(curves, **HERE, ckpt_id="c4", setting="src_unpatched", cell="src_b")
    assert (plain["at"], plain["onset"], plain["intervention"]) == ("unpatched", None, "none")


def test_clean_items_are_those_without_flags(course: dict[str, pl.DataFrame]) -> None:
    where = HERE | {"subset": "clean"}
    row = only(
        course["patch_curves"], **where, ckpt_id="c4", setting="tgt", at="onset", onset=0,
        cell="src_b",
    )  # fmt: skip
    # Four concepts have two French words.
    assert row["n_items"] == 12


def test_pools_of_language_pairs(course: dict[str, pl.DataFrame]) -> None:
    curves = course["patch_curves"].filter(pl.col("setting") == "seen")
    langs = set(curves.select("lang_a", "lang_b").unique().rows())
    assert langs == {("es", "fr"), ("de", "fr"), ("fr", "en"), ("all", "fr"), ("all", "all")}
    where = {"metric": "p_full", "subset": "full", "ckpt_id": "c4", "at": "onset", "onset": 0}
    row = only(curves, **where, lang_a="all", lang_b="all", cell="src_b")
    assert row["n_items"] == 48


def test_contrasts_are_paired(course: dict[str, pl.DataFrame]) -> None:
    contrasts = course["patch_contrasts"]
    assert set(contrasts["contrast"]) == {
        "seen-src_unpatched", "seen-tgt", "samek1-tgt", "seen-random_concept", "seen-en_en",
        "seen-self", "tgt-random_concept", "en_en-random_concept", "self-random_concept",
    }  # fmt: skip
    at = {"ckpt_id": "c4", "at": "onset", "onset": 0}
    above = only(contrasts, **HERE, **at, contrast="seen-random_concept")
    assert above["mean"] == pytest.approx(0.58, abs=0.02)
    assert above["lo"] > 0.5
    behind = only(contrasts, **HERE, **at, contrast="seen-src_unpatched")
    assert behind["mean"] == pytest.approx(-0.2, abs=0.03)
    single = only(contrasts, **HERE, **at, contrast="samek1-tgt")
    assert single["mean"] == pytest.approx(0.305 - 0.6, abs=0.02)


def test_self_is_english_where_english_is_asked_for(course: dict[str, pl.DataFrame]) -> None:
    at = {"ckpt_id": "c4", "at": "onset", "onset": 0, "metric": "p_full", "subset": "full"}
    both = [
        only(course["patch_contrasts"], **at, contrast=c, lang_a="fr", lang_b="en")
        for c in ("seen-self", "seen-en_en")
    ]
    assert both[0]["mean"] == both[1]["mean"]


def test_emergence_of_the_planted_rise(course: dict[str, pl.DataFrame]) -> None:
    emergence = course["patch_emergence"]
    for at, onset in (("onset", 0), ("best_crossfit", None), ("mean_first_half", None)):
        where = HERE | {"contrast": "seen-random_concept", "at": at, "onset": onset}
        row = only(emergence, **where, kind="E2")
        assert (row["censor"], row["lo_tokens"], row["hi_tokens"]) == ("interval", 2_000, 4_000)
        assert 2_000 < row["boot_lo"] <= row["point"] <= row["boot_hi"] < 4_000
        assert only(emergence, **where, kind="E1")["hi_tokens"] == 2_000
    where = HERE | {"contrast": "tgt-random_concept", "at": "onset", "onset": 0, "kind": "E2"}
    earlier = only(emergence, **where)
    assert patching.order_of(earlier, row) == "first"
    never = only(emergence, **HERE, contrast="seen-random_concept", at="onset", onset=3, kind="E1")
    assert never["censor"] == "right"


def test_same_k_by_size_and_draw(course: dict[str, pl.DataFrame]) -> None:
    where = HERE | {"ckpt_id": "c4", "at": "onset", "onset": 0}
    found = course["patch_samek"].filter(*(pl.col(c) == v for c, v in where.items()))
    means = {(r["k"], r["draw"]): r["mean"] for r in found.iter_rows(named=True)}
    assert means == {
        (1, None): pytest.approx(0.305),
        (1, 0): pytest.approx(0.3),
        (1, 1): pytest.approx(0.31),
        (2, None): pytest.approx(0.52),
        (2, 0): pytest.approx(0.52),
        (4, None): pytest.approx(0.6, rel=0.03),
    }


def test_foreign_rows_are_refused(planted: SimpleNamespace, make: SimpleNamespace) -> None:
    scores = scores_of(planted.answers, make)
    rest = (planted.lexicon.frame, planted.flags)
    for pairs, checkpoints, what in (
        (planted.pairs.head(3), planted.checkpoints, "pair_id"),
        (planted.pairs, make.checkpoints([0]).with_columns(ckpt_id=pl.lit("z")), "ckpt_id"),
    ):
        with pytest.raises(DataError, match=what):
            patching.patch_tables(scores, make.answers([]), pairs, checkpoints, *rest, draws=5)


def test_incompatible_pairs_do_not_count_for_first_tokens(
    planted: SimpleNamespace, make: SimpleNamespace
) -> None:
    scores = scores_of(planted.answers, make)
    prompts = pl.DataFrame({"pair_id": ["p0000"], "incompatible": [True]})
    values = patching.Values(
        scores, planted.pairs, planted.checkpoints, planted.flags, prompts=prompts
    )
    first = values.get("seen", "object:onset", "p_first")
    whole = values.get("seen", "object:onset", "p_full")
    assert first is not None
    assert whole is not None
    assert np.isnan(first).sum() == 1
    assert np.isnan(first[0, 0]).all()
    assert np.isnan(whole).sum() == 0


def test_equal_seeds_give_equal_tables(planted: SimpleNamespace, make: SimpleNamespace) -> None:
    scores = scores_of(planted.answers, make)
    runs = [
        patching.patch_tables(
            scores, planted.answers, planted.pairs, planted.checkpoints, planted.lexicon.frame,
            planted.flags, draws=50, seed=7,
        )
        for _ in range(2)
    ]  # fmt: skip
    for name, frame in runs[0].items():
        assert frame.equals(runs[1][name]), name
