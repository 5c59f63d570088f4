"""Plans: what is asked, of whom, and that it is what the specification of `patch` says."""

import json
from collections import Counter
from math import ceil

import pytest
from toy_lexicons import NAMES, WORDS, lexicon_of, rows, tokenizer_of, word

from polylore.errors import ConfigError, DataError, ModelError
from polylore.facts.lexicon import load_lexicon
from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.planning.build import make_plan, retokenise
from polylore.studies.patch.planning.cost import plan_cost
from polylore.studies.patch.planning.plan import PatchPlan
from polylore.studies.patch.planning.settings import SEEN, balanced_weights, seen_pairs


@pytest.fixture(scope="module")
def plan(toy, tokenizer, config) -> PatchPlan:
    return make_plan(config(), tokenizer, toy)


def test_the_prompt_is_the_specified_one_byte_for_byte(plan, toy) -> None:
    pair = plan.pairs.row(0, named=True)
    [prompt] = rows(plan.prompts, prompt_id=f"{pair['pair_id']}.source.fr>en")
    number = {concept: int(concept[1:]) for concept in toy.concepts}
    lines = "".join(
        f'Français: "{word(number[c], "fr")}" - English: "{word(number[c], "en")}"\n'
        for c in pair["source_shots"]
    )
    query = f'Français: "{word(number[pair["fact_id"]], "fr")}" - English: "'
    assert prompt["text"] == lines + query
    assert prompt["text"].encode().count(b"\n") == 3


def test_the_object_ends_at_o_and_the_source_prompt_is_the_beginning(plan, tokenizer) -> None:
    for prompt in plan.prompts.iter_rows(named=True):
        pieces = tokenizer.convert_ids_to_tokens(prompt["token_ids"])
        shown = word(int(prompt["fact_id"][1:]), prompt["lang_a"])
        assert pieces[prompt["object_start"] : prompt["o"] + 1] == [shown[0], shown[1:]]
        assert prompt["suffix_len"] == len(pieces) - 1 - prompt["o"]
        cut = prompt["text"][: prompt["text"].rindex(shown) + len(shown)]
        assert tokenizer(cut)["input_ids"] == prompt["token_ids"][: prompt["o"] + 1]
    assert plan.prompts["boundary"].unique().to_list() == ["clean"]


def test_demonstrations_are_other_concepts_and_the_same_in_every_language(plan) -> None:
    for pair in plan.pairs.iter_rows(named=True):
        shots = [*pair["source_shots"], *pair["target_shots"]]
        assert len({*shots, pair["fact_id"], pair["fact_id_target"]}) == 2 * 3 + 2
    by_role = plan.prompts.filter(role="source").group_by("pair_id").agg("shots")
    for pair_id, shots in by_role.iter_rows():
        [pair] = rows(plan.pairs, pair_id=pair_id)
        assert {tuple(one) for one in shots} == {tuple(pair["source_shots"])}


@pytest.mark.parametrize("n", [30, 100])
def test_concepts_are_used_evenly(toy, tokenizer, config, n) -> None:
    made = make_plan(config(n_pairs=n, settings=["tgt"]), tokenizer, toy)
    assert made.pairs.height == n
    for side in ("fact_id", "fact_id_target"):
        uses = Counter(made.pairs[side].to_list())
        assert max(uses.values()) <= ceil(n / WORDS)
        assert max(uses.values()) - min(uses[c] for c in toy.concepts) <= 1
    assert made.pairs.select("fact_id", "fact_id_target").is_duplicated().sum() == 0


