"""Raw contracts of the study `inject` (specification of `inject`, sections 3.1, 4.1 and 6).

Item files: inject_items, inject_passages, inject_probes. The plan, in two layers: inject_arms and
inject_schedule say who is shown what and when, inject_plan also in which row of the batch. What a
run observed: inject_runs, inject_dose, inject_steps, inject_log, inject_ceiling,
inject_contamination. What speaks against the items: inject_lint. What models wrote for them:
inject_written.
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.quality import LINT as QUALITY_LINT
from polylore.tables.raw import FACT_ID, LANG, STRINGS

TARGET_SUFFIX = "target_suffix"
"""Span of a probe whose target is scored together with what follows it; also the flag of this."""

ITEM = Column("item_id", pl.String(), "identity of the item, equal in all languages")
PASSAGE = Column("passage_id", pl.String(), "identity of the passage")
PROBE = Column("probe_id", pl.String(), "identity of the probe")
RUN = Column("run_id", pl.String(), "identity of the training run")
SEED = Column("seed", pl.Int64(), "seed of the run")
ARM = Column("arm", pl.String(), "scenario: duplication, paraphrase, once, never, ...")
INJECT_LANG = Column("inject_lang", pl.String(), "language of the item's passages, or 'mixed'")
PROBE_LANG = Column("probe_lang", pl.String(), "language of the probe")
DEPTH = Column(
    "depth",
    pl.String(),
    "memorization, semantic, compositional (both facts in the passage), two_hop_background (the "
    "second one in the background alone) or bridge (that one, asked by itself)",
)
EXPOSURE = Column("exposure", pl.Int32(), "number of the exposure of its item, from 0")
STEP = Column("step", pl.Int64(), "batch that holds it; visible from state step + 1", "steps")
STATE = Column("t", pl.Int64(), "study updates done; 0 is the state before the first", "steps")

ITEMS = Table(
    "inject_items",
    "Fictional subjects that passages tell of.",
    (
        ITEM,
        Column("source", pl.String(), "generator or file that the item comes from"),
        Column("seed", pl.Int64(), "seed it was drawn with; null if written by hand", "", True),
        Column("subject_type", pl.String(), "what the subject is, such as person"),
        Column("control", pl.Boolean(), "whether it is probed and never injected"),
        Column("meta", pl.String(), "anything else, as JSON; null if nothing", "", True),
    ),
    key=("item_id",),
    raw=True,
)

PASSAGES = Table(
    "inject_passages",
    "Texts that state an item's facts.",
    (
        PASSAGE,
        ITEM,
        LANG,
        Column("variant", pl.Int32(), "0 is the original, others are its variants"),
        Column("kind", pl.String(), "original, paraphrase, list, qa or mixed"),
        Column("text", pl.String(), "the text, NFC, without blanks at its ends"),
        Column("n_sentences", pl.Int32(), "sentences; null if not known", "sentences", True),
        Column("n_tokens", pl.Int32(), "tokens; null without a tokenizer", "tokens", True),
        Column("probes_covered", STRINGS, "probes whose target stands in it verbatim"),
    ),
    key=("passage_id",),
    raw=True,
)

PROBES = Table(
    "inject_probes",
    "What is scored: prefix + joiner + target (+ suffix).",
    (
        PROBE,
        ITEM,
        FACT_ID,
        LANG,
        DEPTH,
        Column("variant", pl.Int32(), "number of the wording"),
        Column("prefix", pl.String(), "text before the target, without the joiner"),
        Column("joiner", pl.String(), "a blank, or nothing"),
        Column("target", pl.String(), "what a model that knows the fact says next"),
        Column("suffix", pl.String(), "text after the target; null if none", "", True),
        Column("score_span", pl.String(), "target or target_suffix"),
        Column("accepted", STRINGS, "other forms that count as the target; may be empty"),
        Column(
            "target_type", pl.String(), "person, place, org, work, number, term; or null", "", True
        ),
        Column("name_form", pl.String(), "the subject's: native, transliterated, shared", "", True),
        Column("hops", pl.Int32(), "facts needed", "facts"),
        Column("distractors", STRINGS, "wrong targets of the same kind; may be empty"),
        Column("swap_item", pl.String(), "item whose subject is put in; null if none", "", True),
        Column("single_sentence", pl.Boolean(), "one sentence of a passage states it all"),
        Column("target_in_prefix", pl.Boolean(), "the prefix names the target"),
    ),
    key=("probe_id",),
    raw=True,
)

ARMS = Table(
    "inject_arms",
    "Which condition every item is in.",
    (
        ITEM,
        ARM,
        INJECT_LANG,
        Column("interval", pl.Int64(), "steps between exposures; null without", "steps", True),
    ),
    key=("item_id",),
    raw=True,
)

SCHEDULE = Table(
    "inject_schedule",
    "Which passage of an item is shown at which step.",
    (
        ITEM,
        EXPOSURE,
        STEP,
        ARM,
        Column("lang", pl.String(), "language of the passage"),
        Column("variant", pl.Int32(), "variant of the passage"),
        Column("copies", pl.Int32(), "rows of the batch that carry it", "rows"),
        Column("loss_weight", pl.Float64(), "weight of its tokens in the loss"),
    ),
    key=("item_id", "exposure"),
    raw=True,
)

PLAN = Table(
    "inject_plan",
    "Every passage, or part of one, that is placed in the stream.",
    (
        STEP,
        Column("row", pl.Int64(), "row of the whole optimiser step, before any sharding"),
        Column("slot", pl.Int32(), "place among the passages of the row, from 0"),
        ITEM,
        PASSAGE,
        LANG,
        EXPOSURE,
        ARM,
        Column("mode", pl.String(), "prepend, overwrite, after_eos or own_row"),
        Column("n_tokens", pl.Int32(), "tokens placed, the closing boundary left out", "tokens"),
        Column("offset", pl.Int32(), "first token of the passage that is placed", "tokens"),
        Column("loss_weight", pl.Float64(), "weight of these tokens in the loss"),
    ),
    key=("step", "row", "slot"),
    raw=True,
)

RUNS = Table(
    "inject_runs",
    "Training runs of a study: what each of them was made of.",
    (
        RUN,
        SEED,
        Column("condition", pl.String(), "runs that differ in their seed alone share it"),
        Column("role", pl.String(), "main, sham (other items injected) or background (nothing)"),
        Column(
            "settings",
            pl.String(),
            "hash of all but seed, checkpoint and background.first: where it is equal, nothing "
            "else differs; or null",
            "",
            True,
        ),
        Column("model", pl.String(), "model that is trained on"),
        Column("revision", pl.String(), "its revision; null if it has none", "", True),
        Column("checkpoint_step", pl.Int64(), "its step; null if unknown", "steps", True),
        Column("parameters", pl.Int64(), "its size; null if unknown", "parameters", True),
        Column("batch", pl.Int64(), "rows of a step", "rows"),
        Column("length", pl.Int64(), "tokens of a row", "tokens"),
        Column(
            "match", pl.String(), "none, share or count; null outside batch contrasts", "", True
        ),
        Column("lr_rule", pl.String(), "equal, sqrt or linear in the batch; null", "", True),
        Column("lr", pl.Float64(), "first learning rate; null if unknown", "", True),
        Column("lr_schedule", pl.String(), "constant, cosine, ...; null if unknown", "", True),
        Column("optimizer", pl.String(), "restored, fresh or fresh_burn_in"),
        Column("beta1", pl.Float64(), "momentum; 0 for none"),
        Column("dtype", pl.String(), "number format of the forward pass; null: not yet", "", True),
    ),
    key=("run_id",),
    raw=True,
)

DOSE = Table(
    "inject_dose",
    "How much of every step is injected.",
    (
        STEP,
        Column("injected_rows", pl.Int64(), "rows that carry a passage", "rows"),
        Column("injected_tokens", pl.Int64(), "tokens placed, boundaries included", "tokens"),
        Column("displaced_tokens", pl.Int64(), "background tokens that gave way", "tokens"),
        Column("row_share", pl.Float64(), "injected rows over rows", "share"),
        Column(
            "loss_share",
            pl.Float64(),
            "their weight over that of all labelled tokens of the step, padding left out; null "
            "where rows may be padded and were not known before the run",
            "share",
            True,
        ),
    ),
    key=("step",),
    raw=True,
)

STEPS = Table(
    "inject_steps",
    "The training run, update by update.",
    (
        RUN,
        SEED,
        STATE,
        Column("global_step", pl.Int64(), "step of the checkpoint plus t", "steps"),
        Column("tokens", pl.Int64(), "study tokens read; null if unknown", "tokens", True),
        Column("lr", pl.Float64(), "learning rate of this update"),
        Column("sum_lr", pl.Float64(), "sum of the learning rates so far"),
        Column("grad_norm", pl.Float64(), "norm of the gradient before clipping"),
        Column("update_norm", pl.Float64(), "norm of the update; null if not read", "", True),
        Column("loss", pl.Float64(), "weighted loss of the batch", "nats per token"),
        Column(
            "background_eval_loss",
            pl.Float64(),
            "loss of held-out rows, all languages together; null if not read",
            "nats per token",
            True,
        ),
        Column("injected_rows", pl.Int64(), "rows that carry a passage", "rows"),
        Column("injected_tokens", pl.Int64(), "tokens placed", "tokens"),
        Column("displaced_tokens", pl.Int64(), "background tokens that gave way", "tokens"),
        Column(
            "loss_share",
            pl.Float64(),
            "weight of injected tokens over that of all labelled tokens, padding left out",
            "share",
        ),
    ),
    key=("run_id", "t"),
    raw=True,
)

EVAL_LOSS = Table(
    "inject_eval_loss",
    "Loss of background that no update reads, at the states at which probes are read.",
    (
        RUN,
        SEED,
        STATE,
        Column("lang", pl.String(), "language of the rows; und if it is not known"),
        Column("n_tokens", pl.Int64(), "tokens predicted", "tokens"),
        Column("loss", pl.Float64(), "mean cross-entropy", "nats per token"),
    ),
    key=("run_id", "t", "lang"),
    raw=True,
)

BACKGROUND = Table(
    "inject_background",
    "How much of every language a run reads, before passages take the place of some of it.",
    (
        RUN,
        Column("lang", pl.String(), "language of the documents; und if one names none"),
        Column("n_tokens", pl.Int64(), "tokens, boundaries included", "tokens"),
    ),
    key=("run_id", "lang"),
    raw=True,
)

LOG = Table(
    "inject_log",
    "Every reading of every probe.",
    (
        RUN,
        SEED,
        STATE,
        PROBE,
        ITEM,
        FACT_ID,
        ARM,
        INJECT_LANG,
        PROBE_LANG,
        DEPTH,
        Column("n_target_tokens", pl.Int32(), "tokens of the target; null if unknown", "", True),
        Column("n_target_bytes", pl.Int32(), "UTF-8 bytes of the target", "bytes", True),
        Column("sum_logprob", pl.Float64(), "sum over the target's tokens", "nats", True),
        Column("mean_logprob", pl.Float64(), "mean over them: the score y", "nats per token"),
        Column("first_logprob", pl.Float64(), "of the first of them", "nats", True),
        Column("full_mean_logprob", pl.Float64(), "mean over the text", "nats per token", True),
        Column("first_rank", pl.Int64(), "rank of the first token; 0 is the best", "", True),
        Column("greedy_text", pl.String(), "the model's own continuation", "", True),
        Column("greedy_exact", pl.Boolean(), "whether that is the target", "", True),
        Column("margin", pl.Float64(), "sum minus the best distractor's", "nats", True),
        Column("swap_mean_logprob", pl.Float64(), "y with another subject", "nats per token", True),
        Column("flags", STRINGS, "target_suffix, boundary_merge, no_offsets, not_finite"),
    ),
    key=("run_id", "t", "probe_id"),
    raw=True,
)

CEILING = Table(
    "inject_ceiling",
    "Readings of every probe with the item's original passage before it.",
    (
        RUN,
        SEED,
        PROBE,
        ITEM,
        PROBE_LANG,
        DEPTH,
        Column("sum_logprob", pl.Float64(), "sum over the target's tokens", "nats", True),
        Column("mean_logprob", pl.Float64(), "mean over them", "nats per token"),
        Column("first_rank", pl.Int64(), "rank of the first token; 0 is the best", "", True),
        Column("greedy_exact", pl.Boolean(), "whether the model says the target", "", True),
    ),
    key=("run_id", "probe_id"),
    raw=True,
)

LINT = Table(
    "inject_lint",
    "What the linter finds in the items of a study, with its arms and tokenizer.",
    QUALITY_LINT.columns,
    raw=True,
)

CONTAMINATION = Table(
    "inject_contamination",
    "Traces of the items in the background stream.",
    (
        ITEM,
        Column("kind", pl.String(), "name (the subject) or ngram (8 tokens of a passage)"),
        Column("text", pl.String(), "what was found"),
        Column("place", pl.String(), "where in the background"),
    ),
    raw=True,
)

WRITTEN = Table(
    "inject_written",
    "Every text that a model wrote for items, and why it was not taken.",
    (
        ITEM,
        Column("lang", pl.String(), "language it is written in"),
        Column("kind", pl.String(), "paraphrase, word, sentence, passage or probe"),
        Column("about", pl.String(), "what it was to be: a number, a text or an identity"),
        Column("attempt", pl.Int32(), "number of the attempt, from 0"),
        Column("seed", pl.Int64(), "seed of its draws; null if greedy or composed", "", True),
        Column("text", pl.String(), "the text"),
        Column("reason", pl.String(), "why it was refused; null if it was taken", "", True),
        Column("evidence", pl.String(), "what the reason is about; null if nothing", "", True),
    ),
    raw=True,
)
