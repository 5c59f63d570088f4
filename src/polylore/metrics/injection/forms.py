"""Which form of forgetting fits the superposed curve best (specification of `inject`, 2.5).

All forms share the rise (p, r) of the kernel and start at F(1) = 1; every exposure has a gain of
its own, solved linearly with each form, so that gains that fall from exposure to exposure speak for
no form. AICc counts all N gains: k = shape parameters + N + 1, which for one exposure is the
specification's shape parameters + 2, and grows equally for all forms. With `common`, the
specification's own variant, all exposures share one gain. AICc on the point estimate alone decides
nothing: a form must win the item resamples. How a form is fitted to all resamples at once is
`superposed`.
"""

from dataclasses import dataclass

import numpy as np

from polylore.metrics.index import Array
from polylore.metrics.injection.kernel import Kernel, Mean, autocorrelation
from polylore.metrics.injection.resample import Weights, ones
from polylore.metrics.injection.superposed import Form, Moments, Superposed, minimise

FEWEST_POINTS = 20
WIN = 0.9
RESAMPLES = 200


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
    """One form, fitted to the data."""

    params: tuple[float, ...]
    gains: tuple[float, ...]
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


def compare_forms(
    mean: Mean, kernel: Kernel, drawn: Weights | None, *, common: bool = False
) -> Comparison:
    """Fit all forms with the kernel's rise, on the data and on every resample.

    Args:
        mean: the mean curve of a cell.
        kernel: its kernel, with as many gains; p and r are kept.
        drawn: resamples, which start from the solution on the data; None or none: no verdict.
        common: one gain for all exposures; by default every one has its own.
    """
    data = Superposed(mean, kernel, ones(mean.gains.cell), common=common)
    fits, n_eff, scores = _scored(data)
    enough = bool(scores)
    won = (
        _wins(Superposed(mean, kernel, drawn, common=common), fits)
        if enough and drawn is not None and drawn.n
        else None
    )
    shares: dict[str, float | None] = dict.fromkeys(FORMS)
    verdict = "undetermined" if enough else "too_few_points"
    if won is not None and len(won):
        shares = {name: float((won == k).mean()) for k, name in enumerate(FORMS)}
        leader = max(FORMS, key=lambda name: shares[name] or 0.0)
        verdict = leader if (shares[leader] or 0.0) >= WIN else verdict
    return Comparison(
        fits,
        n_eff,
        {name: scores.get(name) for name in FORMS},
        shares,
        _holdout(data, fits),
        verdict,
    )


def leading_form(mean: Mean, kernel: Kernel, *, common: bool = False) -> str | None:
    """The form with the lowest AICc on the data; None with too few effective points.

    This decides nothing by itself: it says whether a single run is on the side of all of them.
    """
    _, _, scores = _scored(Superposed(mean, kernel, ones(mean.gains.cell), common=common))
    return min(scores, key=scores.__getitem__) if scores else None


def _scored(data: Superposed) -> tuple[dict[str, Fitted], float, dict[str, float]]:
    """All forms on the data, the effective points, and AICc if these are enough; else empty."""
    moments = data.moments(np.ones(len(data.mean.states_T), dtype=bool))
    fits = {name: _fitted(data, form, moments, form.starts) for name, form in FORMS.items()}
    best = min(fits.values(), key=lambda f: f.sse)
    n_eff = float(_effective(best.residual[None])[0])
    enough = n_eff >= fewest_points(len(best.gains))
    scores = {
        name: float(_aicc(np.array([f.sse]), n_eff, FORMS[name], len(f.gains))[0])
        for name, f in fits.items()
        if enough
    }
    return fits, n_eff, scores


def _fitted(
    data: Superposed, form: Form, moments: Moments, starts: tuple[tuple[float, ...], ...]
) -> Fitted:
    """The best solution from any start."""
    begin = np.array(starts, dtype=np.float64)
    v_BP, error_B = minimise(moments.repeated(len(begin)), form, begin)
    v = v_BP[int(error_B.argmin())]
    gains, residual = _solved(data.columns(form.function, v), data.y_DT[0])
    # In nats: states that fewer items were read at weigh less, and the residual with them.
    sse = float(residual @ residual) * len(residual) / float(data.weight_T.sum())
    return Fitted(tuple(v.tolist()), tuple(gains.tolist()), sse, residual)


def _solved(x_NT: Array, y_T: Array) -> tuple[Array, Array]:
    """Least-squares gains, and the residual."""
    gains = np.linalg.lstsq(x_NT.T, y_T)[0]
    return gains, y_T - gains @ x_NT


def fewest_points(exposures: int) -> int:
    """Effective points below which forms are not compared: one more for every further gain."""
    return FEWEST_POINTS + exposures - 1


def _effective(residual_DT: Array) -> Array:
    """Points that count: n (1 - rho) / (1 + rho) with the residuals' autocorrelation rho > 0."""
    rho = np.array([max(0.0, np.nan_to_num(autocorrelation(one))) for one in residual_DT])
    return np.asarray(residual_DT.shape[1] * (1 - rho) / (1 + rho))


def _aicc(sse: Array, n: Array | float, form: Form, exposures: int) -> Array:
    """n ln(SSR / n) + 2k + 2k(k + 1) / (n - k - 1), k = shape parameters + gains + 1."""
    k = len(form.names) + exposures + 1
    sse = np.maximum(sse, np.finfo(float).tiny)
    return np.asarray(n * np.log(sse / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def _wins(again: Superposed, fits: dict[str, Fitted]) -> Array:
    """Place of the winning form in every resample that has enough effective points."""
    moments = again.moments(np.ones(len(again.mean.states_T), dtype=bool))
    errors, curves = [], []
    for name, form in FORMS.items():
        begin = np.tile(fits[name].params, (moments.n, 1))
        v_DP, error_D = minimise(moments, form, begin)
        f_DU = form.function(moments.u_U, v_DP.T[..., None])
        errors.append(error_D)
        curves.append(moments.solve(f_DU).gains_DN[:, :, None] * f_DU[:, None])
    error_FD = np.array(errors)
    best_D = error_FD.argmin(axis=0)
    picked = np.stack(curves)[best_D, np.arange(moments.n)]
    n_D = _effective(again.y_DT - again.superpose(picked))
    exposures = picked.shape[1]
    enough = n_D >= fewest_points(exposures)
    scores = np.stack(
        [
            _aicc(e[enough], n_D[enough], form, exposures)
            for e, form in zip(error_FD, FORMS.values(), strict=True)
        ]
    )
    return np.asarray(scores.argmin(axis=0))


def _holdout(data: Superposed, fits: dict[str, Fitted]) -> dict[str, float | None]:
    """Root mean squared error on the later lags (log scale), fitted on the earlier ones."""
    last = int(data.mean.gains.items.times_JN.max())
    states = data.mean.states_T
    early = states <= last + np.sqrt(max(int(states[-1]) - last, 1))
    if early.sum() < FEWEST_POINTS or (~early).sum() < 2:
        return dict.fromkeys(fits)
    moments = data.moments(early)
    errors: dict[str, float | None] = {}
    for name, form in FORMS.items():
        begin = np.array([*form.starts, fits[name].params])
        v_BP, error_B = minimise(moments.repeated(len(begin)), form, begin)
        x_NT = data.columns(form.function, v_BP[int(error_B.argmin())])
        gains, _ = _solved(x_NT[:, early], data.y_DT[0, early])
        later = data.y_DT[0, ~early] - gains @ x_NT[:, ~early]
        errors[name] = float(np.sqrt((later**2).sum() / data.weight_T[~early].sum()))
    return errors