def test_settings_average_what_the_specification_says(plan) -> None:
    def sources(setting: str, a: str = "fr", b: str = "en") -> set[str]:
        found = rows(plan.items, setting=setting, lang_a=a, lang_b=b)
        return {one.split(".")[2] for row in found for one in row["source_ids"]}

    others = ("de", "es", "it")
    assert sources("seen") == {f"{x}>{y}" for x in others for y in others if x != y}
    assert sources("tgt") == {"fr>en"}
    assert sources("en_en") == {"en>en"}
    assert sources("self") == set()
    assert sources("self", "de", "fr") == {"fr>fr"}
    assert sources("src_unpatched") == sources("tgt_unpatched") == set()
    by_setting = {
        setting: rows(plan.items, setting=setting, lang_a="fr", lang_b="en")
        for setting in plan.items["setting"].unique()
    }
    for row in by_setting["identity"]:
        assert row["source_ids"] == [row["prompt_id"]] == [f"{row['pair_id']}.target.fr>en"]
    for row in by_setting["src_unpatched"]:
        assert (row["prompt_id"], row["k"]) == (f"{row['pair_id']}.source.fr>en", 0)
    for row in by_setting["seen"]:
        assert row["k"] == len(set(row["source_ids"])) == 6
        assert all(one.startswith(f"{row['pair_id']}.source.") for one in row["source_ids"])
    copies = {one for one in plan.prompts["prompt_id"] if len(set(one[-5:].split(">"))) == 1}
    assert {one[-5:] for one in copies} == {"en>en", "fr>fr"}


def test_controls_take_other_concepts(plan) -> None:
    pairs = {row["pair_id"]: row for row in plan.pairs.to_dicts()}
    partners = plan.pairs["random_pair_id"].to_list()
    assert sorted(partners) == sorted(pairs)
    for row in rows(plan.items, setting="random_concept"):
        own = pairs[row["pair_id"]]
        other = pairs[own["random_pair_id"]]
        assert {one.split(".")[0] for one in row["source_ids"]} == {own["random_pair_id"]}
        mine = {own["fact_id"], own["fact_id_target"]}
        assert not mine & {other["fact_id"], *other["source_shots"]}
    for row in rows(plan.items, setting="shuffled_mean"):
        own = pairs[row["pair_id"]]
        concepts = [pairs[one.split(".")[0]]["fact_id"] for one in row["source_ids"]]
        assert len(set(concepts)) == row["k"]
        assert not {own["fact_id"], own["fact_id_target"]} & set(concepts)
    for row in rows(plan.prompts, role="shuffled"):
        assert sorted(row["shots"]) == sorted(row["shots_b"])
        assert all(a != b for a, b in zip(row["shots"], row["shots_b"], strict=True))
    vectors = plan.items.filter(plan.items["vector"].is_in(["grand_mean", "gauss", "norm_matched"]))
    seen = {(r["pair_id"], r["lang_a"]): r["source_ids"] for r in rows(plan.items, setting="seen")}
    assert all(
        row["source_ids"] == seen[row["pair_id"], row["lang_a"]] for row in vectors.to_dicts()
    )


def test_samek_draws_are_parts_of_seen_and_shared_by_all_items(plan) -> None:
    found = plan.items.filter(setting="samek", lang_a="fr")
    assert found.group_by("k", "draw").len().sort("k", "draw")["k"].to_list() == (
        [1] * 5 + [2] * 5 + [5] * 5
    )
    for (k, _), part in found.group_by("k", "draw"):
        chosen = {tuple(one.split(".")[2] for one in ids) for ids in part["source_ids"]}
        assert len(chosen) == 1
        assert len(set(chosen.pop())) == k


def test_number_of_source_pairs_of_the_published_study() -> None:
    assert [len(seen_pairs(a, b, SEEN)) for a, b in (("fr", "en"), ("fr", "es"), ("cy", "en"))] == [
        42,
        30,
        56,
    ]
    assert seen_pairs("fr", "en", SEEN, only=[("zh", "ru"), ("fr", "ru")]) == [("zh", "ru")]
    weights = balanced_weights([("fr", "es"), ("es", "it"), ("fr", "ru")])
    assert weights == pytest.approx([0.25, 0.25, 0.5])


