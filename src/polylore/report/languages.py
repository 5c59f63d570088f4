"""How the report speaks of languages: English names, and how their strings run."""

from typing import Any

from polylore.errors import ConfigError
from polylore.text import Language, language

ALL = "all"
"""Where a table has it as its language: all languages pooled."""


def _find(code: str) -> Language | None:
    try:
        return language(code)
    except ConfigError:
        return None


def name(code: str) -> str:
    """English name of a language; the code itself where nobody knows it."""
    if code == ALL:
        return "All languages"
    found = _find(code)
    return found.name if found else code


def properties(code: str) -> dict[str, Any]:
    """What the page needs to show strings of this language: tag, name, direction."""
    found = _find(code)
    if found is None:
        # "und" is the tag for an undetermined language; a made-up tag would mislead a voice.
        return {"tag": "und", "name": name(code), "dir": "auto"}
    return {
        "tag": code.replace("_", "-"),
        "name": found.name,
        "dir": "rtl" if found.right_to_left else "ltr",
    }
