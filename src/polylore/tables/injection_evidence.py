"""Derived contracts of `inject` that hold conditions against each other, and numbers against doubt.

Contrasts of batch sizes, of repetition and of mixed languages; controls; answers across languages;
claims with verdicts (specification of `inject`, sections 2.7, 2.8, 5 and 9.5).
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.derived import HI, LO, REASON
from polylore.tables.inject import ARM, DEPTH, INJECT_LANG, PROBE_LANG, RUN
from polylore.tables.injection import ESTIMATE, N_ITEMS

LANGS = (INJECT_LANG, PROBE_LANG)
SIGNS = Column("signs_by_seed", pl.List(pl.Int8()), "sign of the estimate in every run")

BATCH_CONTRAST = Table(
    "inject_batch_contrast",
    "Small batch against large batch, at the same items (section 2.8).",
    (
        Column("match", pl.String(), "none, share, count; or none_minus_share: what dose explains"),
        Column("lr_rule", pl.String(), "how the large batch's rate follows from the small one's"),
        Column("optimizer", pl.String(), "restored, fresh or fresh_burn_in"),
        Column("batch_small", pl.Int64(), "rows of the small batch", "rows"),
        Column("batch_large", pl.Int64(), "rows of the large batch", "rows"),
        ARM,
        DEPTH,
        Column("direction", pl.String(), "own or other language than that of injection"),
        Column(
            "quantity",
            pl.String(),
            "effectivity, at_peak, a_kernel, or zero_tokens_log10: where the kernel is zero",
        ),
        Column("small", pl.Float64(), "in the small batch", "", True),
        Column("large", pl.Float64(), "in the large batch", "", True),
        Column("estimate", pl.Float64(), "small minus large; null with a reason", "", True),
        LO,
        HI,
        SIGNS,
        N_ITEMS,
        Column("dose_share_small", pl.Float64(), "mean loss share of its steps with passages"),
        Column("dose_share_large", pl.Float64(), "mean loss share of its steps with passages"),
        REASON,
    ),
    key=("match", "lr_rule", "optimizer", "batch_small", "batch_large", "arm", "depth",
         "direction", "quantity"),
)  # fmt: skip

STAGE_CONTRAST = Table(
    "inject_stage_contrast",
    "Later checkpoints of a training against earlier ones, all else equal (claims 4 and 7).",
    (
        Column("condition_early", pl.String(), "condition that begins at the earlier checkpoint"),
        Column("condition_late", pl.String(), "condition that begins at the later one"),
        Column("step_early", pl.Int64(), "step of the earlier checkpoint", "steps"),
        Column("step_late", pl.Int64(), "step of the later one", "steps"),
        Column("lr_early", pl.Float64(), "first learning rate; null if unknown", "", True),
        Column("lr_late", pl.Float64(), "first learning rate; null if unknown", "", True),
        Column("optimizer", pl.String(), "restored, fresh or fresh_burn_in; the same in both"),
        ARM,
        DEPTH,
        Column("direction", pl.String(), "own or other language than that of injection"),
        Column(
            "quantity",
            pl.String(),
            "effectivity, first_effectivity (of first exposures), at_peak, a_kernel, or lost_share:"
            " of D at the last peak, after `lag` steps",
        ),
        Column("lag", pl.Int64(), "steps after the last peak; null where it says nothing", "steps",
               True),
        Column("early", pl.Float64(), "from the earlier checkpoint; null with a reason", "", True),
        Column("early_lo", pl.Float64(), "lower end of its 95 % interval; or null", "", True),
        Column("early_hi", pl.Float64(), "upper end of its 95 % interval; or null", "", True),
        Column("late", pl.Float64(), "from the later checkpoint; null with a reason", "", True),
        Column("late_lo", pl.Float64(), "lower end of its 95 % interval; or null", "", True),
        Column("late_hi", pl.Float64(), "upper end of its 95 % interval; or null", "", True),
        Column("estimate", pl.Float64(), "later minus earlier, paired; null with a reason", "",
               True),
        LO,
        HI,
        SIGNS,
        N_ITEMS,
        REASON,
    ),
    key=("condition_early", "condition_late", "arm", "depth", "direction", "quantity"),
)  # fmt: skip

_PAIR = (
    RUN,
    Column("arm_a", pl.String(), "first arm"),
    Column("arm_b", pl.String(), "second arm; null for a quantity of the first alone", "", True),
    DEPTH,
    Column("direction", pl.String(), "own or other language than that of injection"),
    Column(
        "quantity",
        pl.String(),
        "effectivity, at_peak, end, a_kernel: a minus b; gap: memorization minus semantic; "
        "gap_difference: a minus b of it",
    ),
    ESTIMATE,
    LO,
    HI,
    N_ITEMS,
    Column("dose_ratio", pl.Float64(), "tokens of a per item over those of b; null", "", True),
    Column("matched", pl.Boolean(), "doses within 10 % of each other; null", "", True),
    REASON,
)

DEDUP_CONTRAST = Table(
    "inject_dedup_contrast",
    "Exact copies, paraphrases and single exposures against each other (section 2.8).",
    _PAIR,
    key=("run_id", "arm_a", "arm_b", "depth", "direction", "quantity"),
)

MIXED_CONTRAST = Table(
    "inject_mixed_contrast",
    "Exposures in turning languages against as many in one (section 2.7).",
    (*_PAIR[:4], *LANGS, *_PAIR[5:]),
    key=("run_id", "arm_a", "arm_b", "depth", "inject_lang", "probe_lang", "quantity"),
)

CONTROLS = Table(
    "inject_controls",
    "What numbers look like without learning, and what could be reached (section 5).",
    (
        RUN,
        Column("arm", pl.String(), "arm it belongs to, or whose times are taken; null", "", True),
        DEPTH,
        Column("inject_lang", pl.String(), "null where it does not matter", "", True),
        PROBE_LANG,
        Column(
            "quantity",
            pl.String(),
            "noise_sd, expected_false, paper_false, default_false, halves_false: one half of the "
            "never-injected items held against the other; not_learned, not_learned_control, "
            "not_finite, start, ceiling, ceiling_exact, sham_drift, background_drift; "
            "bridge_known, bridge_unknown: two-hop probes that rest on a fact of the background "
            "that was right, or not, before injection (the latter are left out)",
        ),
        Column("value", pl.Float64(), "the number; null with a reason", "", True),
        LO,
        HI,
        Column("n", pl.Int64(), "items, probes or readings behind it"),
        Column("n_readings", pl.Int64(), "readings of a window, or of the baseline", "", True),
        REASON,
    ),
    key=("run_id", "arm", "depth", "inject_lang", "probe_lang", "quantity"),
)

PERMUTED = Table(
    "inject_permuted",
    "Differences of arms, and what shuffled arm labels give (section 5).",
    (
        RUN,
        Column("arm_a", pl.String(), "first arm"),
        Column("arm_b", pl.String(), "second arm"),
        DEPTH,
        *LANGS,
        Column("quantity", pl.String(), "effectivity or at_peak"),
        Column("estimate", pl.Float64(), "a minus b", "nats per token"),
        Column("null_lo", pl.Float64(), "2.5 % point under shuffled labels", "nats per token"),
        Column("null_hi", pl.Float64(), "97.5 % point", "nats per token"),
        Column("p", pl.Float64(), "share of shuffles at least as far from 0, itself counted"),
        Column("shuffles", pl.Int64(), "shuffles made"),
        N_ITEMS,
    ),
    key=("run_id", "arm_a", "arm_b", "depth", "inject_lang", "probe_lang", "quantity"),
)

ANSWER_TRANSFER = Table(
    "inject_answer_transfer",
    "Greedy answers: are they right, and do two languages name the same thing (section 2.7).",
    (
        RUN,
        ARM,
        DEPTH,
        *LANGS,
        Column("lag", pl.Int64(), "after the last exposure; -1: before the first", "steps"),
        Column("quantity", pl.String(), "right; same: answers in both languages name one thing"),
        Column("value", pl.Float64(), "share of facts; null with a reason", "share", True),
        LO,
        HI,
        Column("control", pl.Float64(), "the same of never-injected items", "share", True),
        Column("n_facts", pl.Int64(), "facts asked", "facts"),
        N_ITEMS,
        REASON,
    ),
    key=("run_id", "arm", "depth", "inject_lang", "probe_lang", "lag", "quantity"),
)

CLAIMS = Table(
    "inject_claims",
    "Directional claims, held against the run (sections 1 and 9.5).",
    (
        Column("claim_id", pl.String(), "number of the paper's claim and a letter, or ours: T, C"),
        Column("statement", pl.String(), "what is claimed"),
        Column("case", pl.String(), "where it was looked at; null if nowhere", "", True),
        Column("measure", pl.String(), "what the estimate is", "", True),
        ESTIMATE,
        LO,
        HI,
        SIGNS,
        Column("verdict", pl.String(), "shown, contradicted or undetermined"),
        REASON,
        N_ITEMS,
    ),
    key=("claim_id", "case"),
)
