"""Can a linear probe read the language from hidden states? (specification of `unify`, 2.7, 2.4)

Entities are split, never items, so that a probe cannot name the language by naming the entity.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.special import log_softmax

from polylore.metrics.index import Array
from polylore.metrics.unification.linear import half_of
from polylore.metrics.unification.measure import What
from polylore.metrics.unification.scores import FEWEST
from polylore.metrics.unification.vectors import VANISHING
from polylore.tables.unify import PROBE

PENALTY = 10.0
TIE = 1e-6
"""Scores closer than this are equal; targets are +1 and -1."""
BLOCKS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def probe_rows(
    states_NLKPD: Array,
    entities: Sequence[str],
    what: What,
    *,
    positions: Sequence[int],
    codelengths: bool = True,
    seed: int = 0,
) -> pl.DataFrame:
    """Probe every layer and position.

    Args:
        states_NLKPD: states by item, language, hidden state, position and dimension.
        entities: entity of each item.
        what: run, step and kind of item.
        positions: prompt positions of the states, from 0.
        codelengths: whether to compute codelengths, which take five fits more.
        seed: seed of the halves, the permuted labels and the order of entities.

    Returns:
        Table PROBE.
    """
    n, n_languages, n_layers, n_positions, _ = states_NLKPD.shape
    rows = []
    for layer, place in np.ndindex(n_layers, n_positions):
        row: dict[str, object] = {
            **what.columns,
            "layer": layer,
            "position": positions[place],
            "n": n * n_languages,
        }
        states = states_NLKPD[:, :, layer, place]
        if n < FEWEST or len(set(entities)) < 2 or n_languages < 2:
            row["reason"] = f"fewer than {FEWEST} items, 2 entities or 2 languages"
        else:
            acc, control = probe(states, entities, seed=seed)
            row |= {"acc": acc, "control_acc": control, "selectivity": acc - control}
            if codelengths:
                row["codelength"] = codelength(states, entities, seed=seed)
        rows.append(row)
    return PROBE.build(rows)


def probe(states_NLD: Array, entities: Sequence[str], *, seed: int = 0) -> tuple[float, float]:
    """Balanced accuracy of a ridge classifier, and of its control task.

    Penalty 10, inputs standardised on the training half, targets +1 and -1, one against the rest.
    Languages with equal scores share the credit, so states without a trace of it give exactly 1/L.
    The control permutes the languages of each entity.

    Args:
        states_NLD: states by item, language and dimension.
        entities: entity of each item; no entity is in both halves.
        seed: seed of the halves and of the control.

    Returns:
        Accuracy and control accuracy on the half that was not trained on.
    """
    names = np.asarray(entities, dtype=str)
    train_N = half_of(names, seed)
    n_languages = states_NLD.shape[1]
    true_NL = np.tile(np.arange(n_languages), (len(names), 1))
    labels = (true_NL, _permuted(names, n_languages, seed))
    x_train, x_test = _standardised(states_NLD[train_N], states_NLD[~train_N])
    targets = [2.0 * (y[train_N].reshape(-1, 1) == np.arange(n_languages)) - 1 for y in labels]
    weights = _ridge(x_train, np.concatenate(targets, axis=1))
    scores = x_test @ weights
    accuracies = [
        _credit(scores[:, k * n_languages : (k + 1) * n_languages], y[~train_N].ravel())
        for k, y in enumerate(labels)
    ]
    return accuracies[0], accuracies[1]


def _permuted(names: Array, n_languages: int, seed: int) -> Array:
    """Labels of the control task: one permutation of the languages per entity."""
    unique, code_N = np.unique(names, return_inverse=True)
    generator = np.random.default_rng([seed, 1])
    orders = generator.permuted(np.tile(np.arange(n_languages), (len(unique), 1)), axis=1)
    return np.asarray(orders[code_N])


def _standardised(train_NLD: Array, *others: Array) -> list[Array]:
    """Inputs (items x languages, D) z-scored on the first; constant dimensions become 0."""
    d = train_NLD.shape[-1]
    flat = [np.asarray(x, dtype=np.float64).reshape(-1, d) for x in (train_NLD, *others)]
    mean, sd = flat[0].mean(axis=0), flat[0].std(axis=0)
    usual = np.sqrt(np.mean(flat[0] ** 2))
    scale = np.where(sd > VANISHING * usual, 1 / np.where(sd > 0, sd, 1), 0.0)
    return [(x - mean) * scale for x in flat]


def _ridge(x_ND: Array, targets_NC: Array) -> Array:
    """Ridge coefficients (D, C), in whichever form is smaller."""
    n, d = x_ND.shape
    if d <= n:
        return np.asarray(np.linalg.solve(x_ND.T @ x_ND + PENALTY * np.eye(d), x_ND.T @ targets_NC))
    dual = np.linalg.solve(x_ND @ x_ND.T + PENALTY * np.eye(n), targets_NC)
    return np.asarray(x_ND.T @ dual)


def _credit(scores_NC: Array, label_N: Array) -> float:
    """Balanced accuracy; labels whose scores tie for the highest share the credit."""
    top = scores_NC >= scores_NC.max(axis=1, keepdims=True) - TIE
    credit_N = top[np.arange(len(top)), label_N] / top.sum(axis=1)
    return float(np.mean([credit_N[label_N == k].mean() for k in np.unique(label_N)]))


def codelength(states_NLD: Array, entities: Sequence[str], *, seed: int = 0) -> float:
    """Prequential codelength of the language, bits per state (Voita and Titov 2020).

    Entities come in a seeded order, in blocks that end at 1/32, 1/16, 1/8, 1/4, 1/2 and all of
    them. The first block costs log2 L bits a state, each later one what a ridge-logistic probe
    (penalty 10, standardised inputs) fitted on all before it gives.
    """
    names, code_N = np.unique(np.asarray(entities, dtype=str), return_inverse=True)
    n_languages = states_NLD.shape[1]
    place_E = np.empty(len(names), dtype=np.int64)
    place_E[np.random.default_rng([seed, 2]).permutation(len(names))] = np.arange(len(names))
    place_N = place_E[code_N]
    ends = sorted({max(1, round(len(names) * share)) for share in BLOCKS})
    bits = np.count_nonzero(place_N < ends[0]) * n_languages * np.log2(n_languages)
    for start, end in pairwise(ends):
        before, block = place_N < start, (place_N >= start) & (place_N < end)
        x, new = _standardised(states_NLD[before], states_NLD[block])
        logp = log_softmax(new @ _logistic(x, n_languages), axis=1)
        labels = np.tile(np.arange(n_languages), np.count_nonzero(block))
        bits -= logp[np.arange(len(labels)), labels].sum() / np.log(2)
    return float(bits / (len(place_N) * n_languages))


def _logistic(x_ND: Array, n_languages: int) -> Array:
    """Softmax coefficients (D, L); rows of x cycle through the languages."""
    n, d = x_ND.shape
    basis = None
    if d > n:
        # A ridge solution lies in the span of its inputs.
        basis = np.linalg.qr(x_ND.T)[0]
        x_ND = x_ND @ basis
    hot = np.tile(np.eye(n_languages), (n // n_languages, 1))

    def loss(flat: Array) -> tuple[float, Array]:
        w = flat.reshape(x_ND.shape[1], n_languages)
        logp = log_softmax(x_ND @ w, axis=1)
        gradient = x_ND.T @ (np.exp(logp) - hot) + PENALTY * w
        return float(-(logp * hot).sum() + PENALTY / 2 * (w**2).sum()), gradient.ravel()

    found = minimize(
        loss, np.zeros(x_ND.shape[1] * n_languages), jac=True, method="L-BFGS-B"
    ).x.reshape(-1, n_languages)
    return np.asarray(found if basis is None else basis @ found)
