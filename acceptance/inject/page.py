"""Lines of the results page."""

from collections.abc import Iterable, Sequence

import polars as pl

from acceptance.inject import readout as r
from acceptance.inject.checks import Same
from acceptance.inject.claims import COMPOSITIONAL, DUPLICATION, Claim
from acceptance.inject.design import INTERVAL, SMALL, TAIL, N
from acceptance.inject.numbers import Number
from acceptance.inject.paper import DEPTHS, PaperClaim
from acceptance.inject.pretrain import RATE, Pretrained
from acceptance.inject.readout import Readout
from polylore.metrics.injection import analyse_injection, threshold, transfer
from polylore.runs import RunFolder

LIMITS = (
    "Limits: one size of model (about a million parameters), made languages with words of one "
    "token, one learning rate, one background; people of the background are known by heart, so "
    "the model is sure and wrong about strangers, and gains are gains from that. Sham and "
    "background-only runs, spacing other than even, mixed languages and more than two languages "
    "are no part of this page."
)
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


def spread(row: dict[str, float | None], value: str = "value") -> str:
    """A number with its interval."""
    if row[value] is None:
        return "–"
    return f"{number(row[value])} [{number(row['lo'])}, {number(row['hi'])}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def setting(model: Pretrained, run: RunFolder, dose: float) -> list[str]:
    """What was done."""
    made = run.table("inject_runs")
    parameters, runs = int(made["parameters"][0]), made.height
    first, last = model.gate
    c = model.world.config
    return [
        f"Stage 1: polylore trained a Llama of {parameters:,} parameters for {model.steps:,} steps "
        f"of 32 rows of 64 tokens on what {c.subjects} people are said to be, do and have in two "
        f"languages; loss {first:.2f} at first, {last:.2f} over the last hundred steps (gate: "
        f"below {first / 5:.2f}).",
        "",
        f"Stage 2: {runs} runs go on from there with the optimizer's state and a constant rate of "
        f"{RATE:g}. Besides new sentences about the same people they read passages about "
        f"{c.items} others: duplication (the same passage {N} times, {INTERVAL} steps apart), "
        f"paraphrase ({N} wordings) and once, half of the items in each language, in other roles "
        f"in every run (Latin square); {c.controls} people are never injected. A passage states "
        f"{c.relations} facts in {c.relations * 8} tokens. At most {dose:.1%} of the loss of a "
        f"step comes from passages. Every state is read, up to {TAIL} steps after the last "
        "exposure. The runs read the same background; each has its own plan.",
        "",
        "Numbers are nats per token. Intervals are 95 % over resampled items, which move together "
        "in all runs; the values of the single runs follow. D is the rise over the mean before the "
        "first exposure less that of never-injected items; D_pk is D at the peak after the last "
        "exposure, the lag of which is chosen on other items. `shown`: the interval and every run "
        "are on the predicted side; `contradicted`: the interval is on the other one.",
        "",
    ]


def claim_lines(found: Sequence[Claim]) -> list[str]:
    """Claims A1 to A8 and B1 to B3, part by part."""
    rows = []
    for claim in found:
        kind = "required" if claim.required else "reported"
        rows.append((claim.id, kind, claim.statement, "", f"**{claim.verdict}**"))
        for part in claim.parts:
            rows.append(("", "", part.label, part.number.text(), part.verdict))
    return ["## Claims", *table(("", "", "claim", "estimate", "verdict"), rows)]


def paper_lines(found: Sequence[PaperClaim]) -> list[str]:
    """Directional claims of the source study."""
    rows = []
    for claim in found:
        rows.append((str(claim.number), claim.statement, claim.remark, f"**{claim.verdict}**"))
        for part, verdict in zip(claim.parts, claim.verdicts(), strict=True):
            rows.append(("", part.label, part.number.text(), verdict))
    return [
        "## What the source study claims",
        "",
        "Directions only, by the same rule; what this toy does is no evidence about models a "
        "thousand times larger.",
        *table(("", "claim", "estimate", "here"), rows),
    ]


def forms_beside(found: Readout) -> list[str]:
    """The published and the default estimator of every cell, with the control beside."""
    rows = []
    for arm in found.arms:
        for depth in DEPTHS:
            control = (
                found.control_published(arm, depth).value,
                found.control_gain(arm, depth).value,
            )
            for across in (False, True):
                own: Number = found.number(r.gain, arm, depth, across=across)
                lo, hi = own.limits
                rows.append(
                    (
                        arm,
                        depth,
                        "across" if across else "same",
                        number(found.published(arm, depth, across=across)),
                        number(control[0]) if not across else "",
                        f"{own.value:.2f} [{lo:.2f}, {hi:.2f}]",
                        number(control[1]) if not across else "",
                    )
                )
    head = ("arm", "depth", "language", "published E", "never", "E_cf", "never")
    return [
        "## Both estimators",
        "",
        "The maximum of readings finds a gain where nothing was learned.",
        *table(head, rows),
    ]


