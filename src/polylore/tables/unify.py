"""Contracts of the raw tables of the study `unify` (specification of `unify`, section 6).

A run is one model trained on one world. What is derived from these tables is in `unify_results`.
"""

import polars as pl

from polylore.tables.contract import Column, Table
from polylore.tables.pathways import flag, number
from polylore.tables.raw import FACT_ID, LANG, RELATION, STEP, TOKENS

RUN = Column("run_hash", pl.String(), "identity of the run: world, model, training and seeds")
POPULATION = Column(
    "population",
    pl.String(),
    "parallel, mono_seen, mono_unseen (held-out cells, X) or never_seen",
)
LANG_A = Column("lang_a", pl.String(), "first language of the pair, the earlier in the world")
LANG_B = Column("lang_b", pl.String(), "second language of the pair")
ITEM_KIND = Column("item_kind", pl.String(), "entity (subject token) or fact (answer position)")
ITEMS = Column("items", pl.String(), "sample of items: mono, parallel, never_seen or all")
LAYER = Column(
    "layer", pl.Int32(), "hidden state: 0 embeddings, ..., number of layers (after the final norm)"
)
POSITION = Column("position", pl.Int32(), "token of the prompt, from 0")
CENTER = Column("center", pl.String(), "none, lang (each language's mean subtracted) or global")
STANDARDIZE = Column("standardize", pl.Boolean(), "whether dimensions were z-scored")
DISTRACTORS = Column(
    "distractors", pl.String(), "other items: all, same_relation or diff_value (and same relation)"
)
INIT = Column("init", pl.Int32(), "0: the run itself; k > 0: k-th freshly initialised copy")


def _knob(name: str, dtype: pl.DataType, meaning: str, unit: str = "") -> Column:
    return Column(name, dtype, meaning + "; null if it has none", unit, True)


KNOBS = (
    _knob("world_hash", pl.String(), "identity of the world"),
    _knob("preset", pl.String(), "tokenization preset of the world, or custom"),
    _knob("languages", pl.Int32(), "languages of the world", "languages"),
    _knob("entities", pl.Int32(), "entities with facts", "entities"),
    _knob("relations", pl.Int32(), "relations of each entity", "relations"),
    _knob("values", pl.Int32(), "values of each relation", "values"),
    _knob("never_seen", pl.Int32(), "entities without a training cell", "entities"),
    _knob("value_prior", pl.String(), "uniform or zipf(a)"),
    _knob("lam", pl.Float64(), "attribute skew"),
    _knob("p", pl.Float64(), "parallel fraction", "share"),
    _knob("parallel_langs", pl.Int32(), "languages of a parallel fact", "languages"),
    _knob("split", pl.String(), "entity, fact or relation"),
    _knob("exposure", pl.String(), "steps, cell, fact or dup"),
    _knob("delta", pl.Float64(), "share of duplicated entities in mode dup", "share"),
    _knob("ratio", pl.String(), "home shares of the languages, joined by /"),
    _knob("zipf_alpha", pl.Float64(), "exponent of the entity weights"),
    _knob("name_len", pl.Int32(), "tokens of a name", "tokens"),
    _knob("name_pool", pl.Int32(), "letters that names are made of", "tokens"),
    _knob("name_map", pl.String(), "bijection or scrambled"),
    _knob("share_names", pl.Float64(), "share of name types common to all languages", "share"),
    _knob("share_relations", pl.Float64(), "the same of relation tokens", "share"),
    _knob("share_values", pl.Float64(), "the same of value tokens", "share"),
    _knob("false_friends", pl.String(), "share of false friends per class"),
    _knob("templates", pl.Int32(), "wordings of a relation", "wordings"),
    _knob("value_len", pl.Int32(), "tokens of a value", "tokens"),
    _knob("cue", pl.String(), "language cue as configured"),
    _knob("cue_kind", pl.String(), "none, tag, drop, syn, xor or tag_noise"),
    _knob("cue_level", pl.Float64(), "its number: q of drop, m of syn, epsilon of xor"),
    _knob("curriculum", pl.String(), "stages as configured"),
    _knob("modulation", pl.String(), "extra arm: code_switching, alignment_loss, ..."),
    _knob("i_design", pl.Float64(), "I(V;language | relation) by design", "bits"),
    _knob("i_uni", pl.Float64(), "largest I(token;language) over cue positions", "bits"),
    _knob("layers", pl.Int32(), "layers of the model", "layers"),
    _knob("hidden", pl.Int32(), "width of the model"),
    _knob("objective", pl.String(), "answer_only or full_lm"),
    _knob("lr", pl.Float64(), "peak learning rate"),
    _knob("warmup", pl.Int32(), "warm-up of the learning rate", "steps"),
    _knob("decay", pl.Float64(), "weight decay of matrices"),
    _knob("batch", pl.Int32(), "samples per step", "samples"),
)
"""Every knob, flat. A sweep over something else adds it to `condition`."""