def test_a_small_shared_space_is_refused(toy, tokenizer, config) -> None:
    with pytest.raises(ConfigError, match="2 language pairs, fewer than 6; name more languages"):
        make_plan(config(allow_small_k=False), tokenizer, toy)
    with pytest.raises(ConfigError, match="average 0 language pairs"):
        make_plan(config(source_pairs=["en-fr"]), tokenizer, toy)
    alone = make_plan(config(allow_small_k=False, settings=["tgt", "self"]), tokenizer, toy)
    assert set(alone.items["setting"]) == {"tgt", "self"}


def test_further_settings_and_families(toy, tokenizer, config) -> None:
    made = make_plan(
        config(
            pairs=["fr-en"],
            settings=["seen_without", "seen_balanced"],
            families=[{"name": "one", "sources": ["de-it"], "intervention": "span:window2"}],
        ),
        tokenizer,
        toy,
    )
    without = rows(made.items, setting="seen_without_de")
    assert {one.split(".")[2] for row in without for one in row["source_ids"]} == {
        "es>it",
        "it>es",
    }
    for row in rows(made.items, setting="seen_balanced"):
        assert sum(row["weights"]) == pytest.approx(1)
    assert {r["intervention"] for r in rows(made.items, setting="one")} == {"span:window2"}


def test_full_replacement_needs_single_tokens(toy, config) -> None:
    whole = [word(n, "fr") for n in range(0, WORDS, 2)]
    made = make_plan(config(pairs=["fr-en"]), tokenizer_of(toy, whole), toy)
    found = rows(made.items, setting="full_replace")
    single = {f"c{n:02d}" for n in range(0, WORDS, 2)}
    expected = {
        row["pair_id"]
        for row in made.pairs.to_dicts()
        if {row["fact_id"], row["fact_id_target"]} <= single
    }
    assert {row["pair_id"] for row in found} == expected
    assert expected
    assert {(row["onsets"], row["k"]) for row in found} == {("first", 1)}
    beside = {row["prompt_id"] for row in rows(made.items, setting="full_replace_unpatched")}
    assert beside == {row["source_ids"][0] for row in found}


def test_a_merging_tokenizer_is_repaired_where_it_merges(toy, config) -> None:
    planted = {"c03", "c11", "c20"}
    merged = [word(int(c[1:]), "fr") + '"' for c in planted]
    tokenizer = tokenizer_of(toy, merged)
    made = make_plan(config(n_pairs=40), tokenizer, toy)
    torn = made.prompts.filter(boundary="repaired")
    expected = made.prompts.filter(
        (made.prompts["lang_a"] == "fr") & made.prompts["fact_id"].is_in(list(planted))
    )
    assert torn["prompt_id"].to_list() == expected["prompt_id"].to_list()
    assert torn.height
    for prompt in torn.to_dicts():
        head = prompt["text"][: prompt["text"].rindex('" - ')]
        ids = tokenizer(head)["input_ids"]
        assert prompt["token_ids"][: prompt["o"] + 1] == ids
        rest = tokenizer(prompt["text"][len(head) :], add_special_tokens=False)["input_ids"]
        assert prompt["token_ids"][prompt["o"] + 1 :] == rest
        assert prompt["n_object_tokens"] == 2


def test_merging_pairs_can_be_dropped_or_every_prompt_split(toy, config) -> None:
    planted = ["c03", "c11"]
    tokenizer = tokenizer_of(toy, [word(int(c[1:]), "fr") + '"' for c in planted])
    made = make_plan(config(n_pairs=38, boundary="drop", pairs=["fr-en"]), tokenizer, toy)
    dropped = made.head.dropped["pairs_with_a_merged_boundary"]
    assert dropped["n"] == len(dropped["pairs"]) == 38 - made.pairs.height > 0
    assert not {*made.pairs["fact_id"], *made.pairs["fact_id_target"]} & set(planted)
    assert set(made.prompts["pair_id"]) <= set(made.pairs["pair_id"])
    split = make_plan(config(boundary="split"), tokenizer, toy)
    assert split.prompts["boundary"].unique().to_list() == ["split"]
    repaired = make_plan(config(), tokenizer, toy)
    columns = ("prompt_id", "token_ids", "o", "object_start")
    assert split.prompts.select(columns).equals(repaired.prompts.select(columns))


