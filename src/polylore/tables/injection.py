"""Derived contracts of the study `inject`: all of it can be made from inject_log and the plan."""

from collections.abc import Iterator

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import HI, LO, REASON
from polylore.tables.inject import ARM, DEPTH, INJECT_LANG, PROBE_LANG, RUN

PRESET = Column("preset", pl.String(), "default, paper (IQR factor 1.5) or repo (2.0)")
AT_EXPOSURE = Column(
    "exposure",
    pl.Int32(),
    "number of the exposure, from 0; null: all together, which section 6 calls 'all'",
    "",
    True,
)
ESTIMATE = Column("estimate", pl.Float64(), "the number; null with a reason", "", True)
N_ITEMS = Column("n_items", pl.Int64(), "items behind the number", "items")
CENSORED = Column("censored", pl.Boolean(), "beyond what was observed: only '> lag' is known")
LAG_TOKENS = Column("lag_tokens", pl.Float64(), "the lag; null if unknown", "tokens", True)
LAG_SUM_LR = Column("lag_sum_lr", pl.Float64(), "learning rates summed over it; null", "", True)
SUFFIXED = Column(
    "suffixed",
    pl.Float64(),
    "probes of the cell whose target is scored together with a suffix: their gain is not that of "
    "the target alone, so read margins over distractors with that suffix; null if unknown",
    "share",
    True,
)
KERNEL_LAGS = ("half_life", "half_life_lo", "half_life_hi", "zero", "zero_lo", "zero_hi",
               "observed")  # fmt: skip
DECAY_LAGS = ("half_life", "horizon")
"""Columns in steps that stand by the other two clocks as well (section 2.4, rule 6)."""


def _by_clocks(names: tuple[str, ...]) -> Iterator[Column]:
    """Lags in tokens and in learning rates summed; null where the lag is, or if unknown."""
    for name in names:
        yield Column(f"{name}_tokens", pl.Float64(), f"`{name}`; null if unknown", "tokens", True)
        words = f"learning rates summed over `{name}`; null if unknown"
        yield Column(f"{name}_sum_lr", pl.Float64(), words, "", True)


_CELL = (RUN, ARM, DEPTH, INJECT_LANG, PROBE_LANG)
_KEY = ("run_id", "arm", "depth", "inject_lang", "probe_lang")

EFFECTIVITY = Table(
    "inject_effectivity",
    "Gain per exposure (specification of `inject`, sections 2.2 and 2.4).",
    (
        *_CELL,
        AT_EXPOSURE,
        PRESET,
        Column("estimate", pl.Float64(), "mean gain; null with a reason", "nats per token", True),
        LO,
        HI,
        N_ITEMS,
        Column("n_values", pl.Int64(), "values that are averaged", "values"),
        Column("n_dropped", pl.Int64(), "values that are unread or dropped by a rule", "values"),
        Column(
            "control_estimate",
            pl.Float64(),
            "the same of never-injected items; null if none",
            "nats per token",
            True,
        ),
        Column("lag", pl.Float64(), "mean lag at which the gain is read", "steps", True),
        SUFFIXED,
        REASON,
    ),
    key=(*_KEY, "exposure", "preset"),
)

RETENTION = Table(
    "inject_retention",
    "What is left of the gain, by lag after the last peak (section 6 calls the estimate R, and its "
    "clock is three columns: lag, lag_tokens, lag_sum_lr).",
    (
        *_CELL,
        PRESET,
        Column("lag", pl.Int64(), "since the last peak", "steps"),
        LAG_TOKENS,
        LAG_SUM_LR,
        Column("estimate", pl.Float64(), "share left; null with a reason", "share", True),
        LO,
        HI,
        N_ITEMS,
        Column("n_values", pl.Int64(), "values that are averaged", "values"),
        Column("negative_denominators", pl.Int64(), "values whose whole gain is negative"),
        REASON,
    ),
    key=(*_KEY, "preset", "lag"),
)

DECAY = Table(
    "inject_decay",
    "The straight line of retainability on log10 of the lag: the published form.",
    (
        *_CELL,
        PRESET,
        Column("a", pl.Float64(), "decay constant, minus the slope", "per decade", True),
        LO,
        HI,
        Column("naive_se", pl.Float64(), "its least-squares standard error", "per decade", True),
        Column("r2", pl.Float64(), "share of variance explained", "share", True),
        Column("intercept", pl.Float64(), "share left at a lag of one step", "share", True),
        Column(
            "x_intercept_log10",
            pl.Float64(),
            "log10 of the lag at zero; null if the line does not fall",
            "log10 steps",
            True,
        ),
        Column(
            "x_intercept_tokens_log10",
            pl.Float64(),
            "the same in tokens; null too if tokens per step are not given",
            "log10 tokens",
            True,
        ),
        Column("form", pl.String(), "semi_log: a straight line on log10 of the lag"),
        Column("half_life", pl.Float64(), "lag at which it is at a half; null", "steps", True),
        Column(
            "censored",
            pl.Boolean(),
            "the half-life lies beyond the horizon, or the line does not fall; null without a line",
            "",
            True,
        ),
        Column("horizon", pl.Int64(), "last lag of the line", "steps"),
        *_by_clocks(DECAY_LAGS),
        Column("n_missing", pl.Int64(), "states that were not read: the line needs all", "states"),
        Column("missing", pl.List(pl.Int64()), "the first ten of them; empty if none"),
        N_ITEMS,
        REASON,
    ),
    key=(*_KEY, "preset"),
)