RUNS = Table(
    "unify_runs",
    "One row per run: what was set and how it ended.",
    (
        RUN,
        Column("sweep", pl.String(), "sweep the run belongs to; null if none", "", True),
        Column("family", pl.String(), "family of conditions within which scores are compared"),
        Column("condition", pl.String(), "everything but the seed"),
        Column("seed", pl.Int64(), "seed all others are derived from"),
        *KNOBS,
        Column("device", pl.String(), "cpu, or the name of the accelerator"),
        Column("params", pl.Int64(), "parameters of the model", "parameters", True),
        Column("vocab", pl.Int64(), "size of its vocabulary", "tokens", True),
        Column("steps", pl.Int64(), "optimiser updates planned", "steps"),
        Column("wall_s", pl.Float64(), "wall time; null if it did not end", "s", True),
        Column("status", pl.String(), "done, diverged, underfit, failed, running or missing"),
        flag("leaky", "whether held-out prompts were in training; null of a failed run"),
        Column(
            "error",
            pl.String(),
            "why it is not done, with the traceback of a failed run; null if it is",
            "",
            True,
        ),
    ),
    key=("run_hash",),
    raw=True,
)

EXPOSURE = Table(
    "unify_exposure",
    "Presentations of a cell up to and including a step.",
    (
        RUN,
        FACT_ID,
        LANG,
        STEP,
        TOKENS,
        Column("count", pl.Int64(), "documents with subject and object so far", "documents"),
        Column("exposure_kind", pl.String(), "exact"),
    ),
    key=("run_hash", "fact_id", "lang", "step"),
    raw=True,
)

ANSWERS = Table(
    "unify_answers",
    "One row per evaluation prompt: what the model answers.",
    (
        RUN,
        STEP,
        TOKENS,
        FACT_ID,
        LANG,
        Column("template_id", pl.Int32(), "wording of the prompt"),
        Column("cue_draw", pl.Int32(), "draw of the language cue"),
        POPULATION,
        Column(
            "pred_token", pl.List(pl.Int32()), "most probable token over the whole vocabulary, "
            "greedily as many as the gold value has"
        ),
        flag("correct", "whether these are the gold value's tokens", nullable=False),
        Column(
            "rank", pl.Float64(), "rank of the gold's first token, ties count half; null if not "
            "measured", "", True
        ),
        number("logp_gold", "log-probability of the gold value", "nats"),
        Column(
            "restricted_pred", pl.Int32(), "most probable of the relation's values in the "
            "language; null if not measured", "", True
        ),
        flag(
            "right_value_other_language",
            "the right value in another language's tokens; null if no language has others",
        ),
        flag(
            "in_pref_block",
            "whether the restricted answer is a value owned by the language; null without one",
        ),
        number(
            "pref_mass", "probability of the values owned by the language, among the relation's "
            "values; null if not measured", "share"
        ),
    ),
    key=("run_hash", "step", "fact_id", "lang", "template_id", "cue_draw"),
    raw=True,
)  # fmt: skip

