"""How much of the association a model uses (specification of `unify`, section 2.3, last item)."""

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from polylore.metrics.bootstrap import divide
from polylore.metrics.index import Array
from polylore.tables.unify_results import ASSOCIATION


def used_info(probs_LV: Array) -> float:
    """(1/L) sum_l KL(p_l || mean p) in bits, from 0 to log2 L.

    Args:
        probs_LV: mean probability of each value by language; rows are brought to sum 1.
    """
    p = np.asarray(probs_LV, dtype=np.float64)
    p = divide(p, p.sum(axis=1, keepdims=True))
    mean = p.mean(axis=0)
    terms = p * np.log2(np.where(p > 0, p, 1) / np.where(mean > 0, mean, 1))
    return float(terms.sum() / len(p))


def pref_mass(probs_LV: Array, owner_V: Array) -> float:
    """Mean over languages of the mass on the values the language owns.

    Args:
        probs_LV: mean probability of each value by language.
        owner_V: number of the language that owns each value.
    """
    p = np.asarray(probs_LV, dtype=np.float64)
    own_LV = np.arange(len(p))[:, None] == owner_V
    return float((p * own_LV).sum(axis=1).mean())


def used_association(
    values: pl.DataFrame, languages: list[str], owner_V: Array | None = None
) -> pl.DataFrame:
    """used_info and pref_mass by relation and their mean, of each population and step.

    Args:
        values: table VALUES.
        languages: languages of the world, in its order.
        owner_V: number of the language that owns each value; without it, no pref_mass.

    Returns:
        Table ASSOCIATION. A relation that lacks a language is null with the reason.
    """
    rows = []
    group = ["run_hash", "step", "population"]
    for key, own in values.group_by(group, maintain_order=True):
        base = dict(zip(group, key, strict=True)) | {"estimator": "value"}
        quantities: dict[str, Callable[[Array], float]] = {"used_info": used_info}
        if owner_V is not None:
            quantities["pref_mass"] = partial(pref_mass, owner_V=owner_V)
        found: dict[str, list[float]] = {name: [] for name in quantities}
        for (relation,), part in own.group_by("relation", maintain_order=True):
            matrix = _matrix(part, languages)
            reason = None if matrix is not None else "not asked in every language"
            for quantity, function in quantities.items():
                value = None if matrix is None else function(matrix)
                if value is not None:
                    found[quantity].append(value)
                named = {"quantity": quantity, "relation": relation, "value": value}
                rows.append(base | named | {"reason": reason})
        for quantity, numbers in found.items():
            mean = float(np.mean(numbers)) if numbers else None
            rows.append(
                base
                | {"quantity": quantity, "relation": "all", "value": mean}
                | {"reason": None if numbers else "not asked in every language"}
            )
    return ASSOCIATION.build(rows)


def _matrix(part: pl.DataFrame, languages: list[str]) -> Array | None:
    """Probabilities by language and value; None if a language is missing."""
    if set(part["lang"]) != set(languages):
        return None
    return np.stack(
        [part.filter(lang=lang).sort("value_index")["prob"].to_numpy() for lang in languages]
    )