def transfer_lines(found: Readout, title: str, remark: str) -> list[str]:
    """Matrices of effectivity and retention, language of passages by language of probes."""
    values = transfer(
        found.log, found.exposures, window=r.WINDOW, resamples=found.resamples, pool=True
    ).filter(pl.col("depth") != COMPOSITIONAL)
    names = {lang: f"L{n + 1}" for n, lang in enumerate(sorted(values["probe_lang"].unique()))}
    rows = []
    keys = ("arm", "depth", "inject_lang", "probe_lang")
    for key, part in values.group_by(keys, maintain_order=True):
        arm, depth, told, asked = (str(k) for k in key)
        by = {row["quantity"]: spread(row) for row in part.iter_rows(named=True)}
        pair = f"{names[told]} → {names[asked]}"
        rows.append((arm, depth, pair, *(by.get(name, "–") for name in QUANTITIES)))
    head = ("arm", "depth", "told → asked", *QUANTITIES.values())
    return [f"## {title}", "", remark, *table(head, rows)]


def kernel_lines(found: Readout) -> list[str]:
    """Kernel and form of forgetting, asked in the language of the passages."""
    tables = analyse_injection(
        found.log,
        found.exposures,
        window=r.WINDOW,
        presets=("default", "paper"),
        resamples=500,
        form_resamples=200,
        pool=True,
    )
    keys = ["arm", "depth", "inject_lang", "probe_lang"]
    verdicts = tables["inject_forms"].select(*keys, "verdict").unique()
    published = tables["inject_decay"].filter(preset="paper").select(*keys, "r2", paper_a="a")
    own = (
        tables["inject_kernels"]
        .filter(pl.col("inject_lang") == pl.col("probe_lang"))
        .join(verdicts, on=keys, how="left", maintain_order="left")
        .join(published, on=keys, how="left", maintain_order="left")
    )
    rows = [
        (
            row["arm"],
            row["depth"],
            row["inject_lang"],
            spread(row, "a"),
            number(row["paper_a"]),
            number(row["r2"]),
            row["verdict"] or "–",
        )
        for row in own.iter_rows(named=True)
    ]
    head = ("arm", "depth", "language", "a of the kernel", "published a", "R²", "form")
    return [
        "## Forgetting",
        "",
        "The published line depends on the schedule; the kernel does not. `form` must win 90 % of "
        "the resamples.",
        *table(head, rows),
    ]


def sweep_lines(found: Readout, dose: float) -> list[str]:
    """Stage 3: at which interval exposures stop accumulating."""
    rows, brackets = threshold(
        found.log, found.exposures, window=r.WINDOW, resamples=found.resamples, pool=True
    )
    lines = []
    for row in rows.sort("probe_lang", "inject_lang", "interval").iter_rows(named=True):
        kappa = "–" if row["kappa"] is None else f"{row['kappa']:.2f}"
        if row["kappa"] is not None:
            kappa += f" [{number(row['kappa_lo'])}, {number(row['kappa_hi'])}]"
        lines.append(
            (
                f"{row['inject_lang']} → {row['probe_lang']}",
                str(row["interval"]) + (" (within the rise)" if row["within_rise"] else ""),
                number(row["S"]),
                f"{number(row['A'])} [{number(row['A_lo'])}, {number(row['A_hi'])}]",
                f"{number(row['difference'])} [{number(row['lo'])}, {number(row['hi'])}]",
                kappa,
                number(row["kappa_predicted"]),
                row["verdict"],
            )
        )
    head = ("told → asked", "Δ", "S", "A", "A - S", "κ", "κ by the kernel", "verdict")
    ends = [
        f"{row['inject_lang']} → {row['probe_lang']}: "
        f"[{row['bracket_lo'] or '–'}, {row['bracket_hi'] or '–'}], censored: {row['censored']}"
        + (
            ""
            if row["x_intercept"] is None
            else f", published x-intercept {row['x_intercept']:.0f}"
        )
        for row in brackets.iter_rows(named=True)
    ]
    return [
        "## Which interval still accumulates (B4)",
        "",
        f"{len(found.runs)} runs, last exposures matched, so up to {dose:.0%} of the loss of a "
        "step comes from passages. S: left of one exposure after Δ steps; A: left of all. "
        "Never-injected items are taken off both; they are level by definition of D.",
        *table(head, lines),
        "Brackets of the threshold (steps): " + "; ".join(ends) + ".",
        "",
    ]


def contrast_lines(names: dict[str, Readout]) -> list[str]:
    """Gains of the conditions that differ in batch or checkpoint."""
    rows = []
    for name, found in names.items():
        gain = found.number(r.gain, DUPLICATION)
        peak = found.number(r.at_peak, DUPLICATION)
        share = found.number(r.lost_share, DUPLICATION)
        control = found.control_gain(DUPLICATION, "memorization")
        texts = (gain.text(), peak.text(), share.text(), number(control.value))
        rows.append((name, *texts))
    head = ("condition", "E_cf", "D_pk", "share lost later", "E_cf never")
    return [
        "## Batch and checkpoint",
        "",
        f"Duplication, memorization, same language; {SMALL} against 32 rows, and an early against "
        "the last checkpoint.",
        *table(head, rows),
    ]


def check_lines(found: Sequence[Same]) -> list[str]:
    """The same run in other ways."""
    rows = [
        (
            one.way,
            "yes" if one.rows else "NO",
            f"{one.scores:.1e}",
            f"{one.losses:.1e}",
            f"{one.bound:g}",
            "yes" if one.holds else "NO",
        )
        for one in found
    ]
    head = ("way", "same plan and probes", "scores apart", "losses apart", "at most", "holds")
    return [
        "## The same run in other ways",
        "",
        "A short run (12 injected people, two exposures) against itself in one piece.",
        *table(head, rows),
    ]
