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
