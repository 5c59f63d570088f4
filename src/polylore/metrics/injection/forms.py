"""Which form of forgetting fits the superposed curve best (specification of `inject`, 2.5).

All forms share the rise (p, r) of the kernel and start at F(1) = 1; the common gain g is solved
linearly. AICc on the point estimate alone decides nothing: a form must win the item resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import least_squares

from polylore.metrics.index import Array
from polylore.metrics.injection.kernel import Kernel, Mean, autocorrelation, ramp, since_peak
from polylore.metrics.injection.resample import Weights

FEWEST_POINTS = 20
WIN = 0.9
RESAMPLES = 200


@dataclass(frozen=True)
class Form:
    """F(u), with bounds and starts of its parameters."""

    names: tuple[str, ...]
    function: Callable[[Array, Array], Array]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    starts: tuple[tuple[float, ...], ...]


def _power_floor(u: Array, v: Array) -> Array:
    return np.asarray(v[1] + (1 - v[1]) * u ** -v[0])


def _two(u: Array, v: Array) -> Array:
    fast, slow = np.exp(-(u - 1) / 10 ** v[1]), np.exp(-(u - 1) / 10 ** v[2])
    return np.asarray(v[0] * fast + (1 - v[0]) * slow)


# Time constants are searched on a log scale: log10_c.
FORMS = {
    "log_linear": Form(("a",), lambda u, v: 1 - v[0] * np.log10(u), (-5,), (5,), ((0.2,), (0.0,))),
    "power": Form(("b",), lambda u, v: u ** -v[0], (-2,), (5,), ((0.1,), (0.5,))),
    "power_floor": Form(
        ("b", "f"), _power_floor, (0, 0), (5, 1), ((0.2, 0.2), (1.0, 0.5), (0.1, 0.0))
    ),
    "exponential": Form(
        ("log10_c",), lambda u, v: np.exp(-(u - 1) / 10 ** v[0]), (-1,), (7,), ((1.0,), (3.0,))
    ),
    "stretched": Form(
        ("log10_c", "beta"),
        lambda u, v: np.exp(-(((u - 1) / 10 ** v[0]) ** v[1])),
        (-1, 0.02),
        (7, 2),
        ((2.0, 0.5), (4.0, 0.3)),
    ),
    "two_exponentials": Form(
        ("share", "log10_c1", "log10_c2"),
        _two,
        (0, -1, -1),
        (1, 7, 7),
        ((0.3, 1.0, 3.0), (0.5, 0.5, 2.0)),
    ),
}


@dataclass(frozen=True)
class Fitted:
    """One form, fitted."""

    params: tuple[float, ...]
    gain: float
    sse: float
    residual: Array


@dataclass(frozen=True)
class Comparison:
    """All forms of a cell."""

    fits: dict[str, Fitted]
    n_eff: float
    aicc: dict[str, float | None]
    win_share: dict[str, float | None]
    holdout_error: dict[str, float | None]
    verdict: str


class _Curve:
    """The mean curve of one weighting, and the lags that superpose to it."""

    def __init__(self, mean: Mean, kernel: Kernel, weights: Weights) -> None:
        y = mean.curve(weights)
        self.seen = ~np.isnan(y)
        self.y = y[self.seen]
        lags = mean.lags_SNT[:, :, self.seen]
        weight = ramp(lags, kernel.p, kernel.r) * mean.shares(weights)[:, None, None]
        self.u, place = np.unique(since_peak(lags, kernel.p), return_inverse=True)
        state = np.broadcast_to(np.arange(lags.shape[2]), lags.shape)
        shape = (lags.shape[2], len(self.u))
        flat = (weight.ravel(), (state.ravel(), place.ravel()))
        self.superpose = sparse.coo_matrix(flat, shape=shape).tocsr()
        self.states = mean.gains.cell.states_T[self.seen]

    def cut(self, keep: Array) -> "_Curve":
        """The same with some of the states only."""
        part = object.__new__(_Curve)
        part.y, part.u, part.superpose = self.y[keep], self.u, self.superpose[keep]
        part.seen, part.states = self.seen, self.states[keep]
        return part

    def solve(self, form: Form, values: Array) -> tuple[float, Array]:
        """Best common gain for given parameters, and the residual."""
        x = self.superpose @ form.function(self.u, values)
        whole = float(x @ x)
        gain = float(x @ self.y) / whole if whole > 0 else 0.0
        return gain, self.y - gain * x

    def fit(self, form: Form, starts: tuple[tuple[float, ...], ...]) -> Fitted:
        """Bounded least squares from every start; the best is kept."""
        best: Fitted | None = None
        for start in starts:
            inside = np.clip(start, np.add(form.lower, 1e-9), np.subtract(form.upper, 1e-9))
            found = least_squares(
                lambda v: self.solve(form, v)[1],
                inside,
                bounds=(form.lower, form.upper),
                x_scale="jac",
                max_nfev=200,
            )
            gain, residual = self.solve(form, found.x)
            sse = float(residual @ residual)
            if best is None or sse < best.sse:
                best = Fitted(tuple(float(v) for v in found.x), gain, sse, residual)
        if best is None:
            raise ValueError("a form needs a start")
        return best


def _criterion(fits: dict[str, Fitted]) -> tuple[float, dict[str, float | None]]:
    """Effective points, and AICc of every form: n ln(SSR/n) + 2k + 2k(k+1)/(n-k-1)."""
    best = min(fits.values(), key=lambda f: f.sse)
    rho = max(0.0, np.nan_to_num(autocorrelation(best.residual)))
    points = len(best.residual)
    n = points * (1 - rho) / (1 + rho)
    if n < FEWEST_POINTS:
        return float(n), dict.fromkeys(fits)
    scores: dict[str, float | None] = {}
    for name, found in fits.items():
        k = len(found.params) + 2
        sse = max(found.sse, np.finfo(float).tiny)
        scores[name] = float(n * np.log(sse / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))
    return float(n), scores


def _winner(scores: dict[str, float | None]) -> str | None:
    known = {name: score for name, score in scores.items() if score is not None}
    return min(known, key=known.__getitem__) if known else None


def _holdout(curve: _Curve, fits: dict[str, Fitted], last: int) -> dict[str, float | None]:
    """Root mean squared error on the later lags (log scale), fitted on the earlier ones."""
    longest = int(curve.states[-1]) - last
    early = curve.states <= last + np.sqrt(max(longest, 1))
    if early.sum() < FEWEST_POINTS or (~early).sum() < 2:
        return dict.fromkeys(fits)
    first, second = curve.cut(early), curve.cut(~early)
    errors: dict[str, float | None] = {}
    for name, form in FORMS.items():
        found = first.fit(form, (*form.starts, fits[name].params))
        x = second.superpose @ form.function(second.u, np.array(found.params))
        errors[name] = float(np.sqrt(np.mean((second.y - found.gain * x) ** 2)))
    return errors


def compare_forms(
    mean: Mean, kernel: Kernel, weights: Weights, resamples: list[Weights]
) -> Comparison:
    """Fit all forms with the kernel's rise, on the data and on every resample.

    Resamples start from the solution on the data; p and r are kept.
    """
    curve = _Curve(mean, kernel, weights)
    fits = {name: curve.fit(form, form.starts) for name, form in FORMS.items()}
    n_eff, scores = _criterion(fits)
    wins = dict.fromkeys(FORMS, 0)
    counted = 0
    for drawn in resamples if n_eff >= FEWEST_POINTS else []:
        again = _Curve(mean, kernel, drawn)
        found = {name: again.fit(FORMS[name], (fits[name].params,)) for name in FORMS}
        winner = _winner(_criterion(found)[1])
        if winner is not None:
            wins[winner] += 1
            counted += 1
    shares: dict[str, float | None] = {n: w / counted if counted else None for n, w in wins.items()}
    leader = max(wins, key=wins.__getitem__)
    if n_eff < FEWEST_POINTS:
        verdict = "too_few_points"
    else:
        verdict = leader if counted and wins[leader] / counted >= WIN else "undetermined"
    last = int(mean.gains.items.times_JN.max())
    return Comparison(fits, n_eff, scores, shares, _holdout(curve, fits, last), verdict)
