"""Lines of the results page, from what the analysis of a study wrote."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from acceptance.inject.checks import Same
from acceptance.inject.claims import Claim
from acceptance.inject.design import INTERVAL, SEEN, SMALL, TAIL, N
from acceptance.inject.pretrain import RATE, Pretrained
from acceptance.inject.readout import Found, control_gain, text
from acceptance.inject.stages import people
from polylore.metrics.injection.evidence import COMP, DUP, LATER, MEM
from polylore.metrics.injection.number import CONTRADICTED, SHOWN
from polylore.metrics.injection.readout import LostShare, at_peak, decay, gain
from polylore.runs import RunFolder

Tables = Mapping[str, pl.DataFrame]
WORDS = {SHOWN: "confirmed", CONTRADICTED: "not confirmed"}
UNDECIDED = "undecided"
LIMITS = (
    "Limits: one size of model (about a million parameters), made languages with words of one "
    "token, one learning rate, one background. Spacing other than even, mixed languages and more "
    "than two languages are no part of this page."
)
_EARLIER = (
    "Designs tried before, and what each showed, are on [a page of their own](inject-tried.md). "
    "The first ones had a background about known people only. There the model was sure, and wrong, "
    "about strangers, and less so while it read of new people: what never-injected people lost "
    "after the last exposure was about as much as what the injected ones lost, and is taken off "
    "it. So some documents now tell of strangers, of whom nothing can be known. Many of them keep "
    "the model from learning of anybody new. All of the design, their share too, was chosen on "
    f"the worlds {', '.join(map(str, SEEN[:-1]))} and {SEEN[-1]}."
)
BEFOREHAND = {
    True: (
        f"{_EARLIER} This world is one of those on which the design was chosen; what it shows "
        "decides nothing."
    ),
    False: (
        f"{_EARLIER} The design, this world's number and three runs were fixed before this world "
        "was made; it was run once."
    ),
}
"""What was known when the design was fixed: of worlds seen before, and of every other one."""
QUANTITIES = {
    "effectivity": "E",
    "source_normalised": "T_src",
    "target_normalised": "T_tgt",
    "fact_specific_gain": "E of the swap margin",
    "a_kernel": "a",
    "retention_10": "R_c(10)",
    "retention_100": "R_c(100)",
    "kappa": "κ",
}


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def spread(row: Mapping[str, Any], value: str = "value", lo: str = "lo", hi: str = "hi") -> str:
    """A number with its interval."""
    if row[value] is None:
        return "–"
    between = "" if row[lo] is None else f" [{number(row[lo])}, {number(row[hi])}]"
    return number(row[value]) + between


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def setting(model: Pretrained, run: RunFolder, dose: float) -> list[str]:
    """What was done."""
    made = run.table("inject_runs")
    first, last = model.gate
    c = people("arms", model).config
    return [
        f"Stage 1: polylore trained a Llama of {int(made['parameters'][0]):,} parameters for "
        f"{model.steps:,} steps of 32 rows of 64 tokens on what {c.subjects} people are said to "
        f"be, do and have in two languages. Of the documents {c.stranger_share:.0%} are about "
        f"{c.strangers} strangers, and every one says something else of them. Loss {first:.2f} at "
        f"first, {last:.2f} over the last hundred steps (gate: below {first / 5:.2f}).",
        "",
        f"Stage 2: {made.height} runs go on from there with the optimizer's state and a constant "
        f"rate of {RATE:g}. Besides new sentences about the same people they read passages about "
        f"{c.items} others: duplication (the same passage {N} times, {INTERVAL} steps apart), "
        f"paraphrase ({N} wordings) and once, half of the items in each language, in other roles "
        f"in every run (Latin square; {_crossed(run)}); {c.controls} people are never injected. A "
        "passage states "
        f"{c.relations} facts in {c.relations * 8} tokens. At most {dose:.1%} of the loss of a "
        f"step comes from passages. Every second state is read, up to {TAIL} steps after the last "
        "exposure. The runs read the same background; each has its own plan.",
        "",
        BEFOREHAND[c.seed in SEEN],
        "",
        "Numbers are nats per token. Intervals are 95 % over resampled items, which move together "
        "in all runs; the values of the single runs follow. D is the rise over the mean before the "
        "first exposure less that of never-injected items; D_pk is D at the peak after the last "
        "exposure, the lag of which is chosen on other items. `shown`: the interval and every run "
        "are on the predicted side; `contradicted`: the interval is on the other one. The two "
        "languages are called qaa and qab.",
        "",
    ]


def _crossed(run: RunFolder) -> str:
    """How many of the arms and languages each item was in."""
    runs = run.table("inject_runs")["run_id"].to_list()
    told = pl.concat(run.read("inject_arms", [name]) for name in runs).filter(
        pl.col("arm") != "never"
    )
    by_item = told.group_by("item_id").agg(
        pl.col("arm").n_unique(), pl.col("inject_lang").n_unique()
    )
    whole = told["arm"].n_unique()
    fewest, most = (f(by_item["arm"].to_list()) for f in (min, max))
    arms = str(fewest) if fewest == most else f"{fewest} to {most}"
    both = (by_item["inject_lang"] == 2).mean()
    return f"each is in {arms} of the {whole} arms, {both:.0%} in both languages"


def claim_lines(found: Sequence[Claim]) -> list[str]:
    """Claims A1 to A8 and B0 to B3, part by part, and why required ones are not shown."""
    rows = []
    for claim in found:
        kind = "required" if claim.required else "reported"
        rows.append((claim.id, kind, claim.statement, "", f"**{claim.verdict}**"))
        rows += [("", "", part.label, text(part.number), part.verdict) for part in claim.parts]
    lost = [f"- {claim.why}" for claim in found if claim.required and claim.why]
    told = ["Required claims that are not shown, and what keeps them from it:", "", *lost, ""]
    head = ("", "", "claim", "estimate", "verdict")
    return ["## Claims", *table(head, rows), *(told if lost else [])]


def paper_lines(studies: Mapping[str, Tables]) -> list[str]:
    """Directional claims of the source study: each from the study that speaks to it.

    Args:
        studies: tables of each study by its name; `arms` is one of them.
    """
    rows = []
    whole = pl.concat(
        own["inject_claims"].with_columns(study=pl.lit(name)) for name, own in studies.items()
    )
    for claim in whole["claim_id"].unique(maintain_order=True):
        own = whole.filter(claim_id=claim)
        if claim[0].isalpha():
            continue
        told = own.filter(pl.col("case").is_not_null())
        # What the arms can say is said by them; contrasts speak where they cannot.
        said = told.filter(study="arms") if told.filter(study="arms").height else told
        if not said.height:
            # Most studies lack what a claim is about; the one that has more of it says what is left
            reasons = own["reason"].to_list()
            rarest = min(reasons, key=reasons.count)
            rows.append((claim, own["statement"][0], f"not tested: {rarest}", "", ""))
            continue
        for place, row in enumerate(said.iter_rows(named=True)):
            signs = " ".join({1: "+", -1: "-"}.get(s, "0") for s in row["signs_by_seed"])
            estimate = spread(row, "estimate") + (f"; runs {signs}" if signs else "")
            if row["estimate"] is None and row["reason"]:
                estimate += f" ({row['reason'].replace('_', ' ')})"
            rows.append(
                (
                    claim if not place else "",
                    row["statement"] if not place else "",
                    f"{row['case']}: {row['measure']}",
                    estimate,
                    WORDS.get(row["verdict"], UNDECIDED),
                )
            )
    return [
        "## What the source study claims",
        "",
        "Directions only, by the same rule; what this toy does is no evidence about models a "
        "thousand times larger. A claim can be confirmed in one case and open in another.",
        *table(("", "claim", "case and measure", "estimate", "here"), rows),
    ]


def both_estimators(tables: Tables) -> list[str]:
    """The published and the default estimator of every cell, with the control beside."""
    keys = ["arm", "depth", "inject_lang", "probe_lang"]
    own = tables["inject_effectivity"].filter(
        pl.col("run_id") == "main", pl.col("exposure").is_null()
    )
    rows = []
    for key, part in own.group_by(keys, maintain_order=True):
        by = {row["preset"]: row for row in part.iter_rows(named=True)}
        arm, depth, told, asked = (str(k) for k in key)
        rows.append(
            (
                arm,
                depth,
                f"{told} → {asked}",
                spread(by["paper"], "estimate"),
                number(by["paper"]["control_estimate"]),
                spread(by["default"], "estimate"),
                number(by["default"]["control_estimate"]),
            )
        )
    head = ("arm", "depth", "told → asked", "published E", "never", "E_cf", "never")
    return [
        "## Both estimators",
        "",
        "The maximum of readings finds a gain where nothing was learned.",
        *table(head, rows),
    ]


CONTROLS = {
    "start": "before the first exposure",
    "noise_sd": "noise",
    "expected_false": "false gain of such noise",
    "ceiling": "with the passage in view",
    "ceiling_exact": "then answered right",
}


def control_lines(tables: Tables) -> list[str]:
    """Noise, false gains and the in-context ceiling."""
    own = tables["inject_controls"].filter(pl.col("run_id") == "main", pl.col("arm").is_null())
    rows = []
    for key, part in own.group_by("depth", "probe_lang", maintain_order=True):
        by = dict(part.select("quantity", "value").iter_rows())
        rows.append((*(str(k) for k in key), *(number(by.get(name)) for name in CONTROLS)))
    return [
        "## Noise and ceiling",
        "",
        "Noise: standard deviation of the readings before the first exposure; the largest of many "
        "such readings is a gain by itself. With the passage in view: the score at state 0 when "
        "the item's own passage stands before the probe.",
        *table(("depth", "asked in", *CONTROLS.values()), rows),
    ]


FALSE = {
    "paper_false": "published E",
    "default_false": "E_cf",
    "halves_false": "E_cf, one half held against the other",
}


def false_lines(tables: Tables) -> list[str]:
    """Gains of never-injected items at the times of each arm."""
    own = tables["inject_controls"].filter(
        pl.col("run_id") == "main", pl.col("quantity").is_in(list(FALSE))
    )
    rows = []
    for key, part in own.group_by("arm", "depth", "probe_lang", maintain_order=True):
        by = {row["quantity"]: spread(row) for row in part.iter_rows(named=True)}
        rows.append((*(str(k) for k in key), *(by.get(name, "–") for name in FALSE)))
    return [
        "## Gains of never-injected items, at the times of each arm",
        "",
        "With one exposure E_cf of all of them reads each item at its own worst lag; one half of "
        "them held against the other half has no such tie. Lags are chosen anew in every resample, "
        "so a value can lie outside its interval.",
        *table(("times of", "depth", "asked in", *FALSE.values()), rows),
    ]


def transfer_lines(tables: Tables, title: str, remark: str) -> list[str]:
    """Matrices of effectivity and retention, language of passages by language of probes."""
    keys = ["arm", "depth", "inject_lang", "probe_lang"]
    values = tables["inject_transfer"].filter(pl.col("run_id") == "main", pl.col("depth") != COMP)
    rows = []
    for key, part in values.group_by(keys, maintain_order=True):
        by = {row["quantity"]: spread(row) for row in part.iter_rows(named=True)}
        arm, depth, told, asked = (str(k) for k in key)
        numbers = (by.get(name, "–") for name in QUANTITIES)
        rows.append((arm, depth, f"{told} → {asked}", *numbers))
    head = ("arm", "depth", "told → asked", *QUANTITIES.values())
    return [f"## {title}", "", remark, *table(head, rows)]


def forgetting_lines(tables: Tables) -> list[str]:
    """Kernel, published line and form of forgetting, asked in the language of the passages."""
    keys = ["run_id", "arm", "depth", "inject_lang", "probe_lang"]
    forms = tables["inject_forms"].filter(gains="by_exposure").select(*keys, "verdict").unique()
    lines = tables["inject_decay"].filter(preset="paper")
    published = lines.select(*keys, "r2", paper_a="a", paper_lo="lo", paper_hi="hi")
    one_gain = tables["inject_kernels"].filter(gains="common")
    common = one_gain.select(*keys, common_a="a", common_lo="lo", common_hi="hi")
    own = (
        tables["inject_kernels"]
        .filter(pl.col("inject_lang") == pl.col("probe_lang"), pl.col("run_id") == "main")
        .filter(gains="by_exposure")
        .join(common, on=keys, how="left", maintain_order="left")
        .join(forms, on=keys, how="left", maintain_order="left")
        .join(published, on=keys, how="left", maintain_order="left")
    )
    drawn = own["paper_a"].count() > 0
    rows = [
        (
            row["arm"],
            row["depth"],
            row["inject_lang"],
            spread(row, "a"),
            spread(row, "common_a", "common_lo", "common_hi"),
            *([spread(row, "paper_a", "paper_lo", "paper_hi"), number(row["r2"])] if drawn else []),
            row["verdict"] or "–",
        )
        for row in own.iter_rows(named=True)
    ]
    head = ("arm", "depth", "language", "a of the kernel", "a, one gain",
            *(["published a", "its R²"] if drawn else []), "form (B4)")  # fmt: skip
    remark = (
        "The published line depends on the schedule; the kernel does not: every"
        if drawn
        else "The published line needs every state, and every second one was read here. In the "
        "kernel every"
    )
    return [
        "## Forgetting",
        "",
        f"{remark} exposure has a gain of its own. With one gain for all, its a would take the "
        "fall of the gains (A3) for forgetting. A form is named if it wins 90 % of the resamples, "
        "with a gain for every exposure too.",
        *table(head, rows),
    ]


def sweep_lines(tables: Tables, runs: int, dose: float) -> list[str]:
    """Stage 3: at which interval exposures stop accumulating."""
    order = ["inject_lang", "probe_lang", "interval"]
    keys = ["run_id", "arm", "depth", "inject_lang", "probe_lang"]
    lines = tables["inject_decay"].filter(preset="paper")
    sweep = (
        tables["inject_threshold"]
        .filter(run_id="main")
        .join(lines.select(*keys, zero=10 ** pl.col("x_intercept_log10")), on=keys, how="left")
        .sort(order)
    )
    rows = [
        (
            f"{row['inject_lang']} → {row['probe_lang']}",
            f"{row['interval']}{' (within the rise)' if row['within_rise'] else ''}",
            number(row["S"]),
            spread(row, "A", "A_lo", "A_hi"),
            spread(row, "difference"),
            spread(row, "kappa", "kappa_lo", "kappa_hi"),
            number(row["kappa_predicted"]),
            row["verdict"],
            "–" if row["zero"] is None else f"{row['zero']:.3g}",
        )
        for row in sweep.iter_rows(named=True)
    ]
    head = ("told → asked", "Δ", "S", "A", "A - S", "κ", "κ by the kernel", "verdict",
            "published x-intercept")  # fmt: skip
    return [
        "## Which interval still accumulates (B4)",
        "",
        f"{runs} runs, last exposures matched, so up to {dose:.0%} of the loss of a step comes "
        "from passages. S: left of one exposure after Δ steps; A: left of all; the mean of "
        "never-injected items is taken off both. The published x-intercept, in steps, is where "
        "the published line falls to zero; it would be one number if it were the threshold.",
        *table(head, rows),
        f"Brackets of the threshold, in steps: {'; '.join(_brackets(tables))}.",
        "",
    ]


def _brackets(tables: Tables) -> Iterator[str]:
    for row in tables["inject_brackets"].filter(run_id="main").iter_rows(named=True):
        lo, hi = row["bracket_lo"] or "–", row["bracket_hi"] or "–"
        tokens = ", ".join(
            "–" if row[name] is None else f"{row[name]:,.0f}" for name in ("tokens_lo", "tokens_hi")
        )
        line = row["x_intercept"]
        proxy = "" if line is None else f", published x-intercept {line:.3g}"
        pair = f"{row['inject_lang']} → {row['probe_lang']}"
        yield f"{pair} [{lo}, {hi}] (tokens [{tokens}]), censored: {row['censored']}{proxy}"


def contrast_lines(conditions: Mapping[str, Found]) -> list[str]:
    """Gains of the conditions that differ in batch or checkpoint."""
    rows = []
    for name, found in conditions.items():
        readings = (gain, at_peak, LostShare(LATER), decay)
        numbers = [text(found.scores.number(reading, DUP, MEM)) for reading in readings]
        rows.append((name, *numbers, text(control_gain(found, DUP, MEM))))
    head = ("condition", "E_cf", "D_pk", "share lost later", "a", "E_cf never")
    return [
        "## Batch and checkpoint",
        "",
        f"Duplication, memorization, language of the passages. {SMALL} rows against 32; `share`: "
        "passages weigh less in the small batch, so that their share of the loss is that of the "
        "large one (under Adam a weight acts only relative to the rest of the batch). Early and "
        "late checkpoint: equal rate, fresh optimizer after a burn-in.",
        *table(head, rows),
    ]


STAGED = {
    "effectivity": "E_cf",
    "first_effectivity": "E_cf of the first exposure",
    "at_peak": "D_pk",
    "lost_share": "share lost later",
    "a_kernel": "a",
}


def stage_lines(tables: Tables) -> list[str]:
    """Every quantity at both checkpoints, and the paired difference."""
    frame = tables["inject_stage_contrast"].filter(direction="own", depth=MEM)
    rows = [
        (
            row["arm"],
            STAGED[row["quantity"]],
            spread(row, "early", "early_lo", "early_hi"),
            spread(row, "late", "late_lo", "late_hi"),
            spread(row, "estimate"),
            " ".join({1: "+", -1: "-"}.get(sign, "0") for sign in row["signs_by_seed"]),
        )
        for row in frame.iter_rows(named=True)
    ]
    first = frame.row(0, named=True)
    before: dict[str, Any] = {
        side: tables["inject_controls"]
        .filter(
            pl.col("arm").is_null(), run_id=first[f"condition_{side}"], quantity="start", depth=MEM
        )["value"]
        .mean()
        for side in ("early", "late")
    }
    head = ("arm", "", f"step {first['step_early']}", f"step {first['step_late']}",
            "late − early", "runs")  # fmt: skip
    return [
        "## An early and a late checkpoint",
        "",
        "Memorization, language of the passages. The same plan, background and rate from two "
        "checkpoints of stage 1, the optimizer begun anew and burnt in on the background; items "
        "are paired. Before the first exposure people who are never read about score "
        f"{number(before['early'])} at the early checkpoint and {number(before['late'])} at the "
        "late one: how far there is to rise differs too, and the early one is still learning what "
        "relations are while it reads.",
        *table(head, rows),
    ]


def check_lines(found: Sequence[Same]) -> list[str]:
    """The same run in other ways."""
    rows = [
        (
            one.way,
            "yes" if one.rows else "NO",
            f"{one.losses:.0e}",
            f"{one.median:.0e}",
            f"{one.largest:.0e}",
            f"{one.close:.1%}",
        )
        for one in found
    ]
    head = ("way", "same plan and probes", "losses apart", "scores apart: median", "largest",
            "scores equal to 1e-5")  # fmt: skip
    grown = [
        f"{one.way}: "
        + ", ".join(f"{apart:.0e} at {t}" for t, apart in one.growth[:: len(one.growth) // 4 or 1])
        for one in found
        if one.largest > 0
    ]
    return [
        "## The same run in other ways",
        "",
        "A short run (12 injected people, two exposures) against itself in one piece. "
        f"{_bit_by_bit(found)} Parts and processes multiply other matrices and sum in another "
        "order: float32 rounds otherwise, and Adam, which divides by the size of a gradient, "
        f"amplifies that from update to update. {_at_first(found)} The last rows are the same "
        "ways with numbers of 16 digits (float64) instead of 7, held against a run in one piece "
        "in float64. Other rows, weights of passages or sums of gradients would leave the scores "
        "as far apart there as in float32. If the ways differ in rounding alone, the gap shrinks "
        "as rounding does, by a factor of about a billion.",
        *table(head, rows),
        *([f"Largest difference of a score by state: {'; '.join(grown)}.", ""] if grown else []),
    ]


def _bit_by_bit(found: Sequence[Same]) -> str:
    killed = [one for one in found if one.way.startswith("killed")]
    apart = max((max(one.losses, one.largest) for one in killed), default=0.0)
    told = "is the same bit by bit" if apart == 0 else f"is NOT the same: {apart:.0e} apart"
    return f"A run that was killed {told}."


def _at_first(found: Sequence[Same]) -> str:
    first = max((one.growth[0][1] for one in found if one.growth), default=0.0)
    if first == 0:
        return (
            "At the first reading nothing is apart, so what differs is the training and not the "
            "reading."
        )
    return f"At the first reading scores are up to {first:.0e} apart."