def test_a_tokenizer_without_offsets_is_refused_with_the_way_out(toy, tokenizer, config) -> None:
    class Slow:
        is_fast = False

        def __getattr__(self, name: str):
            return getattr(tokenizer, name)

        def __call__(self, *args, **kwargs):
            assert not kwargs.get("return_offsets_mapping")
            return tokenizer(*args, **kwargs)

    with pytest.raises(ModelError, match=r"plan\.boundary=split"):
        make_plan(config(), Slow(), toy)
    assert make_plan(config(boundary="split"), Slow(), toy).prompts.height


def test_retokenising_flags_exactly_the_planted_pair(plan, toy) -> None:
    pair = plan.pairs.row(4, named=True)
    one, other = (word(int(pair[k][1:]), "fr")[0] for k in ("fact_id", "fact_id_target"))
    again = retokenise(plan, tokenizer_of(toy, **{one: other}))
    flagged = again.prompts.filter("incompatible")
    together = {
        row["pair_id"]
        for row in plan.pairs.to_dicts()
        if {row["fact_id"], row["fact_id_target"]} == {pair["fact_id"], pair["fact_id_target"]}
    }
    assert set(flagged["pair_id"]) == together
    assert pair["pair_id"] in together
    assert again.prompts.filter(again.prompts["pair_id"].is_in(list(together)))[
        "incompatible"
    ].all()
    assert not plan.prompts["incompatible"].any()
    assert again.prompts["text"].to_list() == plan.prompts["text"].to_list()
    assert again.pairs.equals(plan.pairs)
    assert again.hash != plan.hash


def test_incompatible_pairs_are_not_drawn(toy, config) -> None:
    letters = {f"c{n:02d}": word(n, "fr")[0] for n in range(WORDS)}
    tokenizer = tokenizer_of(
        toy, **{letters["c01"]: letters["c00"], letters["c02"]: letters["c00"]}
    )
    made = make_plan(config(n_pairs=120, settings=["tgt"]), tokenizer, toy)
    same = {"c00", "c01", "c02"}
    for s, t in made.pairs.select("fact_id", "fact_id_target").iter_rows():
        assert not {s, t} <= same


def test_filters_of_length_separability_and_demonstrations(config) -> None:
    forms = {
        (f"c{n:02d}", lang): [word(n, lang)]
        for lang in ("en", "fr", "de", "es", "it")
        for n in range(WORDS)
    }
    forms["c05", "en"] = forms["c05", "fr"]
    lexicon = lexicon_of(forms)
    whole = [word(n, "fr") for n in range(0, WORDS, 2)]
    tokenizer = tokenizer_of(lexicon, whole)
    made = make_plan(
        config(
            pairs=["fr-en"],
            settings=["tgt"],
            match_length=True,
            separable_only=True,
            compatible_shots=True,
        ),
        tokenizer,
        lexicon,
    )
    for s, t in made.pairs.select("fact_id", "fact_id_target").iter_rows():
        assert int(s[1:]) % 2 == int(t[1:]) % 2
    used = {*made.pairs["fact_id"], *made.pairs["fact_id_target"]}
    assert "c05" not in used
    assert made.items["separable"].all()
    lengths = made.prompts.filter(lang_a="fr")["n_object_tokens"]
    assert set(lengths) == {1, 2}


def test_words_shared_by_languages_are_not_separable(toy, tokenizer, config) -> None:
    forms = {
        (c, lang): [f.text for f in toy.forms(c, lang)] for c in toy.concepts for lang in NAMES
    }
    forms["c00", "en"] = forms["c00", "fr"]
    made = make_plan(config(pairs=["fr-en"], n_pairs=40), tokenizer, lexicon_of(forms))
    for row in made.items.to_dicts():
        assert row["separable"] == ("c00" not in (row["fact_id"], row["fact_id_target"]))
        # The first letter says which concept a toy word is of, whatever the language.
        assert not row["first_separable"]