GAINS = Column(
    "gains",
    pl.String(),
    "by_exposure: every exposure has its own; common: all share one (specification of `inject`, "
    "2.4, rule 4), so that gains that fall look like forgetting",
)

KERNELS = Table(
    "inject_kernels",
    "Superposition kernel: rise and log-linear forgetting of one exposure.",
    (
        *_CELL,
        GAINS,
        Column("p", pl.Int32(), "steps until the gain is complete", "steps", True),
        Column("r", pl.Float64(), "what is missing shrinks by this per step", "", True),
        Column("gain_at_peak", pl.Float64(), "mean g (1 - r^p)", "nats per token", True),
        Column("gain_lo", pl.Float64(), "lower end of its 95 % interval", "", True),
        Column("gain_hi", pl.Float64(), "upper end of its 95 % interval", "", True),
        Column("a", pl.Float64(), "share of the peak lost per decade", "per decade", True),
        LO,
        HI,
        Column("above", pl.Float64(), "a minus that of the other kernel", "per decade", True),
        Column("above_lo", pl.Float64(), "lower end of its 95 % interval", "", True),
        Column("above_hi", pl.Float64(), "upper end of its 95 % interval", "", True),
        Column("residual_ac1", pl.Float64(), "lag-1 autocorrelation of residuals", "", True),
        Column("half_life", pl.Float64(), "10^(0.5/a); null if censored", "steps", True),
        Column("half_life_lo", pl.Float64(), "lower end; null if censored", "steps", True),
        Column("half_life_hi", pl.Float64(), "upper end; null if censored", "steps", True),
        Column("half_life_censored", pl.Boolean(), "half-life lies beyond `observed`"),
        Column("zero", pl.Float64(), "10^(1/a), where nothing is left", "steps", True),
        Column("zero_lo", pl.Float64(), "lower end; null if censored", "steps", True),
        Column("zero_hi", pl.Float64(), "upper end; null if censored", "steps", True),
        Column("zero_censored", pl.Boolean(), "zero lies beyond `observed`"),
        Column("observed", pl.Int64(), "longest lag observed", "steps"),
        *_by_clocks(KERNEL_LAGS),
        N_ITEMS,
        SUFFIXED,
        REASON,
    ),
    key=(*_KEY, "gains"),
)

KERNEL_GAINS = Table(
    "inject_kernel_gains",
    "Gain of every exposure: fitted with the kernel, or (common) after it, its shape kept.",
    (
        *_CELL,
        GAINS,
        Column("exposure", pl.Int32(), "number of the exposure, from 0"),
        Column("gain", pl.Float64(), "g_i of section 6", "nats per token"),
        LO,
        HI,
        SUFFIXED,
    ),
    key=(*_KEY, "gains", "exposure"),
)

CURVES = Table(
    "inject_curves",
    "How log-probabilities rise and fall around an item's exposures, controls beside.",
    (
        *_CELL,
        Column("since", pl.Int64(), "state minus the item's first exposure", "steps"),
        Column("rise", pl.Float64(), "item mean of y(t) - y(before)", "nats per token", True),
        LO,
        HI,
        Column("control", pl.Float64(), "the same of never-injected items", "", True),
        Column("control_lo", pl.Float64(), "lower end of its 95 % interval", "", True),
        Column("control_hi", pl.Float64(), "upper end of its 95 % interval", "", True),
        N_ITEMS,
    ),
    key=(*_KEY, "since"),
)

KERNEL_CURVES = Table(
    "inject_kernel_curves",
    "The kernel of one exposure, g K(lag), where every exposure has its own gain; g: their mean.",
    (
        *_CELL,
        Column("lag", pl.Int64(), "since the exposure", "steps"),
        Column("value", pl.Float64(), "what is left of one exposure", "nats per token"),
        LO,
        HI,
    ),
    key=(*_KEY, "lag"),
)

