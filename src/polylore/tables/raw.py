"""Contracts of the raw tables: what was given, asked, answered and read."""

import polars as pl

from polylore.tables.contract import Column, Table

STRINGS = pl.List(pl.String())

FACT_ID = Column("fact_id", pl.String(), "identity of the fact, equal in all languages")
RELATION = Column("relation", pl.String(), "relation of the fact")
LANG = Column("lang", pl.String(), "language code (BCP 47)")
CKPT = Column("ckpt_id", pl.String(), "identity of the checkpoint within its series")
VARIANT = Column("variant", pl.Int32(), "number of the prompt template within (relation, lang)")
STEP = Column("step", pl.Int64(), "optimiser updates done; 0 is the initial model", "steps")
TOKENS = Column(
    "tokens", pl.Int64(), "training tokens read so far; null if unknown", "tokens", True
)

FACTS = Table(
    "facts",
    "One row per fact and language: what is asked and what is accepted.",
    (
        FACT_ID,
        RELATION,
        LANG,
        Column("subject", pl.String(), "subject as written in this language"),
        Column("object", pl.String(), "gold object as written in this language"),
        Column("aliases", STRINGS, "other accepted spellings or answers; may be empty"),
        Column("candidate_ids", STRINGS, "identities of the candidates, parallel over languages"),
        Column("candidates", STRINGS, "candidate strings, same order; empty list if none"),
        Column(
            "gold_pos", pl.Int32(), "position of the gold in `candidates`; null if none", "", True
        ),
        Column("source", pl.String(), "where the fact comes from"),
        Column("flags", STRINGS, "linter and reader flags, such as gold_text_differs"),
    ),
    key=("fact_id", "lang"),
    raw=True,
)

TEMPLATES = Table(
    "templates",
    "Wordings with the slots <subject> and <mask>.",
    (
        RELATION,
        LANG,
        Column(
            "kind", pl.String(), "prompt (asked), statement (training text) or mention (<name>)"
        ),
        VARIANT,
        Column("template", pl.String(), "the wording; mentions have the slot <name>"),
    ),
    key=("relation", "lang", "kind", "variant"),
    raw=True,
)

CHECKPOINTS = Table(
    "checkpoints",
    "One row per checkpoint of the series.",
    (
        CKPT,
        Column("family", pl.String(), "naming family the resolver recognised"),
        Column("model", pl.String(), "name of the series"),
        Column("repo", pl.String(), "hub repository; null for local folders", "", True),
        Column("revision", pl.String(), "hub revision; null for local folders", "", True),
        Column("commit", pl.String(), "commit the revision pointed at when resolved", "", True),
        Column("path", pl.String(), "local folder; null if not on this machine", "", True),
        Column("stage", pl.Int32(), "training stage, if the family has stages", "", True),
        Column("ingredient", pl.Int32(), "branch of a stage, if any", "", True),
        Column(
            "step",
            pl.Int64(),
            "optimiser updates done, in its stage if steps start anew; null for a final model",
            "steps",
            True,
        ),
        Column(
            "total_step",
            pl.Int64(),
            "updates of all stages together; null where steps do not start anew",
            "steps",
            True,
        ),
        TOKENS,
        Column("tokens_exact", pl.Boolean(), "whether `tokens` is exact, not a rounded label"),
        Column("final", pl.Boolean(), "a final model without a step of its own"),
        Column("weight_hash", pl.String(), "fingerprint of the weights, once read", "", True),
        Column("files_hash", pl.String(), "hash of the hub's hashes of the weight files", "", True),
        Column("duplicate_of", pl.String(), "earlier checkpoint with equal weights", "", True),
        Column("suspect", pl.Boolean(), "left out of trajectories: its weights belong elsewhere"),
        Column("requested_step", pl.Int64(), "step asked for, if replaced", "steps", True),
        Column("used_step", pl.Int64(), "step used instead", "steps", True),
        Column("flags", STRINGS, "remarks such as prefix_missing; null if none", "", True),
    ),
    key=("ckpt_id",),
    raw=True,
)

