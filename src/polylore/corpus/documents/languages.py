"""The language of a document: one code for its many spellings, or identified from its text."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from polylore.corpus.documents.batch import Batch
from polylore.corpus.extras import require

_LOOKED_AT = 32_768
"""Bytes of a document that identification looks at, from its middle: headers mislead."""
# The identifier's own codes for what CLDR calls otherwise.
_ALIASES = {"iw": "he", "jw": "jv", "in": "id", "ji": "yi", "no": "nb"}


@cache
def canonical(code: str | None) -> str | None:
    """The primary language subtag of any spelling: zh_CN, zho_Hans, Chinese -> zh.

    Documents and facts are of one language if these are equal. None for what names no language.
    """
    if code is None:
        return None
    from babel import Locale
    from babel.core import get_global

    primary = re.split(r"[-_ ]", code.strip())[0].lower()
    if not primary or primary in ("un", "und", "unknown", "none", "null"):
        return None
    known = Locale("en").languages
    if len(primary) > 3:
        names = {str(name).lower(): key for key, name in known.items()}
        return str(names.get(primary, primary))
    primary = _ALIASES.get(primary, primary)
    # Deprecated and three-letter codes; a macrolanguage keeps its own.
    alias = get_global("language_aliases").get(primary, primary)
    return str(alias).split("_")[0]


def with_languages(batch: Batch, *, identify: bool) -> Batch:
    """The batch with canonical languages; what gives none is identified if asked for.

    Raises:
        ConfigError: the package that identifies is not installed.
    """
    langs: Sequence[str | None] = batch.langs or [None] * batch.count
    found = [canonical(lang) for lang in langs]
    if identify and None in found:
        texts = batch.texts()
        found = [lang or identified(texts[i]) for i, lang in enumerate(found)]
    return replace(batch, langs=found if any(found) else None)


def identified(text: bytes) -> str | None:
    """The language of a text in UTF-8; None if it cannot be told."""
    cld = require("pycld2", "langid")
    start = max((len(text) - _LOOKED_AT) // 2, 0)
    part = text[start : start + _LOOKED_AT].decode(errors="ignore")
    # It refuses control characters.
    part = "".join(part.translate(_SPACES)) if not part.isprintable() else part
    try:
        reliable, _, details = cld.detect(part)
    except cld.error:
        return None
    return canonical(details[0][1]) if reliable else None


_SPACES = dict.fromkeys((*range(32), 127, *range(128, 160), *range(64976, 65008)), " ")
