"""The base of every configuration: strict, frozen, and self-describing.

A field is followed by a one-line docstring that is its help text everywhere: in `--help`, in the
YAML reference and in the manifest. Unknown keys are refused.
"""

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from polylore.errors import ConfigError


class Config(BaseModel):
    """Base class of all configurations."""

    as_text: ClassVar[bool] = False
    """Whether it may be written as one word, its `str`; then it is one flag of the command line."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        protected_namespaces=(),
    )

    @classmethod
    def parse(cls, values: dict[str, Any], where: str = "configuration") -> Self:
        """Validate plain values.

        Raises:
            ConfigError: one sentence that names every offending key and what it should be.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_sentence(error, where)) from error

    def plain(self) -> dict[str, Any]:
        """JSON-compatible values, as the manifest stores them."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the configuration."""
        return digest(self.plain())


def digest(values: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of plain values."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def difference(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Readable list of the keys whose values differ between two plain structures."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted({*old, *new}):
            path = f"{prefix}.{key}" if prefix else str(key)
            if key not in old:
                found.append(f"{path}: absent there, {_short(new[key])} here")
            elif key not in new:
                found.append(f"{path}: {_short(old[key])} there, absent here")
            else:
                found.extend(difference(old[key], new[key], path))
        return found
    return [] if old == new else [f"{prefix}: {_short(old)} there, {_short(new)} here"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _sentence(error: ValidationError, where: str) -> str:
    parts = []
    for item in error.errors(include_url=False):
        key = ".".join(str(p) for p in item["loc"])
        what = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            parts.append(f"{key} is not a known setting")
        elif item["type"] == "missing":
            parts.append(f"{key} must be given")
        elif isinstance(item["input"], dict):
            # A rule about several settings names them itself.
            parts.append(f"{key}: {what}" if key else what)
        else:
            parts.append(f"{key}: {what} (got {_short(item['input'])})")
    return f"{where}: {'; '.join(parts)}."