FORMS = Table(
    "inject_forms",
    "Which form of forgetting fits best, and how surely.",
    (
        *_CELL,
        GAINS,
        Column("form", pl.String(), "log_linear, power, power_floor, exponential, ..."),
        Column("names", pl.List(pl.String()), "names of the parameters"),
        Column("params", pl.List(pl.Float64()), "their values"),
        Column("gain", pl.Float64(), "mean of the exposures' gains g", "nats per token"),
        Column("sse", pl.Float64(), "sum of squared residuals", "nats²"),
        Column("aicc", pl.Float64(), "corrected information criterion; null if refused", "", True),
        Column("n_eff", pl.Float64(), "effective points, equal for all forms", "points"),
        Column("win_share", pl.Float64(), "share of item resamples it wins", "share", True),
        Column("holdout_error", pl.Float64(), "rms error on the later lags", "nats", True),
        Column(
            "verdict",
            pl.String(),
            "winning form, undetermined; too_few_points: n_eff "
            "below 20 and one more for every further exposure",
        ),
    ),
    key=(*_KEY, "gains", "form"),
)

THRESHOLD = Table(
    "inject_threshold",
    "Whether exposures accumulate, by the interval between them.",
    (
        *_CELL,
        Column("interval", pl.Int64(), "steps between exposures", "steps"),
        LAG_TOKENS,
        LAG_SUM_LR,
        Column("S", pl.Float64(), "left of one exposure after an interval", "nats per token", True),
        Column("A", pl.Float64(), "left of all after an interval", "nats per token", True),
        Column("A_lo", pl.Float64(), "lower end of its 95 % interval", "", True),
        Column("A_hi", pl.Float64(), "upper end of its 95 % interval", "", True),
        Column("difference", pl.Float64(), "A - S", "nats per token", True),
        LO,
        HI,
        Column("kappa", pl.Float64(), "A / S; null unless S is surely positive", "", True),
        Column("kappa_lo", pl.Float64(), "lower end of its 95 % interval", "", True),
        Column("kappa_hi", pl.Float64(), "upper end of its 95 % interval", "", True),
        Column("kappa_predicted", pl.Float64(), "by the kernel; null without one", "", True),
        Column("within_rise", pl.Boolean(), "shorter than the rise: kept out of the bracket"),
        Column("verdict", pl.String(), "accumulates, plateau, lost or undetermined"),
        N_ITEMS,
    ),
    key=(*_KEY, "interval"),
)

BRACKETS = Table(
    "inject_brackets",
    "Learnability threshold: between which intervals facts stop accumulating.",
    (
        *_CELL,
        Column("bracket_lo", pl.Int64(), "longest interval that accumulates", "steps", True),
        Column("bracket_hi", pl.Int64(), "shortest longer one that does not", "steps", True),
        Column("tokens_lo", pl.Float64(), "the longest in tokens; null if unknown", "tokens", True),
        Column("tokens_hi", pl.Float64(), "the shortest in tokens", "tokens", True),
        Column("sum_lr_lo", pl.Float64(), "learning rates summed over the longest", "", True),
        Column("sum_lr_hi", pl.Float64(), "learning rates summed over the shortest", "", True),
        Column("censored", pl.String(), "none, left, right or undetermined"),
        Column("monotone", pl.Boolean(), "no interval accumulates beyond one that does not"),
        Column("x_intercept", pl.Float64(), "the published proxy; null if none", "steps", True),
        Column("x_intercept_tokens", pl.Float64(), "the same in tokens", "tokens", True),
    ),
    key=_KEY,
)

TRANSFER = Table(
    "inject_transfer",
    "What a fact injected in one language is worth in another.",
    (
        RUN,
        ARM,
        DEPTH,
        INJECT_LANG,
        PROBE_LANG,
        Column(
            "quantity",
            pl.String(),
            "effectivity, effectivity_per_byte, a_kernel, retention_<lag>, kappa, "
            "source_normalised, target_normalised, retention_transfer, fact_specific_gain; "
            "margin_gain, margin_at_peak: E and D of the target's margin over the best distractor, "
            "in nats",
        ),
        Column("value", pl.Float64(), "the number; null with a reason", "", True),
        LO,
        HI,
        N_ITEMS,
        SUFFIXED,
        Column("reason_null", pl.String(), "why it is null", "", True),
        Column(
            "same_script", pl.Boolean(), "both languages share a script; null if unknown", "", True
        ),
        Column("name_form", pl.String(), "of the subject; null if unknown or mixed", "", True),
        Column("background_tokens_a", pl.Int64(), "background of inject_lang", "tokens", True),
        Column("background_tokens_b", pl.Int64(), "background of probe_lang", "tokens", True),
        Column(
            "background_loss_a",
            pl.Float64(),
            "held-out loss of inject_lang's background at the first reading; null if not read",
            "nats per token",
            True,
        ),
        Column("background_loss_b", pl.Float64(), "of probe_lang's", "nats per token", True),
    ),
    key=(*_KEY, "quantity"),
)
