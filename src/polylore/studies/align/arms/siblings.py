"""Which arms are siblings: the diff of their manifests against the one factor that may differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylore.config import difference
from polylore.errors import ConfigError
from polylore.tables.arms import SIBLINGS

Manifest = Mapping[str, Any]
MATCHED = 0.01
"""Budgets are matched if they differ by no more than this share (`align`, section 2.7)."""
MAY_DIFFER = {
    "training": ("kind", "data", "design", "targets"),
    "data": ("kind", "data", "design.lang", "design.ratio", "design.new", "design.target",
             "design.replay", "design.match", "budget.updates", "budget.match"),
    "replay": ("data", "design.replay", "budget.updates"),
    "translate": ("data", "design.translate"),
    "parallel": ("data", "design.parallel_exposure"),
    "shuffled": ("data", "design.shuffled"),
    "start": ("start",),
    "method": ("method",),
    "rate": ("train.learning_rate",),
}  # fmt: skip
"""Parts of a manifest that a factor may change. training: what is trained on, not how."""
WITH_NONE = ("kind", "data", "design", "targets", "train", "method", "budget", "machine")
"""What training may change where one side trains nothing; start, seed and versions may not."""


@dataclass(frozen=True)
class Pair:
    """Two arms and the factor that is declared to differ."""

    arm: str
    minus: str
    factor: str


def identity(manifest: Manifest) -> dict[str, Any]:
    """What of a manifest may not differ between siblings: all but names, costs and ends."""
    kept = ("kind", "seed", "data", "design", "targets", "train", "method", "budget", "versions",
            "machine")  # fmt: skip
    return {name: manifest.get(name) for name in kept} | {"start": manifest["start"]["hash"]}


def compare_pair(pair: Pair, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """One row of SIBLINGS.

    Raises:
        ConfigError: an arm that was not trained, or not with the same seeds.
    """
    arm, minus = (_by_seed(name, manifests) for name in (pair.arm, pair.minus))
    shared = sorted(set(arm) & set(minus))
    if not shared:
        raise ConfigError(f"{pair.arm} and {pair.minus} have no training seed in common.")
    differs: dict[str, None] = {}
    beyond: dict[str, None] = {}
    allowed = _may_differ(pair.factor, arm[shared[0]], minus[shared[0]])
    gaps: dict[str, float] = {}
    for seed in shared:
        for sentence in difference(identity(minus[seed]), identity(arm[seed])):
            differs[sentence] = None
            if not _within(sentence.partition(": ")[0], allowed):
                beyond[sentence] = None
        for name, gap in _gaps(pair.factor, arm[seed], minus[seed]).items():
            gaps[name] = max(gap, gaps.get(name, 0.0))
    for name, gap in gaps.items():
        if gap > MATCHED:
            beyond[f"{name} differ by {gap:.1%}"] = None
    return {
        "arm": pair.arm,
        "minus": pair.minus,
        "factor": pair.factor,
        "siblings": not beyond,
        "differs": list(differs),
        "beyond": list(beyond),
        "budget": max(gaps.values(), default=None),
    }


def _gaps(factor: str, arm: Manifest, minus: Manifest) -> dict[str, float]:
    """Relative differences that must be small: of budgets, or of exposures where rows are replayed.

    Nothing where one side trains nothing. Injections run until they pass; what is equal then is the
    gate and its cap.
    """
    if any(one["kind"] == "none" or "gate" in one["budget"]["until"] for one in (arm, minus)):
        return {}
    if factor == "replay" and arm["kind"] == minus["kind"] == "inject":
        return {"exposures of injected facts": exposure_gap(arm, minus)}
    return {"budgets": max(budget_gaps(arm, minus).values())}


def exposure_gap(arm: Manifest, minus: Manifest) -> float:
    """Largest relative difference of injected rows that were read, over languages.

    With replay, equal updates are fewer exposures (`align`, section 4.6).
    """
    one, other = (m["spent"]["by_language"] for m in (arm, minus))
    return max(
        _gap(*(own.get(lang, {}).get("injected", 0) for own in (one, other)))
        for lang in {**one, **other}
    )


def budget_gaps(arm: Manifest, minus: Manifest) -> dict[str, float]:
    """Relative differences of budgets: of everything, or of the target where that is matched."""
    one, other = arm["spent"], minus["spent"]
    if "target" in (arm["budget"]["match"], minus["budget"]["match"]):
        target = arm["target"] or minus["target"]
        pair = [m["by_language"].get(target, {}).get("input_tokens", 0) for m in (one, other)]
        return {f"input_tokens of {target}": _gap(*pair)}
    return {
        name: _gap(one[name], other[name]) for name in ("updates", "input_tokens", "loss_tokens")
    }


def siblings_table(pairs: Sequence[Pair], manifests: Sequence[Manifest]) -> pl.DataFrame:
    """Table SIBLINGS."""
    return SIBLINGS.build([compare_pair(pair, manifests) for pair in pairs])


def _by_seed(arm: str, manifests: Sequence[Manifest]) -> dict[int, Manifest]:
    found = {m["seed"]: m for m in manifests if m["arm"] == arm}
    if not found:
        known = ", ".join(dict.fromkeys(m["arm"] for m in manifests))
        raise ConfigError(f"There is no trained arm '{arm}'; there are {known}.")
    return found


def _may_differ(factor: str, arm: Manifest, minus: Manifest) -> tuple[str, ...]:
    if factor == "training" and "none" in (arm["kind"], minus["kind"]):
        return WITH_NONE
    return MAY_DIFFER[factor]


def _within(path: str, parts: Sequence[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in parts)


def _gap(one: float, other: float) -> float:
    largest = max(one, other)
    return abs(one - other) / largest if largest else 0.0


def usual_pairs(manifests: Sequence[Manifest]) -> Iterator[Pair]:
    """The comparisons behind the claims and controls of the specification (sections 5 and 9.6).

    Text arms against base_mix, mixes against the continued training of a language in them,
    instruction tuning against the start, injections after a treatment against the one from the
    start, and variants of an injection against the plain one.
    """
    arms = {m["arm"]: m for m in manifests if m["kind"] != "start"}
    texts = {n: m for n, m in arms.items() if m["kind"] in ("cpt", "mix") and _first(m)}
    for name in texts:
        total = _matched(texts[name]) == "total"
        if name != "base_mix" and "base_mix" in arms and total:
            yield Pair(name, "base_mix", "data")
    for name, mix in texts.items():
        for other, cpt in texts.items():
            ratio = mix["design"]["ratio"]
            if cpt["kind"] == "cpt" and isinstance(ratio, dict) and cpt["target"] in ratio:
                yield Pair(name, other, "data")
    for name, manifest in arms.items():
        if manifest["kind"] == "itune" and _first(manifest):
            yield Pair(name, "none", "training")
        elif manifest["kind"] == "inject":
            yield from _injections(name, manifest, arms)


def _matched(manifest: Manifest) -> str:
    """How its budget is matched: total or target."""
    return str(manifest["budget"]["match"])


def _injections(name: str, manifest: Manifest, arms: Mapping[str, Manifest]) -> Iterator[Pair]:
    if _first(manifest):
        yield Pair(name, "none", "training")
    stage = name.rpartition(">")[2]
    if stage != name and stage in arms:
        yield Pair(name, stage, "start")
    factors = {"replay": "replay", "translate": "translate", "parallel_exposure": "parallel",
               "shuffled": "shuffled"}  # fmt: skip
    for other, plain in arms.items():
        if other == name or plain["kind"] != "inject" or plain["start"] != manifest["start"]:
            continue
        changed = [
            field for field in factors if plain["design"][field] != manifest["design"][field]
        ]
        if plain["targets"] == manifest["targets"] and len(changed) == 1 and _plain(plain):
            yield Pair(name, other, factors[changed[0]])


def _first(manifest: Manifest) -> bool:
    return bool(manifest["start"]["from"] == "start")


def _plain(manifest: Manifest) -> bool:
    """Whether an injection has none of the variants: the published design."""
    design = manifest["design"]
    return not design["replay"] and not design["parallel_exposure"] and not design["shuffled"] and (
        design["translate"] in (None, ["t>s"])
    )  # fmt: skip