PROMPTS = Table(
    "prompts",
    "Every text put before a model.",
    (
        Column("prompt_id", pl.String(), "identity of the prompt"),
        FACT_ID,
        LANG,
        VARIANT,
        Column("n_shot", pl.Int32(), "demonstrations in the prompt", "demonstrations"),
        Column("demo_fact_ids", STRINGS, "facts shown as demonstrations, in order"),
        Column("delimiter", pl.String(), "string between prompt and answer"),
        Column("bos", pl.Boolean(), "whether a begin-of-text token is put in front"),
        Column("text", pl.String(), "the prompt as asked, without the delimiter"),
        Column("sha256", pl.String(), "hash of text and delimiter"),
    ),
    key=("prompt_id",),
    raw=True,
)

ASKED = Table(
    "asked",
    "Which checkpoint was asked which prompts, where that differs between checkpoints.",
    (CKPT, Column("prompt_id", pl.String(), "prompt that was asked"), LANG),
    key=("ckpt_id", "prompt_id"),
    raw=True,
)

ANSWERS = Table(
    "answers",
    "One row per checkpoint and probe: the raw outcome, ungraded.",
    (
        CKPT,
        FACT_ID,
        LANG,
        VARIANT,
        Column("mode", pl.String(), "generate, candidates or content_free"),
        Column("prompt_id", pl.String(), "prompt that was asked"),
        Column(
            "raw_text", pl.String(), "generated text, untouched; null in mode candidates", "", True
        ),
        Column("n_new_tokens", pl.Int32(), "tokens generated", "tokens", True),
        Column("stop_reason", pl.String(), "newline, eos or length", "", True),
        Column("gold_logprob", pl.Float64(), "log-probability of the gold", "nats", True),
        Column("dtype", pl.String(), "number format of the forward pass"),
        Column("error", pl.String(), "why there is no answer; null if there is one", "", True),
    ),
    key=("ckpt_id", "fact_id", "lang", "variant", "mode"),
    raw=True,
)

CANDIDATE_SCORES = Table(
    "candidate_scores",
    "Log-probability of every candidate after the prompt.",
    (
        CKPT,
        FACT_ID,
        LANG,
        VARIANT,
        Column("candidate_id", pl.String(), "identity of the candidate"),
        Column("logprob_sum", pl.Float64(), "sum over the candidate's tokens", "nats"),
        Column("n_tokens", pl.Int32(), "tokens that overlap the candidate", "tokens"),
        Column("n_bytes", pl.Int32(), "UTF-8 length of the candidate", "bytes"),
        Column(
            "content_free_logprob",
            pl.Float64(),
            "the same after the prompt without its subject; null if not asked",
            "nats",
            True,
        ),
    ),
    key=("ckpt_id", "fact_id", "lang", "variant", "candidate_id"),
    raw=True,
)

EXPOSURE = Table(
    "exposure",
    "Documents that express a fact in a language, consumed in steps step_lo..step_hi inclusive.",
    (
        Column("source", pl.String(), "corpus or ledger the counts come from"),
        FACT_ID,
        LANG,
        Column(
            "step_lo", pl.Int64(), "first step of the row; null without an order", "steps", True
        ),
        Column("step_hi", pl.Int64(), "last step of the row; null without an order", "steps", True),
        Column("doc_lang", pl.String(), "language of the documents; null if mixed", "", True),
        Column(
            "count",
            pl.Int64(),
            "units with subject and object; null if the source has no number for the fact",
            "units",
            True,
        ),
        Column("n_subj", pl.Int64(), "units with the subject; null if not counted", "units", True),
        Column("n_obj", pl.Int64(), "units with the object; null if not counted", "units", True),
        Column("unit", pl.String(), "document, sequence, sentence or window:<tokens>"),
        Column("exact", pl.Boolean(), "false for estimates; null if unknown", "", True),
        Column("exposure_kind", pl.String(), "exact, scaled, total or none"),
        Column("lang_conditioned", pl.Boolean(), "counted only in documents of the language"),
        Column("policy_id", pl.String(), "counting policy"),
    ),
    key=("source", "fact_id", "lang", "step_lo", "step_hi", "doc_lang"),
    raw=True,
)