VALUES = Table(
    "unify_values",
    "Mean probability of a relation's values in a language over the facts of a population.",
    (
        RUN,
        STEP,
        POPULATION,
        RELATION,
        LANG,
        Column("value_index", pl.Int32(), "value of the relation"),
        Column("prob", pl.Float64(), "mean softmax over the relation's values", "share"),
        Column("n", pl.Int64(), "prompts behind it", "prompts"),
    ),
    key=("run_hash", "step", "population", "relation", "lang", "value_index"),
    raw=True,
)

_PAIR = (RUN, INIT, STEP, ITEM_KIND, ITEMS, LANG_A, LANG_B, LAYER, POSITION)
_VARIANT = (CENTER, STANDARDIZE, DISTRACTORS)
_VARIANT_KEY = (
    "run_hash", "init", "step", "item_kind", "items", "lang_a", "lang_b", "layer", "position",
    "center", "standardize", "distractors",
)  # fmt: skip

SIMS = Table(
    "unify_sims",
    "What each item contributes to the scores of a pair of languages.",
    (
        *_PAIR,
        Column("item", pl.String(), "fact_id of the item"),
        Column("entity", pl.String(), "cluster of the item in bootstrap draws"),
        *_VARIANT,
        number("par_i", "cosine of its two states; null if one is zero"),
        number("within_i_a", "mean cosine with the distractors in lang_a; null without any"),
        number("within_i_b", "the same in lang_b"),
        number("cross_i", "mean cosine with the distractors in the other language, both ways"),
        number("auc_i", "P(par_i > cosine with a distractor in its own language), both ways"),
        number("rank_i", "mid-rank of its translation among all, both ways; 1 is nearest"),
        number("ret_i", "share of the credit for the nearest place, both ways", "share"),
        flag("trivial", "prompts are token-identical up to the position", nullable=False),
    ),
    key=(*_VARIANT_KEY, "item"),
    raw=True,
)

GRID = Table(
    "unify_grid",
    "Scores of a pair of languages that need more than item contributions.",
    (
        *_PAIR,
        *_VARIANT,
        Column("n", pl.Int64(), "items that are not trivial", "items"),
        Column("n_trivial", pl.Int64(), "trivial items, left out", "items"),
        number("cka", "linear CKA, biased"),
        number("cka_debiased", "linear CKA, debiased"),
        number("u_proc", "U_norm after an orthogonal map fitted on the other half of entities"),
        number("null_u_norm", "mean U_norm of pairs shuffled within relation"),
        number("null_u_norm_hi", "95th percentile of the same"),
        number("null_u_diff", "mean U_diff of the same pairs"),
        number("null_u_pair", "mean U_pair of the same pairs"),
        Column("reason", pl.String(), "why scores are null; null if none is", "", True),
    ),
    key=_VARIANT_KEY,
    raw=True,
)

PROBE = Table(
    "unify_probe",
    "How well a linear probe reads the language from hidden states.",
    (
        RUN,
        INIT,
        STEP,
        ITEM_KIND,
        ITEMS,
        LAYER,
        POSITION,
        number("acc", "balanced accuracy on entities not trained on", "share"),
        number("control_acc", "the same with languages permuted within each entity", "share"),
        number("selectivity", "their difference", "share"),
        number("codelength", "prequential codelength per item; null if not measured", "bits"),
        Column("n", pl.Int64(), "states behind the accuracy", "states"),
        Column("reason", pl.String(), "why values are null; null if none is", "", True),
    ),
    key=("run_hash", "init", "step", "item_kind", "items", "layer", "position"),
    raw=True,
)

PATCHES = Table(
    "unify_patches",
    "Answers of patched prompts.",
    (
        RUN,
        STEP,
        LAYER,
        Column("position", pl.String(), "answer, or name (the whole name span)"),
        Column("item", pl.String(), "fact whose state is put in"),
        LANG,
        Column("source_lang", pl.String(), "language the fact was seen in"),
        Column("entity", pl.String(), "entity of the fact"),
        Column("arm", pl.String(), "cross, rand or same: which state is put in"),
        Column("base_fact", pl.String(), "fact of the prompt that is patched"),
        flag("hit", "answer is the item's value in the language asked", nullable=False),
        flag("hit_src", "answer is that value in source_lang's token", nullable=False),
        number("logp", "log-probability of the value in the language asked", "nats"),
    ),
    key=("run_hash", "step", "layer", "position", "item", "lang", "source_lang", "arm"),
    raw=True,
)

