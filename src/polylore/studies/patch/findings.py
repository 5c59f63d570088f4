"""What a patch run says, in sentences with verdicts."""

import polars as pl

from polylore.report import Finding
from polylore.report.languages import ALL
from polylore.report.verdicts import Case, judge, tally
from polylore.studies.patch.context import (
    BAR,
    ONE_RUN,
    PatchContext,
    contrast_name,
    pair_name,
)
from polylore.studies.trace.context import quantity

_CLAIMS = (
    ("seen-random_concept", "A concept's vector averaged over other languages makes the model name "
     "it in the language asked for."),
    ("seen-tgt", "The averaged vector does more than that of the same language pair."),
    ("seen-src_unpatched", "Putting the averaged vector in is better translation than the model's "
     "own."),
)  # fmt: skip


def findings(context: PatchContext) -> tuple[Finding, ...]:
    """One finding per claim that the run can judge, and what changed in answers."""
    found = [f for f in (_claim(context, *claim) for claim in _CLAIMS) if f is not None]
    others = (_since(context), _changes(context), _checked(context))
    return (*found, *(f for f in others if f is not None))


def headline_findings(context: PatchContext) -> tuple[Finding, ...]:
    """Whether there is a shared space, and since when."""
    return tuple(f for f in (_claim(context, *_CLAIMS[0]), _since(context)) if f is not None)


def _claim(context: PatchContext, contrast: str, text: str) -> Finding | None:
    contrasts = context.table("patch_contrasts")
    if contrasts is None:
        return None
    rows = context.at_end(contrasts).filter(
        (pl.col("contrast") == contrast)
        & (pl.col("at") == "best_crossfit")
        & (pl.col("metric") == context.metric)
        & (pl.col("subset") == "full")
        & (pl.col("intervention") == context.interventions[0])
        & (pl.col("lang_a") != ALL)
    )
    if not rows.height:
        return None
    cases = [
        Case(pair_name(r["lang_a"], r["lang_b"]), r["lo"], r["hi"], BAR)
        for r in rows.iter_rows(named=True)
    ]
    detail = (
        f"{contrast_name(contrast)} above {BAR} at the last checkpoint, by language pair; best "
        f"onset, cross-fitted. {tally(cases)}"
    )
    return Finding(text, judge(cases), detail)


def _since(context: PatchContext) -> Finding | None:
    emergence = context.table("patch_emergence")
    if emergence is None or not context.trajectory:
        return None
    rows = context.here(emergence).filter(
        (pl.col("contrast") == "seen-random_concept")
        & (pl.col("at") == "best_crossfit")
        & (pl.col("kind") == "E2")
    )
    if not rows.height:
        return None
    row = rows.row(0, named=True)
    when = {
        "left": f"was there at the first checkpoint, at {quantity(row['hi_tokens'])} tokens",
        "right": f"had not lasted by {quantity(row['lo_tokens'])} tokens",
        "interval": f"came between {quantity(row['lo_tokens'])} and {quantity(row['hi_tokens'])} "
        "tokens",
        "undefined": "cannot be dated: the final effect may be zero",
    }[row["censor"]]
    return Finding(
        f"Half of the shared space's final effect {when}.",
        None,
        f"{contrast_name(row['contrast'])}, {pair_name(*context.headline)}. {ONE_RUN}",
    )


def _changes(context: PatchContext) -> Finding | None:
    changes = context.table("patch_changes")
    if changes is None:
        return None
    rows = context.at_end(changes).filter(
        (pl.col("setting") == "seen") & (pl.col("subset") == "full") & (pl.col("lang_a") != ALL)
    )
    if not rows.height:
        return None
    totals = rows.group_by("onset").agg(pl.col("gain", "shift_up", "acc_patched").sum())
    best = totals.sort("acc_patched", "onset", descending=[True, False]).row(0, named=True)
    risen = best["gain"] + best["shift_up"]
    return Finding(
        f"Of {risen} answers that became right, {best['gain']} were on clean items; the others may "
        "be a change of behaviour."
        if risen
        else "No answer became right by putting the averaged vector in.",
        None,
        f"All language pairs, vectors put in from block {best['onset']} on, last checkpoint.",
    )


def _checked(context: PatchContext) -> Finding | None:
    """What the self-checks say; without them no number here would mean anything."""
    checks = context.table("patch_selfcheck")
    if checks is None:
        return None
    asked = checks["ckpt_id"].n_unique()
    failed = checks.filter(~pl.col("passed"))
    names = failed["ckpt_id"].unique(maintain_order=True).to_list()
    if not names:
        return Finding(
            "Patches are exact: at every checkpoint they change nothing where nothing can change, "
            "and change something where a donor is put in.",
            None,
            f"{checks.height} self-checks at {asked} checkpoints, all passed.",
        )
    reasons = [row["note"] or row["check"] for row in failed.iter_rows(named=True)]
    return Finding(
        f"{len(names)} of {asked} checkpoints could not be patched and have no numbers here.",
        None,
        f"{', '.join(names)}. First reason: {reasons[0]}",
    )
