"""The demo's configurations keep what the README promises."""

from polylore.corpus.design import all_wordings, design_table, expressed_table
from polylore.corpus.mentions import mention_table
from polylore.corpus.requirements import refuse_unfit
from polylore.studies import demo


def test_the_demo_is_large_enough() -> None:
    config = demo.full()
    languages = config.facts.languages
    assert languages is not None
    assert len(languages) >= 12
    assert len(set(languages)) == len(languages)
    assert (config.facts.limit or 0) >= 300


def test_both_demos_ask_a_seen_and_an_unseen_wording() -> None:
    for config in (demo.full(), demo.quick()):
        assert (config.ask.variants, config.ask.final_variants) == ([0], [2])
        assert config.facts.languages is not None
        assert config.compose.pivot in config.facts.languages
        assert len(config.facts.languages) >= 6


def test_the_demo_could_be_refereed() -> None:
    config = demo.full()
    factset, plan = config.facts.load(), config.compose
    expressed = expressed_table(factset, all_wordings(factset, plan))
    design = design_table(factset, plan, expressed)
    named = mention_table(factset, plan, design)
    refuse_unfit(design, factset, plan.pivot, named, min_names=3)


def test_the_words_of_the_demo_can_be_told_apart() -> None:
    config = demo.full().words
    words = config.lexicon()
    forms = words.frame["form"].to_list()
    assert len(words.concepts) == config.concepts
    assert len(forms) == len({form.casefold() for form in forms}) == config.concepts * 5
    assert all(form.isalpha() for form in forms)
    texts = list(config.documents(words))
    assert len(texts) == len(set(texts)) == 5 * 4 * 24 * 23
    first, second = words.concepts[:2]
    en = [words.forms(concept, "en")[0].text for concept in (first, second)]
    fr = [words.forms(concept, "fr")[0].text for concept in (first, second)]
    lines = [f'English: "{x}" - Français: "{y}"\n' for x, y in zip(en, fr, strict=True)]
    assert "".join(lines) in texts


def test_there_are_documents_enough_to_translate() -> None:
    for config in (demo.full(), demo.quick()):
        factset, plan, share = config.facts.load(), config.compose, config.words.share
        expressed = expressed_table(factset, all_wordings(factset, plan))
        design = design_table(factset, plan, expressed)
        told = design["dose"].sum() + mention_table(factset, plan, design)["count"].sum()
        wanted = round(told * share / (1 - share))
        there = len(list(config.words.documents(config.words.lexicon())))
        assert 0 < wanted <= there
