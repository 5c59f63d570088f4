"""Facts about languages that scoring, matching and display depend on.

Codes are BCP 47 as CLDR writes them (``en``, ``zh``, ``zh-Hant``); only the primary subtag matters
for the properties below.
"""

import re
from dataclasses import dataclass
from functools import cache

from polylore.errors import ConfigError

# Written without spaces, or with particles attached to names: no word boundary can be asked for
# after a matched answer (specification of `trace`, section 2.2).
UNBOUNDED = frozenset({"zh", "ja", "ko", "th", "lo", "km", "my"})

# No space between a prompt and its answer in ordinary writing.
UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my"})

# Leading articles that may be removed once when nothing else matches. The elided forms end in an
# apostrophe (typewriter or typographic) and need no following space.
ARTICLES: dict[str, tuple[str, ...]] = {
    "en": ("the ", "a ", "an "),
    "fr": ("le ", "la ", "les ", "l'", "l’", "un ", "une "),
}


@dataclass(frozen=True)
class Language:
    """One language as polylore needs it."""

    code: str
    """BCP 47 code as given by the user."""
    name: str
    """English display name, the code itself if CLDR has none."""
    script: str
    """ISO 15924 code of the script it is usually written in, ``Zzzz`` if unknown."""
    right_to_left: bool
    """Whether the script runs from right to left."""
    bounded: bool
    """Whether a matched answer must end at a word boundary."""
    delimiter: str
    """What stands between prompt and answer in ordinary writing: a space, or nothing."""
    articles: tuple[str, ...]
    """Leading articles the default matcher may remove, each with its trailing space if any."""


@cache
def language(code: str) -> Language:
    """Look a language up by its code.

    Raises:
        ConfigError: CLDR does not know the code.
    """
    from babel import Locale
    from babel.core import get_global

    check_language(code)
    primary = code.replace("_", "-").split("-")[0].lower()
    likely = get_global("likely_subtags").get(primary, f"{primary}_Zzzz_ZZ").split("_")
    parts = code.replace("_", "-").split("-")
    script = next((p.title() for p in parts[1:] if len(p) == 4), likely[1])
    name = Locale("en").languages.get(code.replace("-", "_")) or Locale("en").languages.get(primary)
    return Language(
        code=code,
        name=name or code,
        script=script,
        right_to_left=script in {"Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg"},
        bounded=primary not in UNBOUNDED,
        delimiter="" if primary in UNSPACED else " ",
        articles=ARTICLES.get(primary, ()),
    )


def check_language(code: str) -> str:
    """Return the code if CLDR has a name for its primary subtag, or if it is for private use.

    Raises:
        ConfigError: it has none; the message lists near spellings.
    """
    import difflib

    from babel import Locale

    known = Locale("en").languages
    primary = code.replace("_", "-").split("-")[0].lower()
    # BCP 47 keeps qaa to qtz for private use; drawn worlds speak such languages.
    if primary in known or re.fullmatch("q[a-t][a-z]", primary):
        return code
    by_name = {str(name).lower(): key for key, name in known.items()}
    near = [by_name[n] for n in difflib.get_close_matches(code.lower(), by_name, n=2)]
    near += difflib.get_close_matches(primary, [k for k in known if len(k) <= 3], n=3)
    hint = f" (did you mean {', '.join(dict.fromkeys(near))}?)" if near else ""
    raise ConfigError(
        f"'{code}' is not a language code that CLDR knows{hint}; use BCP 47 codes such as en or zh."
    )
