"""The counting policy: what an occurrence is, and what counts once."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from polylore.config import Config
from polylore.corpus.extras import require


class CountingPolicy(Config):
    """When a text expresses a fact (specification of `trace`, section 2.3).

    Subject and object (or one of its aliases) both occur in one unit of text, in occurrences that
    do not overlap. A unit counts once, however often they occur in it.
    """

    unit: str = Field(default="document", pattern=r"^(document|sequence|sentence|window:[1-9]\d*)$")
    """What holds both: document, sequence (its part of a training sequence), sentence, window:K."""
    normalisation: Literal["nfkc", "nfc", "none"] = "nfkc"
    """Unicode form that texts and names are brought to before they are compared."""
    casefold: bool = True
    """Whether upper and lower case are the same."""
    boundaries: Literal["script", "always", "never"] = "script"
    """Names must be whole words: in scripts that write spaces, in every script, or nowhere."""
    overlap: bool = False
    """Whether occurrences of subject and object may share characters, as in published counts."""

    @property
    def window(self) -> int | None:
        """Words that the two may span together, if the unit is a window."""
        return int(self.unit.removeprefix("window:")) if self.unit.startswith("window:") else None

    @property
    def policy_id(self) -> str:
        """Name of the policy, as written to `exposure`; the unit has a column of its own."""
        parts = (
            "raw" if self.normalisation == "none" else self.normalisation,
            "casefold" if self.casefold else "case",
            {"script": "boundary", "always": "boundary_always", "never": "substring"}[
                self.boundaries
            ],
            "overlap" if self.overlap else "nonoverlap",
        )
        return "cooccurrence:" + "-".join(parts)

    def fold(self, data: bytes) -> bytes:
        """Bring valid UTF-8 to the form in which it is compared.

        Equals `unicodedata.normalize` and `str.casefold` on every character of their Unicode
        version, several times faster and without a detour over `str`.
        """
        sz = require("stringzilla")
        form = self.normalisation.upper()
        parts: Iterable[bytes | memoryview] = (
            [data] if form == "NONE" else _normal_parts(data, form, sz)
        )
        if self.casefold:
            parts = (sz.utf8_uncased_fold(part) for part in parts)
        return b"".join(parts)


_ASCII = re.compile(rb"[\0-\x7f]")
_STRIDE = 1 << 17
"""Bytes looked at at a time: they are still in the processor's cache when they are folded."""
_FEW = 8
"""Stretches of a stride that are normalised one by one; beyond that, all the rest at once."""


def _normal_parts(data: bytes, form: str, sz: Any) -> Iterator[bytes | memoryview]:
    """The normalised text in parts, each of which may be folded by itself.

    To look whether text is normal is much faster than to make it so, and most of it is. It may be
    cut before any ASCII character: none composes with what stands before it.
    """
    view, at = memoryview(data), 0
    while at < len(data):
        end = _ascii_from(data, at + _STRIDE)
        for _ in range(_FEW):
            found = sz.utf8_find_denormalized(view[at:end], form)
            if found is None:
                yield view[at:end]
                break
            found += at
            start = max(at, *(data.rfind(space, at, found) for space in (b" ", b"\n", b"\0")))
            yield view[at:start]
            at = _ascii_from(data, found + 1)
            yield sz.utf8_norm(view[start:at], form)
            end = max(end, at)
        else:
            yield sz.utf8_norm(view[at:end], form)
        at = end


def _ascii_from(data: bytes, at: int) -> int:
    """Where the next ASCII character stands, or the end."""
    found = _ASCII.search(data, at)
    return found.start() if found else len(data)