EDITS = Table(
    "unify_edits",
    "Answers of a copy of the model to which new values were taught in one language.",
    (
        RUN,
        STEP,
        Column("set", pl.String(), "x (held-out cells), parallel, or retention (other cells)"),
        FACT_ID,
        Column("entity", pl.String(), "entity of the fact"),
        Column("source_lang", pl.String(), "language of the edit; of retention: of the cell"),
        Column("lang", pl.String(), "language asked"),
        Column("new_value", pl.Int32(), "value taught; null of retention", "", True),
        flag("source_new", "answers the new value in source_lang; null of retention"),
        flag("target_new", "answers the new value in lang; null of retention"),
        flag("old_before", "answered the old value in lang before the edits", nullable=False),
        flag("old_after", "answers the old value in lang after them", nullable=False),
    ),
    key=("run_hash", "step", "set", "fact_id", "source_lang", "lang"),
    raw=True,
)

STATES = Table(
    "unify_states",
    "Hidden states of a few items, for figures.",
    (
        RUN,
        STEP,
        ITEM_KIND,
        Column("item", pl.String(), "fact_id of the item"),
        LANG,
        LAYER,
        POSITION,
        Column("vector", pl.Binary(), "hidden state as little-endian float16 numbers"),
    ),
    key=("run_hash", "step", "item_kind", "item", "lang", "layer", "position"),
    raw=True,
)

LINK_ITEMS = Table(
    "unify_link_items",
    "Real models: what each fact contributes to the scores of a pair of languages.",
    (
        Column("model", pl.String(), "name of the series"),
        Column("ckpt_id", pl.String(), "checkpoint; fresh:<k> for a fresh initialisation"),
        Column("step", pl.Int64(), "optimiser updates done; null if unknown", "steps", True),
        TOKENS,
        FACT_ID,
        RELATION,
        LANG_A,
        LANG_B,
        LAYER,
        Column("position", pl.String(), "subject_last or prompt_end"),
        CENTER,
        number("par_i", "cosine of its two states; null if one is zero"),
        number("within_i_a", "mean cosine with facts of the relation with other objects, lang_a"),
        number("within_i_b", "the same in lang_b"),
        number("cross_i", "mean cosine with those in the other language, both ways"),
        number("rank_i", "mid-rank of its translation among them, both ways; 1 is nearest"),
        number("null_i", "cosine with a random fact of the relation in the other language"),
        number("neighbours_i", "Jaccard of its nearest facts in both languages, minus chance"),
        number("units_i", "Jaccard of its most active units in both languages, minus chance"),
        Column("stratum", pl.String(), "main, or identical (equal subject and prompt tokens)"),
    ),
    key=("model", "ckpt_id", "fact_id", "lang_a", "lang_b", "layer", "position", "center"),
    raw=True,
)

LINK_PROMPTS = Table(
    "unify_link_prompts",
    "Real models: the prompts whose states are compared, in the tokens of each checkpoint.",
    (
        Column("ckpt_id", pl.String(), "checkpoint that read them"),
        FACT_ID,
        RELATION,
        LANG,
        Column("subject", pl.String(), "subject as written in this language"),
        Column("prompt", pl.String(), "the question without its answer"),
        Column("n_tokens", pl.Int32(), "its length, begin-of-text token included", "tokens"),
    ),
    key=("ckpt_id", "fact_id", "lang"),
    raw=True,
)

LINK_ANSWERS = Table(
    "unify_link_answers",
    "Real models: which facts were answered right, as the answers given with the run say.",
    (
        Column("model", pl.String(), "name of the series"),
        Column("ckpt_id", pl.String(), "checkpoint that was asked"),
        FACT_ID,
        LANG,
        flag("right", "whether the answer is right; null if there is none"),
    ),
    key=("model", "ckpt_id", "fact_id", "lang"),
    raw=True,
)
