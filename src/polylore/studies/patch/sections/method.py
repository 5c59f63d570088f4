"""How the numbers were made, and their limits."""

from polylore.report import Definitions, Page
from polylore.studies.patch.context import METRICS, SETTINGS, SUMMARIES, PatchContext


def method_page(context: PatchContext) -> Page:
    """Words used in the report."""
    items = [
        ("Patch", "Run the prompt about the target concept; at the last token of its word, "
         "overwrite the output of every block from the onset on with that of the source concept. "
         "A block's vector always goes into the same block."),
        ("Unpatched", "The source prompt shows what the model does by itself, the target prompt "
         "how often it names the source concept for no reason."),
        ("Controls", "The prompt's own vectors and the last onset must change nothing. Another "
         "concept's vector, means over different concepts or over all of them, and noise are the "
         "floor: they show what patching does without the concept."),
        (SETTINGS["seen"].capitalize(), "Source prompts in all ordered pairs of the languages read "
         "in training, without English and the two languages of the prompt. A mean is shorter "
         "than its members and made of more of them; “mean, members' norm” and fewer languages "
         "tell the two apart from what is shared."),
        (METRICS["p_full"].capitalize(), "Sum over accepted words of the probability of all their "
         "tokens and a closing quote, in the usual tokenisation only: a lower bound."),
        (METRICS["p_first"].capitalize(), "The published form. Weak where words are long or begin "
         "alike; pairs that share a first token are left out."),
        ("Summaries of onsets", "; ".join(SUMMARIES.values()) + ". Cross-fitted: picked on one "
         "random half of the concepts, read off on the other, and the reverse."),
        ("Accepted words", "Those of the same sense row as the word shown; in the published form "
         "all words of the concept."),
        ("Clean items", "No word spelled alike in both languages, none that names two concepts, "
         "no second form and no second sense."),
        ("Intervals", "95 %, bootstrap of whole source concepts (and target concepts where they "
         "are used again, and language pairs where several are pooled); the same draws for all "
         "numbers, so differences are paired. Simultaneous bands hold for all onsets and "
         "checkpoints together. They cover the choice of concepts and pairs, not of trainings."),
        ("Emergence", "First checkpoint that is above the floor by its simultaneous bound, or at "
         "half of the final value, there and at the next one. It is only known to lie between two "
         "checkpoints."),
        ("Classes of answers", "Twelve, made by a lexicon alone, the first that fits; what they "
         "leave open can be coded by people, whose codes override them."),
    ]  # fmt: skip
    block = Definitions("Words used here", tuple(items))
    return Page("method", "Method", "How the numbers were made, and their limits.", (block,))
