"""How the numbers were made, and their limits."""

from polylore.report import Definitions, Page, Prose
from polylore.studies.inject.context import InjectContext

_LIMITS = (
    "After Chang et al. 2024, How Do Large Language Models Acquire Factual Knowledge During "
    "Pretraining? What is reproduced is the direction of the paper's claims; values of decay "
    "constants, x-intercepts, fits and gains of the paper are not known here, and no number is "
    "meant to match one.",
    "Fictional items are a sample of easy facts in few wordings. Seeds of one study share items "
    "and background; an interval over items does not know how much other models would differ.",
)


def method_page(context: InjectContext) -> Page:
    """Words used in the report."""
    items = (
        ("y", "Mean over the target's tokens of their log-probability, in nats, with the probe's "
         "prefix before it. Tokens of languages differ, so gains are compared across languages "
         "per byte."),
        ("Clock", "State t: updates done. A passage in batch k is visible from state k + 1; the "
         "reading at k, or the latest one before it, is the last before that exposure."),
        ("D", "Item mean of y(t) − y(before), minus the same of never-injected items of that "
         "depth and language. Before: all readings up to the first exposure of the plan."),
        ("E, corrected", "d_i(j, h): D at h steps after exposure i of item j, minus D before it. "
         "The lag h at which it is read is the best one of all other items and exposures, so that "
         "no maximum of noise is taken; mean over exposures and items."),
        ("Window", "Steps after an exposure in which its gain may peak; they end where the item's "
         "next exposure comes. After that no gain is read: in the corrected form the last reading "
         "before counts."),
        ("E, published", "Largest y within the window after an exposure minus y before it; values "
         "beyond 1.5 (paper) or 2.0 (repo) interquartile ranges are dropped."),
        ("R, corrected", "Sum over items of D at a lag after the last peak, over the sum of D at "
         "the peak. Lags are those that were read; steps, tokens and summed learning rates stand "
         "side by side."),
        ("R, published", "Mean over probes of the share of each probe's gain that is left, "
         "outliers dropped at every lag; its straight line on log t gives the published decay "
         "constant and x-intercept. Needs every state."),
        ("Kernel", "Item mean of D fitted as a sum over exposures i of g_i·K: a rise of p steps, "
         "then 1 − a·log10 of the steps since; p, a and all g_i are fitted together. With one gain "
         "for all exposures, as the kernel was first defined, a also holds what the gains fall by; "
         "that a stands beside."),
        ("Forms", "Six forms with the same rise and a gain for every exposure; AICc with effective "
         "points; a form is named only if it wins 90 % of item resamples."),
        ("κ", "Left of all exposures one interval after the last, over left of the first alone "
         "one interval after it. Readings right before an exposure only, so nothing is selected."),
        ("T_src, T_tgt", "E[A→B] over E[A→A], and over E[B→B]; empty unless the interval of the "
         "denominator lies above 0."),
        (
            "With suffix",
            "The target does not end the sentence, so it is scored together with what follows; "
            "the margin is over distractors with the same suffix.",
        ),
        ("Swap margin", "y minus y with the subject of another item in its place."),
        ("Intervals", "95 %, percentile, 2000 resamples of items unless set otherwise: all probes, "
         "exposures, languages and seeds of an item move together, never-injected items are "
         "resampled too, and one set of draws serves all cells, so differences are paired. Fewer "
         "than ten items: none."),
        ("Verdicts", "Confirmed: shown in every case. Not confirmed: contradicted in some case and "
         "shown in none. Undecided: the rest. See the claims page for the rule of one case."),
    )  # fmt: skip
    blocks = (Prose(_LIMITS, "caution"), Definitions("Words used here", items))
    return Page("method", "Method and limits", "How the numbers were made, and what they are not.",
                blocks)  # fmt: skip
