"""Names are the language's own, clean and unambiguous."""

import json
import subprocess
import sys
import unicodedata

import pytest

from polylore.errors import ConfigError
from polylore.facts.cldr import wordings
from polylore.facts.cldr.names import Names, clean, names, without_brackets
from polylore.facts.factset import FactSet


def text(lang: str, kind: str, code: str) -> str | None:
    name = names(lang).get(kind, code)
    return name.text if name else None


@pytest.mark.parametrize(
    ("lang", "kind", "code", "expected"),
    [
        ("en", "currency", "JPY", "Japanese Yen"),
        ("ja", "currency", "JPY", "日本円"),
        ("fr", "currency", "EUR", "euro"),
        ("zh", "territory", "DE", "德国"),
        ("ru", "city", "Europe/Paris", "Париж"),
        ("sw", "language", "ru", "Kirusi"),
        ("hi", "script", "Deva", "देवनागरी"),
        ("el", "territory", "155", "Δυτική Ευρώπη"),
        ("ar", "city", "Africa/Cairo", "القاهرة"),
        ("tr", "territory", "US", "Amerika Birleşik Devletleri"),
    ],
)
def test_spot_names(lang: str, kind: str, code: str, expected: str) -> None:
    assert text(lang, kind, code) == expected


def test_cities_fall_back_only_in_latin_script() -> None:
    # CLDR keeps this city under its old identifier, Asia/Calcutta.
    assert text("hi", "city", "Asia/Kolkata") == "कोलकाता"
    french = names("fr").get("city", "America/Vancouver")
    assert french is not None
    assert (french.text, french.fallback) == ("Vancouver", True)
    english = names("en").get("city", "America/Vancouver")
    assert english is not None
    assert (english.text, english.fallback) == ("Vancouver", False)
    own = names("fr").get("city", "Africa/Algiers")
    assert own is not None
    assert (own.text, own.fallback) == ("Alger", False)
    assert text("fr", "city", "America/Argentina/Buenos_Aires") == "Buenos Aires"


def test_a_missing_city_is_missing_outside_latin_script() -> None:
    russian = Names("ru")
    russian._data = {"time_zones": {}}
    assert russian.get("city", "Europe/Paris") is None
    swahili = Names("sw")
    swahili._data = {"time_zones": {}}
    name = swahili.get("city", "Europe/Paris")
    assert name is not None
    assert name.fallback


def test_codes_and_foreign_text_are_no_names() -> None:
    hindi = Names("hi")
    hindi._data = {"territories": {"FR": "France", "DE": "DE", "JP": "जापान", "US": ""}}
    assert [hindi.get("territory", c) is None for c in ("FR", "DE", "JP", "US", "XX")] == [
        True,
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Reyk\u00adja\u00advík", "Reykjavík"),
        ("EE.\u00a0UU.", "EE. UU."),
        ("\u200fدولار\u200f", "دولار"),
        ("e\u0301", "é"),
        ("Côte d’Ivoire", "Côte d’Ivoire"),
        ("क्\u200dष", "क्\u200dष"),
        ("Caire, el", "el Caire"),
        ("Beulah, North Dakota", "Beulah, North Dakota"),
    ],
)
def test_cleaning(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Myanmar (Burma)", "Myanmar"),
        ("Cocos (Keeling) Islands", "Cocos Islands"),
        ("科科斯（基林）群岛", "科科斯群岛"),
        ("コンゴ共和国(ブラザビル)", "コンゴ共和国"),
        ("[CFP] फ़्रैंक", "CFP फ़्रैंक"),
        ("(all)", "all"),
        ("Chile", "Chile"),
    ],
)
def test_brackets(raw: str, expected: str) -> None:
    assert without_brackets(raw) == expected


def test_brackets_stay_where_names_would_be_equal() -> None:
    assert text("zh", "territory", "CD") == "刚果（金）"
    assert text("zh", "territory", "CG") == "刚果（布）"
    assert text("ja", "territory", "CD") == "コンゴ民主共和国"
    burma = names("en").get("territory", "MM")
    assert burma is not None
    assert burma.text == "Myanmar"
    assert set(burma.others) == {"Burma", "Myanmar (Burma)"}
    hong_kong = names("ko").get("territory", "HK")
    assert hong_kong is not None
    assert len(hong_kong.others) == 1, "the bracket is no second name"


def test_counted_currency_forms_are_accepted() -> None:
    rouble = names("ru").get("currency", "RUB")
    assert rouble is not None
    assert "российских рублей" in rouble.others


def test_all_words_are_clean(everything: FactSet) -> None:
    facts = everything.facts
    words = {
        *facts["subject"],
        *facts["object"],
        *facts["aliases"].explode().drop_nulls(),
        *facts["candidates"].explode(),
    }
    for word in words:
        assert word == unicodedata.normalize("NFC", word)
        assert word == " ".join(word.split()), repr(word)
        assert not any(unicodedata.category(c) == "Cf" for c in word if c not in "\u200c\u200d")
        assert "(" not in word[:1]


@pytest.mark.parametrize("lang", ["ru", "uk", "el", "ar", "zh", "ja", "ko", "hi", "he"])
def test_nothing_is_left_in_latin_script(everything: FactSet, lang: str) -> None:
    facts = everything.filter(languages=[lang]).facts
    for word in {*facts["subject"], *facts["object"], *facts["candidates"].explode()}:
        letters = [c for c in word if unicodedata.category(c)[0] == "L"]
        latin = sum("LATIN" in unicodedata.name(c) for c in letters)
        assert latin < len(letters), word
        assert not latin or any(tag in word for tag in ("BEAC", "BCEAO", "CFA", "CFP", "N’Ko")), (
            word
        )


def test_unknown_language() -> None:
    with pytest.raises(ConfigError, match="qqq"):
        names("qqq")


OTHERS_FIRST = """
import datetime, json, sys
from babel import Locale, dates, numbers
for code in ("sw", "ja", "zh_Hant", "fr_CA", "pt_PT", "ar_EG", "uk", "ru", "hi", "ko"):
    locale = Locale.parse(code)
    [locale.days, locale.months, locale.territories.get("FR"), locale.currencies, locale.languages]
    [locale.scripts, dict(locale.time_zones), locale.first_week_day]
    dates.format_date(datetime.date(2024, 1, 1), "full", locale=locale)
    numbers.get_currency_name("EUR", 2, locale=locale)
from polylore.facts.cldr import build
facts = build(languages=sys.argv[1:])
print(json.dumps([facts.filter(languages=[code]).digest() for code in sys.argv[1:]]))
"""


def test_open_locales_do_not_mix(everything: FactSet) -> None:
    """A process that used other locales first, in another order, gets the same words."""
    order = list(reversed(wordings.languages()))
    done = subprocess.run(
        [sys.executable, "-c", OTHERS_FIRST, *order], capture_output=True, text=True, check=True
    )
    alone = [everything.filter(languages=[lang]).digest() for lang in order]
    assert json.loads(done.stdout) == alone
