"""How a prompt says its language (specification of `unify`, section 3.3)."""

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config

_TEXT = re.compile(r"(\w+?)(?:\(([^()]*)\))?(?:\+xor_noise\(([^()]*)\))?")
_NUMBER = {"drop": "q", "syn": "m", "xor": "epsilon", "tag_noise": "q"}
"""The field that the number in brackets stands for."""


class CueConfig(Config):
    """A language cue; may be written as text: none, tag, drop(.3), syn(4), xor(.5),
    tag_noise(.1), xor(.75)+xor_noise(.1)."""

    as_text: ClassVar[bool] = True

    kind: Literal["none", "tag", "drop", "syn", "xor", "tag_noise"] = "none"
    """Nothing, one token per language, that token sometimes replaced by a neutral one, one of
    several synonyms, two bits whose exclusive or is the language, or a tag redrawn at random."""
    q: float = Field(default=0.0, ge=0, le=1)
    """drop: share of neutral tokens; tag_noise, xor: share of tags or second bits redrawn."""
    m: int = Field(default=1, ge=1, le=65_536)
    """syn: synonyms per language."""
    epsilon: float = Field(default=0.0, ge=0, le=1)
    """xor: how much the first bit alone says; it equals the language with (1 + epsilon) / 2."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _TEXT.fullmatch(value.replace(" ", ""))
        kind, number, noise = found.groups() if found else (None, None, None)
        if kind is None or (number is not None) != (kind in _NUMBER) or (noise and kind != "xor"):
            raise ValueError(
                "write none, tag, drop(q), syn(m), xor(e), tag_noise(q) or xor(e)+xor_noise(q)"
            )
        values: dict[str, Any] = {"kind": kind}
        if number is not None:
            values[_NUMBER[kind]] = number
        return values if noise is None else {**values, "q": noise}

    @model_validator(mode="after")
    def _only_its_own(self) -> Self:
        meant = {"none": (), "tag": (), "drop": ("q",), "tag_noise": ("q",), "syn": ("m",)}
        for name in ("q", "m", "epsilon"):
            allowed = meant.get(self.kind, ("q", "epsilon"))
            if name not in allowed and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no meaning for the cue {self.kind}")
        return self

    @property
    def length(self) -> int:
        """Tokens in front of the name."""
        return {"none": 0, "xor": 2}.get(self.kind, 1)

    @property
    def label(self) -> str:
        """The cue as text."""
        if self.kind not in _NUMBER:
            return self.kind
        noise = f"+xor_noise({self.q:g})" if self.kind == "xor" and self.q else ""
        return f"{self.kind}({getattr(self, _NUMBER[self.kind]):g}){noise}"

    def __str__(self) -> str:
        return self.label