EXPOSURE_FILE = (
    "a Parquet file with the columns of `polylore tables exposure`, or a training or counting "
    "folder of polylore"
)
"""What a user can give for it, for messages."""

EXPOSURE_ANY_LANGUAGE = Table(
    "exposure_any_language",
    "The same where a document of any language counts, by the language of the document.",
    EXPOSURE.columns,
    key=EXPOSURE.key,
    raw=True,
)

SHARDS = Table(
    "shards",
    "One row per file of a corpus that was counted.",
    (
        Column("shard", pl.String(), "path or URL of the file"),
        Column("size", pl.Int64(), "size as stored", "bytes"),
        Column("documents", pl.Int64(), "documents read", "documents"),
        Column("text_bytes", pl.Int64(), "their text in UTF-8", "bytes"),
        Column("with_lang", pl.Int64(), "those whose language is known", "documents"),
        Column("unread", pl.Int64(), "those without a step in a known order", "documents"),
        Column("undecodable_documents", pl.Int64(), "those with bytes that are no UTF-8"),
        Column("undecodable_bytes", pl.Int64(), "U+FFFD that stand for such bytes"),
        Column("damaged", pl.String(), "why the file ends too early; null if whole", "", True),
    ),
    key=("shard",),
    raw=True,
)

DOCUMENTS = Table(
    "documents",
    "A composed corpus in its order of reading.",
    (
        Column("doc_id", pl.Int64(), "position in the order of reading, from 0"),
        Column("kind", pl.String(), "fact, mention or background"),
        Column("lang", pl.String(), "language of the document; null if unknown", "", True),
        Column("fact_id", pl.String(), "fact it expresses; null if none", "", True),
        Column("relation", pl.String(), "relation of that fact", "", True),
        Column("wording", pl.String(), "statement:<n>, prompt:<n>, mention:<n> or a file name"),
        Column("text", pl.String(), "the document"),
    ),
    key=("doc_id",),
    raw=True,
)

DESIGN = Table(
    "design",
    "What the composer decided for every (fact, language) cell. Analyses never read it.",
    (
        FACT_ID,
        LANG,
        RELATION,
        Column("condition", pl.String(), "both, pivot_only, lang_only or none: where it is told"),
        Column("dose", pl.Int64(), "documents planned for the cell", "documents"),
        Column("group", pl.String(), "A or B: half of the facts; null in older corpora", "", True),
        Column(
            "surface",
            pl.String(),
            "object against the pivot's: same, cognate or disjoint; null in the pivot",
            "",
            True,
        ),
    ),
    key=("fact_id", "lang"),
    raw=True,
)

CONSUMED = Table(
    "consumed",
    "At which training step each document was read to its end.",
    (
        Column("doc_id", pl.Int64(), "document of the composed corpus"),
        Column("step", pl.Int64(), "step whose update first included the whole document", "steps"),
        Column("n_tokens", pl.Int32(), "length of the document", "tokens"),
    ),
    key=("doc_id",),
    raw=True,
)

TRAIN_LOG = Table(
    "train_log",
    "One row per logged training step.",
    (
        STEP,
        Column("tokens", pl.Int64(), "training tokens read so far, padding excluded", "tokens"),
        Column("loss", pl.Float64(), "mean cross-entropy of the step's batch", "nats/token"),
        Column("lr", pl.Float64(), "learning rate of the step"),
        Column("grad_norm", pl.Float64(), "gradient norm before clipping"),
    ),
    key=("step",),
    raw=True,
)

SPEED = Table(
    "speed",
    "Throughput of training, by logging interval; machine-dependent, so kept apart.",
    (
        STEP,
        Column("seconds", pl.Float64(), "wall time of the interval that ends at this step", "s"),
        Column("tokens_per_second", pl.Float64(), "training tokens per second", "tokens/s"),
    ),
    key=("step",),
    raw=True,
)