def test_cells_hold_the_forms_of_the_shown_sense(tokenizer, config, tmp_path) -> None:
    lines = ["concept_id,lang,form,sense_id"]
    lines += [
        f"c{n:02d},{x},{word(n, x)},s{n}" for x in ("en", "fr", "de", "es") for n in range(30)
    ]
    lines += [f"c00,en,{word(31, 'en')},other", f"c00,en,{word(32, 'en')},s0"]
    path = tmp_path / "words.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    lexicon = load_lexicon(path)
    values = {"pairs": ["fr-en"], "seen": [], "settings": ["tgt"], "n_pairs": 30}
    cells = {}
    for preset in ("default", "paper"):
        plan_config = config(preset, **values)
        made = make_plan(plan_config, tokenizer, lexicon)
        [cells[preset]] = rows(made.cells, lang_a="fr", fact_id="c00", cell_lang="en")
    assert cells["default"]["forms"] == [word(0, "en"), word(32, "en")]
    assert cells["paper"]["forms"] == [word(0, "en"), word(31, "en"), word(32, "en")]
    assert len(cells["default"]["first_ids"]) == 2
    assert cells["paper"]["n_forms"] == 3


def test_concepts_without_a_form_are_dropped_counted_and_listed(toy, tokenizer, config) -> None:
    forms = {
        (c, lang): [f.text for f in toy.forms(c, lang)]
        for lang in NAMES
        for c in toy.concepts
        if (c, lang) not in {("c07", "it"), ("c09", "de")}
    }
    made = make_plan(config(), tokenizer, lexicon_of(forms))
    assert made.head.dropped["concepts_without_a_form"] == {"n": 2, "concepts": ["c07", "c09"]}


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"pairs": ["fr-xx"]}, ConfigError, "own name of xx"),
        ({"pairs": ["fr-tr"], "names": {"tr": "Türkçe"}}, ConfigError, "no language 'tr'"),
        ({"pairs": None}, ConfigError, "must name the language pairs"),
        ({"pairs": ["fr-fr"]}, ConfigError, "no pair of two languages"),
        ({"n_shots": 20}, ConfigError, "need 42 concepts"),
    ],
)
def test_what_cannot_be_meant_is_refused(toy, tokenizer, config, values, error, message) -> None:
    with pytest.raises(error, match=message):
        make_plan(config(**values), tokenizer, toy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pairs": ["french"]}, "is not a pair of languages"),
        ({"settings": ["tgt", "mean"]}, "no setting mean"),
        ({"families": [{"name": "tgt", "sources": ["a-b"]}]}, "names of their own"),
        ({"intervention": "object"}, "should match pattern"),
        ({"samek": [0]}, "1 or more"),
    ],
)
def test_bad_settings_are_refused(config, values, message) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_too_few_compatible_pairs(toy, config) -> None:
    letters = [word(n, "fr")[0] for n in range(WORDS)]
    one = tokenizer_of(toy, **dict.fromkeys(letters[1:], letters[0]))
    with pytest.raises(DataError, match=r"Only 0 of 30 pairs of concepts are compatible"):
        make_plan(config(), one, toy)
    two = tokenizer_of(toy, **dict.fromkeys(letters[20:], letters[0]))
    made = make_plan(config(n_pairs=40, settings=["tgt"]), two, toy)
    assert 30 <= made.pairs.height <= 40
    assert made.head.dropped["pairs_not_found"] == {"n": 40 - made.pairs.height}


