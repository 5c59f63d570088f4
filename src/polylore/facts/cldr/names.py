"""Display names of entities in one language, taken from CLDR through Babel, with care.

A name counts only if the language's own data have it:

- A name that is the bare code, or that has no letter of the language's own script although it is
  written in letters (English left standing in a Hindi list), is missing.
- Cities: where a language has no exemplar city of its own, CLDR falls back to the root's, and then
  to the last part of the time zone's identifier. Languages in Latin script may use that fallback
  (it is flagged); for all others such a city has no name.

What is cleaned: NFC, no soft hyphens or direction marks, plain single spaces. A disambiguation in
brackets ("Myanmar (Burma)") is taken out of the name unless that would make two names of the
language equal, as with the two Congos in Chinese; the full form stays an accepted answer.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from polylore.errors import ConfigError
from polylore.text import fold, language

# Kinds of entities and where Babel keeps their names.
_TABLES = {
    "territory": "territories",
    "currency": "currency_names",
    "language": "languages",
    "script": "scripts",
}
_BRACKETED = re.compile(r"\s*[(（\[［][^()（）\[\]［］]*[)）\]］]\s*")
_INVERTED = re.compile(r"^(\w+), (el|la|els|les)$")
_OPENING, _CLOSING = "(（[［", ")）]］"
# Joiners are part of the spelling of several scripts; all other format characters are invisible.
_JOINERS = "\u200c\u200d"
# Here the bracket holds a second name, not a disambiguation.
_SECOND_NAME = frozenset({("territory", "MM")})


@dataclass(frozen=True)
class Name:
    """One entity's name in one language."""

    text: str
    """As shown and asked for."""
    folded: str
    """`text` for comparisons (`text.fold`)."""
    others: tuple[str, ...] = ()
    """Other accepted forms: the uncut name, and plural or counted forms of currencies."""
    fallback: bool = False
    """Whether it is CLDR's fallback and not in the language's own data."""


@dataclass
class Names:
    """All names in one language.

    Raises:
        ConfigError: CLDR does not know the language.
    """

    lang: str
    _data: Mapping[str, Any] = field(init=False, repr=False)
    _root: Mapping[str, Any] = field(init=False, repr=False)
    _latin: bool = field(init=False, repr=False)
    _lists: dict[str, dict[str, Name]] = field(init=False, repr=False, default_factory=dict)
    _cities: dict[str, Name | None] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        from babel import localedata

        self._latin = language(self.lang).script == "Latn"
        # Nothing here is an alias between parts of the data, the one thing that Babel can resolve
        # against the wrong locale when several are open; so the plain data are safe to read.
        name = self.lang.replace("-", "_")
        if not localedata.exists(name):
            raise ConfigError(
                f"CLDR has no names in '{self.lang}', so the built-in facts cannot be told in it; "
                "take another language, or facts of your own."
            )
        self._data = localedata.load(name)
        self._root = localedata.load("root")

    def get(self, kind: str, code: str) -> Name | None:
        """Name of an entity; None if the language has none.

        Args:
            kind: territory, currency, language, script, or city (code: a time zone identifier).
        """
        if kind == "city":
            if code not in self._cities:
                self._cities[code] = self._city(code)
            return self._cities[code]
        if kind not in self._lists:
            self._lists[kind] = self._list(kind)
        return self._lists[kind].get(code)

    def _list(self, kind: str) -> dict[str, Name]:
        listed = self._data.get(_TABLES[kind], {})
        cleaned = {
            str(code): text
            for code, raw in listed.items()
            if isinstance(raw, str) and self._is_name(text := clean(raw), str(code))
        }
        cut = {code: without_brackets(text) for code, text in cleaned.items()}
        uses = Counter(fold(text) for text in cut.values())
        result = {}
        for code, full in cleaned.items():
            short = cut[code]
            text = short if uses[fold(short)] == 1 else full
            others = [*self._counted(code, kind), *_second_name(kind, code, full)]
            if text != full:
                others.append(full)
            result[code] = _name(text, others)
        return result

    def _counted(self, code: str, kind: str) -> Iterator[str]:
        """Forms of a currency after numbers: plural and oblique forms are right answers too."""
        if kind == "currency":
            forms = self._data.get("currency_names_plural", {}).get(code, {})
            yield from (clean(text) for text in forms.values() if self._is_name(text, code))

    def _city(self, zone: str) -> Name | None:
        identifiers = (zone, *_old_identifiers().get(zone, ()))
        own, root = (
            next((city for city in cities if city), None)
            for cities in (
                [_exemplar(data, one) for one in identifiers] for data in (self._data, self._root)
            )
        )
        fallback = own is None or own == root
        if fallback and not self._latin:
            return None
        full = clean(own or root or zone.rsplit("/", 1)[-1].replace("_", " "))
        if not self._is_name(full, zone):
            return None
        short = without_brackets(full)
        # Zone identifiers are themselves English, so in English the rule yields the proper name.
        return _name(short, [full], fallback and self.lang.split("-")[0] != "en")

    def _is_name(self, text: str, code: str) -> bool:
        if not text or text == code:
            return False
        if self._latin:
            return True
        letters = (c for c in text if unicodedata.category(c)[0] == "L")
        return not all("LATIN" in unicodedata.name(c, "") for c in letters)


@cache
def names(lang: str) -> Names:
    """The names of a language, read once per process."""
    return Names(lang)


def clean(text: str) -> str:
    """NFC, without invisible characters, with plain single spaces; apostrophes are kept."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = "".join(c for c in text if c in _JOINERS or unicodedata.category(c) != "Cf")
    text = " ".join(text.split())
    # Catalan lists "Caire, el" as an index would.
    return _INVERTED.sub(r"\2 \1", text) if "," in text else text


def without_brackets(text: str) -> str:
    """Take bracketed parts out; a name that begins with a bracket only loses the bracket signs.

    >>> without_brackets("Cocos (Keeling) Islands")
    'Cocos Islands'
    """
    if text[:1] and text[0] in _OPENING:
        return clean("".join(c for c in text if c not in _OPENING + _CLOSING))
    if not any(sign in text for sign in _OPENING):
        return text
    short = _BRACKETED.sub(lambda m: " " if m.group() != m.group().strip() else "", text)
    return clean(short) or text


def _name(text: str, others: list[str], fallback: bool = False) -> Name:
    different = tuple(dict.fromkeys(one for one in others if one and one != text))
    return Name(text, fold(text), different, fallback)


def _second_name(kind: str, code: str, full: str) -> Iterator[str]:
    if (kind, code) in _SECOND_NAME:
        yield from (part.strip().strip(_OPENING + _CLOSING) for part in _BRACKETED.findall(full))


def _exemplar(data: Mapping[str, Any], zone: str) -> str | None:
    entry = data.get("time_zones", {}).get(zone)
    return entry.get("city") if entry else None


@cache
def _old_identifiers() -> dict[str, tuple[str, ...]]:
    """Current zone -> identifiers under which CLDR may still keep it (Asia/Calcutta)."""
    from babel.core import get_global

    result: dict[str, list[str]] = {}
    for old, current in get_global("zone_aliases").items():
        result.setdefault(current, []).append(old)
    return {zone: tuple(sorted(old)) for zone, old in result.items()}
