"""What a lexicon cannot show, found before it is asked."""

import unicodedata
from collections.abc import Sequence

import polars as pl

from polylore.facts.findings import Finding, finding
from polylore.facts.lexicon.lexicon import GLOSS, Lexicon, key
from polylore.facts.lexicon.words import NEAR, Words, is_multi_word
from polylore.tables.quality import LINT

ENOUGH = 30
"""Concepts below which no plan is made."""


def lint_lexicon(lexicon: Lexicon) -> pl.DataFrame:
    """Find problems; contract `tables.quality.LINT`.

    Rules: missing_form and too_few_concepts (errors where a plan would fail), invisible,
    unnormalised, quote_in_form (warnings: they cannot be asked as they stand), colexified,
    homograph, false_friend, several_forms, several_senses, multi_word, gloss, erratum,
    near_synonym (notes: what the flags of an item stand for).
    """
    words = Words(lexicon)
    rows = _whole(lexicon)
    for lang in lexicon.languages:
        rows += _language(lexicon, words, lang)
    pivot = "en" if "en" in lexicon.languages else lexicon.languages[0]
    for lang in lexicon.languages:
        if lang != pivot:
            rows += _against(words, pivot, lang)
    return LINT.build([row for row in rows if row["count"]])


def _whole(lexicon: Lexicon) -> list[Finding]:
    langs = lexicon.languages
    complete = sum(all(lexicon.forms(c, lang) for lang in langs) for c in lexicon.concepts)
    few = complete if complete < ENOUGH else 0
    senses = [c for c in lexicon.concepts if len(lexicon.senses(c)) > 1]
    near = lexicon.similarity.filter(pl.col("score") >= NEAR)
    found = [
        _row(
            "several_senses",
            "note",
            None,
            senses,
            "concepts with several sense rows; only forms of the prompt's sense are right",
        ),
        _row(
            "near_synonym",
            "note",
            None,
            [f"{a} ~ {b}" for a, b, _ in near.iter_rows()],
            "pairs of concepts that people rate as nearly the same",
        ),
    ]
    if few or not complete:
        message = (
            f"only {complete} concepts have a form in every language and a plan needs {ENOUGH}; "
            "leave languages out or add words"
        )
        found.append(finding("too_few_concepts", "error", None, None, max(few, 1), [], message))
    return found


def _language(lexicon: Lexicon, words: Words, lang: str) -> list[Finding]:
    forms = {c: lexicon.forms(c, lang) for c in lexicon.concepts}
    texts = [form.text for listed in forms.values() for form in listed]
    there = [concept for concept, listed in forms.items() if listed]

    def flagged(flag: str) -> list[str]:
        return [f.given for listed in forms.values() for f in listed if flag in f.flags]

    return [
        _row(
            "missing_form",
            "warning",
            lang,
            [concept for concept, listed in forms.items() if not listed],
            "concepts without a form; they are left out of plans with this language",
        ),
        _row(
            "unnormalised",
            "warning",
            lang,
            [text for text in texts if text != _plain(text)],
            "forms that are not NFC or have stray spaces; a model would hardly write them so",
        ),
        _row(
            "invisible",
            "warning",
            lang,
            [text for text in texts if any(unicodedata.category(c) in ("Cc", "Cf") for c in text)],
            "forms with invisible characters; joiners are part of the spelling of some scripts",
        ),
        _row(
            "quote_in_form",
            "warning",
            lang,
            [text for text in texts if any(sign in text for sign in '"”»」')],
            "forms with a closing quote, where an answer would end; write them without",
        ),
        _row(
            "colexified",
            "note",
            lang,
            sorted(words.colexified(lang)),
            "strings that name several concepts; such items are not clean",
        ),
        _row(
            "several_forms",
            "note",
            lang,
            [c for c in there if len({key(form.text) for form in forms[c]}) > 1],
            "concepts with several forms; such items are not clean",
        ),
        _row(
            "multi_word",
            "note",
            lang,
            [forms[c][0].text for c in there if is_multi_word(lexicon, c, lang)],
            "first forms of several words",
        ),
        _row(
            "gloss",
            "note",
            lang,
            flagged(GLOSS),
            "forms whose gloss in brackets is cut in prompts; both spellings are accepted",
        ),
        _row(
            "erratum",
            "note",
            lang,
            [f.text for listed in forms.values() for f in listed if f.erratum],
            "forms that the source marks as errata",
        ),
    ]


def _against(words: Words, pivot: str, lang: str) -> list[Finding]:
    return [
        _row(
            "homograph",
            "note",
            lang,
            words.homographs(pivot, lang),
            f"concepts written alike in {pivot}: copying and translating cannot be told apart",
        ),
        _row(
            "false_friend",
            "note",
            lang,
            words.false_friends(pivot, lang),
            f"strings that mean something else in {pivot}",
        ),
    ]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _row(rule: str, severity: str, lang: str | None, found: Sequence[str], message: str) -> Finding:
    return finding(rule, severity, lang, None, len(found), list(found)[:5], message)
