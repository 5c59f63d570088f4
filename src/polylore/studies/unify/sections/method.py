"""How the numbers were made, and their limits."""

from polylore.report import Definitions, Page, Prose
from polylore.studies.unify.context import UnifyContext

_LIMITS = (
    "What is reproduced here is the direction of the abstract's claims C1 to C5 of Blum et al. "
    "2025, on small worlds of our own making: C1, an early phase in which representations become "
    "separate or unified; C2, transfer needs unification; C3, it depends on how strongly facts "
    "belong to a language; C4, on how easily the language is read; C5, data and tokens modulate "
    "it. World, recipe, scores, baselines, marks and thresholds are ours. No number is one of the "
    "paper's, and none is meant to match one.",
    "The values that tests compare with were measured with one-token values, two languages, no "
    "variation of templates, one to three seeds and one learning rate per size. Skew ties values "
    "to the home language of an entity. Where all tokens are shared, transfer without parallel "
    "data is the default and the cue the only obstacle. Facts are far below the networks' "
    "capacity. More than two languages, several templates, values of several tokens, unequal "
    "shares, Zipf weights, curricula, false friends, GPUs and Ray can be set but were not measured "
    "there.",
)


def method_page(context: UnifyContext) -> Page:
    """Words used in the report."""
    items = (
        ("X, held-out cells", "A fact in a language in which it was never told, while it was told "
         "in another. Cells of parallel facts, of facts told once, and of entities never seen are "
         "other populations and never mixed with them."),
        ("acc_X", "Share of X whose most probable token, of the whole vocabulary, is the value in "
         "the language asked. Chance is one over the number of values; a separated network lies "
         "below it under skew."),
        ("U_norm, U_diff, U_pair, C", "Of cosines: par of a fact's two states, within of different "
         "facts in one language, cross of different facts in two. U_diff = par − within (the "
         "paper's sentence, our formula), U_norm = U_diff/(1 − within), U_pair = par − cross, "
         "C = within − cross, so U_diff = U_pair − C. Shuffled pairs give U_diff = −C, not 0."),
        ("Headline cell", "Answer position (last token of the prompt), last hidden state, no "
         "centring, distractors all other facts, facts of X (parallel facts where nothing is held "
         "out). The middle hidden state and centred scores stand in the table, the whole grid in "
         "its figure."),
        ("Baselines of scores", "Step 0: the same network before training. Fresh: other "
         "initialisations. Shuffled: pairs permuted within relation. Trivial cells, where prompts "
         "are token-identical up to the position, are hatched and leave every summary."),
        ("Exposure", "steps: all presentations held constant; cell: presentations per fact and "
         "language; fact: presentations per fact, so that parallel data is no extra exposure; dup: "
         "the extra presentations of parallel data, in one language only."),
        ("Skew λ, I_design", "With probability λ a value belongs to the home language's own. "
         "I_design is the information in bits that a value then holds about the language."),
        ("Leaky", "Prompts that are asked had a chance to be read in training. Refused unless "
         "allowed; then marked and left out of claims and correlations."),
        ("Intervals", "95 %, bootstrap over seeds, and over their entities where single answers "
         "are at hand. Correlations resample conditions. With few seeds an interval is hardly "
         "wider than the range of the runs; least and most stand in the tables."),
        ("Marks", "A level must hold at two checkpoints running and is interpolated between them; "
         "a mark that is met before training or never is left out and counted."),
        ("Verdicts", "From the intervals of differences between conditions that differ in nothing "
         "but the knob named, paired over seeds; every such pair of the sweep is a case, named in "
         "the detail. Claims that the sweep has no pair for are not made."),
    )  # fmt: skip
    blocks = (Prose(_LIMITS, "caution"), Definitions("Words used here", items))
    return Page("method", "Method and limits", "How the numbers were made, and what they are not.",
                blocks)  # fmt: skip
