"""The named ways of sharing tokens between languages (specification of `unify`, section 3.2)."""

from typing import Any

from polylore.errors import ConfigError

PRESETS: dict[str, tuple[float, float, float]] = {
    "shared": (1, 1, 1),
    "shared_names": (1, 0, 0),
    "shared_values": (0, 0, 1),
    "disjoint": (0, 0, 0),
    "subword": (0.5, 0, 0),
    "transliterated": (0, 1, 1),
    "scrambled": (0, 1, 1),
    "false_friends": (0, 0, 0),
}
"""Shares of names, relations and values of each preset; `subword` takes its own share of names."""


def token_preset(name: str, amount: float | None = None) -> dict[str, Any]:
    """Settings of a preset, to be given to `WorldConfig`.

    Args:
        name: one of `PRESETS`; `shared` brings the cue `tag`, without which its languages would be
            the same string.
        amount: share of letters of `subword`, share of false friends among names of
            `false_friends`; 0.5 if None.

    Raises:
        ConfigError: unknown preset, or an amount for a preset that has none.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name}; choose {', '.join(PRESETS)}.")
    if amount is not None and name not in ("subword", "false_friends"):
        raise ConfigError(f"The preset {name} has no amount; subword and false_friends do.")
    names, relations, values = PRESETS[name]
    amount = 0.5 if amount is None else amount
    share = {"names": names, "relations": relations, "values": values}
    settings: dict[str, Any] = {"share": share}
    if name == "shared":
        settings["cue"] = {"kind": "tag"}
    if name in ("subword", "transliterated", "scrambled"):
        settings["name_len"] = 2
    if name == "subword":
        share["names"] = amount
    if name == "scrambled":
        settings["name_map"] = "scrambled"
    if name == "false_friends":
        settings["false_friends"] = {"names": amount}
    return settings
