"""Method: how the numbers were made, what is missing, and what they cannot say."""

from polylore.report import Block, Definitions, Page, Prose
from polylore.report.languages import name as language_name
from polylore.studies.trace.context import Context
from polylore.studies.trace.probe_cost import sentences
from polylore.tables.course import further_branches

_NEEDS = {
    "recall": "Recall: no graded answers.",
    "freq_curve": "Exposure: the run has no exposure counts, or no graded answers to relate to.",
    "consistency": "Consistency: it needs at least two languages.",
    "survival": "Acquisition: it needs at least two checkpoints with a place in training.",
    "transfer_rate": "Pathways: they need the pivot and another language, both asked.",
    "similarity_summary": "Similarity: it was not measured against this pivot; a trace with "
    "--similarity.enabled true measures it.",
    "grades": "Facts: no graded answers.",
    "prompts": "Prompts: the run does not hold the texts it asked.",
    "data_report": "The report on the fact set is not in this run.",
}


def method_page(context: Context) -> Page:
    """Always there."""
    blocks: list[Block] = [_terms(context)]
    notes = context.run.manifest.get("analysis", {}).get("notes") or []
    if notes:
        blocks.append(Prose(("Noted while the data was read:", *map(str, notes))))
    probing = context.run.manifest.get("probing")
    if probing:
        blocks.append(Prose(sentences(probing)))
    missing = [why for name, why in _NEEDS.items() if context.table(name) is None]
    checkpoints = context.table("checkpoints")
    if checkpoints is not None and checkpoints["suspect"].any():
        left = checkpoints.filter(checkpoints["suspect"])["ckpt_id"].to_list()
        missing.append(
            "Left out of every trajectory because their weights belong elsewhere: "
            + ", ".join(left)
            + "."
        )
    further = further_branches(checkpoints) if checkpoints is not None else []
    if further:
        missing.append(
            "Left out of every trajectory because they branch off beside the one that is "
            f"followed: {', '.join(further)}."
        )
    if missing:
        blocks.append(Prose(("Not in this report:", *missing), "caution"))
    blocks.append(Definitions("What these numbers cannot say", _limits(context)))
    return Page("method", "Method", "How the numbers were made, and their limits.", tuple(blocks))


def _terms(context: Context) -> Definitions:
    pivot = language_name(context.pivot)
    config = context.analyse
    items = [
        ("Recall", "Share of facts answered right by the matcher named in the caption."),
        (
            "Matcher: default",
            "The first line of the answer, without regard to case and punctuation, begins with an "
            "accepted answer that ends at a word boundary (no boundary in scripts written without "
            "spaces), and with no longer answer of the same relation. A mere beginning of the "
            "answer is wrong.",
        ),
        (
            "Matcher: paper",
            "The published one: the answer begins with the gold, or the gold with the answer, case "
            "ignored. One right letter is enough.",
        ),
        (
            "Matcher: candidates",
            "The gold has the highest log-probability of the listed candidates; ties are broken by "
            "a hash, never by position.",
        ),
        (
            "Baseline",
            "The best of what is reached without knowing the fact: chance among candidates, the "
            "commonest object of the relation, copying a demonstration, an empty prompt, and for "
            "the published matcher the best single character.",
        ),
        ("Guess-corrected", "(recall − baseline)/(1 − baseline)."),
        (
            "Intervals",
            (
                f"95 % percentile intervals from {config.draws:,} bootstrap draws of whole facts "
                f"within relations, seed {config.seed}; the same draw for all languages and "
                "checkpoints. They cover the choice of facts, not the choice of seed or data order."
            )
            if config.draws
            else "None were computed (0 bootstrap draws), so no claim is confirmed.",
        ),
        (
            "Exposure",
            f"Kind: {context.exposure_kind}. Exact: documents read up to the checkpoint, from the "
            "known order of training. Scaled: corpus counts in proportion to tokens read. Total: "
            "corpus counts without a time axis. Kinds are never mixed.",
        ),
        (
            "Acquired",
            f"Start of the first {config.sustained} right answers in a row; the moment lies "
            "between two checkpoints, and facts not yet acquired still count (Kaplan–Meier).",
        ),
        ("Pivot", f"{pivot}: the language the others are compared with."),
        (
            "No-donor curve",
            "Probability of a right answer by exposure"
            + (" and relation" if config.curve == "relation" else "")
            + ", fitted to answers that no transfer can have helped: those in the pivot, and those "
            "elsewhere that no donor knows. It contains guessing, since it is fitted to answers.",
        ),
        (
            "Transfer rate",
            "(right − expected)/(facts − expected), over facts that a donor knows and that share "
            "no string, with expected from the no-donor curve. Supported: its interval lies above "
            "0. Confirmed: so does the one against a curve that knows the donor's exposure too.",
        ),
    ]
    return Definitions("Words used here", tuple(items))


def _limits(context: Context) -> tuple[tuple[str, str], ...]:
    return (
        (
            "A right answer is not yet knowledge",
            "It may be guessed, copied from the prompt or spelled alike in another language. Read "
            "it beside the baselines and the groups of facts.",
        ),
        (
            "Correlation with exposure",
            "What is read more often may also be easier. Only training with and without a fact "
            "shows a cause.",
        ),
        (
            "Recall of never-read facts",
            "Above its baseline it shows that something else than reading in that language led "
            "there. From which language it came is a further question.",
        ),
        (
            "Many languages, many intervals",
            "Of twenty 95 % intervals one is expected to miss. A claim about all languages asks "
            "every interval to agree, which is strict; single languages may still deceive.",
        ),
        (
            "Wording",
            "A language whose prompts read badly looks ignorant. Compare wordings first.",
        ),
    )