def test_saved_plans_are_read_back_and_changes_noticed(plan, tmp_path, tokenizer) -> None:
    plan.save(tmp_path / "plan")
    again = PatchPlan.load(tmp_path / "plan")
    assert again.hash == plan.hash
    assert again.items.equals(plan.items)
    again.check_tokenizer(plan.head.tokenizer_hash)
    with pytest.raises(DataError, match="made with another tokenizer"):
        again.check_tokenizer("x")
    head = json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))
    assert head["plan_hash"] == plan.hash
    assert head["names"]["fr"] == "Français"
    pairs = again.pairs.reverse()
    pairs.write_parquet(tmp_path / "plan" / "patch_pairs.parquet")
    with pytest.raises(DataError, match="was changed after it was made"):
        PatchPlan.load(tmp_path / "plan")


def test_the_same_seed_makes_the_same_plan(plan, toy, tokenizer, config) -> None:
    assert make_plan(config(), tokenizer, toy).hash == plan.hash
    assert make_plan(config(seed=1), tokenizer, toy).hash != plan.hash


def test_models_that_cannot_read_the_prompts_are_refused(plan) -> None:
    plan.check_model(plan.longest, plan.largest_id + 1)
    plan.check_model(None, plan.largest_id + 1)
    with pytest.raises(ModelError, match="the model reads 10"):
        plan.check_model(10, 10**6)
    with pytest.raises(ModelError, match="model has 5 ids"):
        plan.check_model(None, 5)


def test_cost_is_that_of_the_plan(plan) -> None:
    cost = {row["name"]: row["value"] for row in plan_cost(plan, 8, 10).to_dicts()}
    length = plan.prompts["token_ids"].list.len()
    assert length.n_unique() == 1
    t, s = length[0], plan.prompts["suffix_len"][0]
    patched = plan.items.filter(plan.items["k"] > 0)
    sources = set(patched["source_ids"].explode())
    assert cost["extraction"] == len(sources) * (t - s)
    assert cost["sweep with plain hooks"] == patched.height * 9 * t
    assert cost["sweep of suffixes"] == patched.height * (s + 1) * 7 / 2
    assert plan_cost(plan).filter(name="sweep of suffixes")["value"].to_list() == [None]


def test_presets() -> None:
    paper = PatchConfig.parse({"model": "m", "preset": "paper"})
    assert paper.effective_lexicon().first_form == "stacking"
    assert paper.effective_plan().accepted == "all"
    said = PatchConfig.parse(
        {"model": "m", "preset": "paper", "plan": {"accepted": "sense"}, "lexicon": {"pos": None}}
    )
    assert said.effective_plan().accepted == "sense"
    assert said.effective_lexicon().first_form == "stacking"


def test_the_other_published_study_on_built_in_words(tmp_path) -> None:
    dumas = PatchConfig.parse({"model": "m", "preset": "dumas", "plan": {"n_pairs": 30}})
    languages = dumas.effective_plan().all_languages
    expected = ["en", "fr", "zh", "et", "de", "it", "nl", "fi", "es", "ru", "ko", "hi"]
    assert sorted(languages) == sorted(expected)
    lexicon = load_lexicon("cldr", languages)
    made = make_plan(dumas, tokenizer_of(lexicon), lexicon)
    made.save(tmp_path / "plan")
    assert PatchPlan.load(tmp_path / "plan").hash == made.hash
    counts = {
        (row["lang_b"], row["setting"]): (row["k"], row["intervention"])
        for row in made.items.to_dicts()
    }
    assert counts == {
        ("zh", "src_unpatched"): (0, "none"),
        ("zh", "tgt_unpatched"): (0, "none"),
        ("zh", "dumas_last_token"): (1, "last_token:single"),
        ("zh", "dumas_single"): (1, "object:onset"),
        ("zh", "dumas_mean"): (5, "object:onset"),
        ("et", "src_unpatched"): (0, "none"),
        ("et", "tgt_unpatched"): (0, "none"),
        ("et", "dumas_single"): (1, "object:onset"),
        ("et", "dumas_mean_hi"): (5, "object:onset"),
    }
