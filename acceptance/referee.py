"""Can the labels be believed? Small models trained with and without their pivot's documents.

Three runs from different initial weights, each trained on the whole corpus and again without the
English documents about one half of the facts (A) and about the other (B): nine trainings. Labels
and transfer rates, made from answers and counts alone, are held against held-out cells and against
what is lost when the documents are gone. Whatever comes out is written down.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import polars as pl

from acceptance.results import write_results
from polylore.corpus import ComposeConfig, compose
from polylore.runs import RunFolder
from polylore.studies.referee.config import RefereeConfig
from polylore.studies.referee.study import trace_with_referee
from polylore.studies.trace.config import AnalyseConfig, AskConfig, FactsConfig, TraceConfig
from polylore.studies.trace.context import Context
from polylore.studies.trace.sections.referee import referee_findings
from polylore.training.config import ModelConfig, ScheduleConfig, TokenizerConfig, TrainConfig
from polylore.training.loop import train

# Latin script throughout and many country names in common, but other words for regions and
# languages: a subject can be recognised across languages, an answer cannot be copied.
FACTS = FactsConfig(
    source="cldr",
    languages=["en", "it", "sw"],
    relations=["subregion", "official_language", "continent"],
    limit=360,
)
CORPUS = ComposeConfig(
    distribution="levels",
    held_out=0.3,
    held_out_by="fact",
    lang_only=0.09,
    untaught=0.15,
    wordings=2,
)
MODEL = TrainConfig(
    batch_size=8,
    threads=1,
    model=ModelConfig(hidden_size=96, layers=3, intermediate_size=256),
    tokenizer=TokenizerConfig(vocab_size=2048),
    checkpoints=ScheduleConfig(per_decade=2),
)
ANALYSE = AnalyseConfig(pivot="en", headline_variants=[0], seen_variants=[0, 1])


def experiment(folder: Path, seeds: int) -> RunFolder:
    """Compose, train, trace and judge; goes on where an earlier call stopped."""
    shown = [""]

    def progress(done: int, total: int, what: str) -> None:
        if what != shown[0]:
            print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
            shown[0] = what

    corpus = compose(FACTS.load(), CORPUS, folder / "corpus")
    model = train(corpus.folder, folder / "model", MODEL, progress=progress)
    config = TraceConfig(
        model=str(model / "checkpoints"),
        facts=FACTS,
        ask=AskConfig(variants=[0], n_shot=0),
        analyse=ANALYSE,
        referee=RefereeConfig(seeds=seeds),
    )
    return trace_with_referee(config, folder / "trace", progress=progress)


def last(run: RunFolder, name: str) -> pl.DataFrame:
    """Rows of the last checkpoint, all runs pooled where there are several."""
    table = run.table(name)
    own = table.filter(pl.col("step") == table["step"].max())
    pooled = own.filter(pl.col("seed").is_null())
    return pooled if pooled.height else own


def ci(row: dict[str, Any], name: str, digits: int = 2) -> str:
    """A value with its interval."""
    value, low, high = (row[key] for key in (name, f"{name}_lo", f"{name}_hi"))
    if value is None:
        return "–"
    if low is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def verdict_lines(run: RunFolder) -> list[str]:
    """What the report says in one sentence each, and the two controls that must show nothing."""
    lines = [
        f"- {found.text} *{found.verdict}*" for found in referee_findings(Context(run, ANALYSE))
    ]
    lost = last(run, "counterfactual").filter(
        pl.col("arm") == "both", pl.col("lang") == "all", pl.col("stratum") == "all"
    )
    alone = lost.filter(pl.col("method").is_null()).row(0, named=True)
    own = lost.filter(method="pathways", info_level="L3", label="all").row(0, named=True)
    controls = (
        ("fall of recall in untouched cells, 0 wanted", alone, "fall_untouched", 0.0, 3),
        ("AUC of evidence for lost, untouched cells, 0.5 wanted", own, "auc_untouched", 0.5, 2),
    )
    for words, row, name, wanted, digits in controls:
        low, high = row[f"{name}_lo"], row[f"{name}_hi"]
        holds = "undecided" if low is None else "yes" if low <= wanted <= high else "NO"
        lines.append(f"- control, {words}: {ci(row, name, digits)}; in its interval: {holds}")
    return lines


def label_lines(run: RunFolder) -> list[str]:
    """Labels against held-out cells, at every level of information."""
    scores = last(run, "truth_scores").filter(pl.col("lang") == "all")
    lines = [
        "| label | told | method | true | labelled | precision | recall | AUC among right |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label in ("transfer-candidate", "known-by-frequency", "copied-string", "guess"):
        for level in ("L0", "L1", "L1-0.5", "L2", "L3", "L3-0.5"):
            for r in scores.filter(label=label, info_level=level).iter_rows(named=True):
                lines.append(
                    f"| {label} | {level} | {r['method']} | {r['n_truth']} | {r['n_label']} | "
                    f"{ci(r, 'precision')} | {ci(r, 'recall')} | {ci(r, 'auc')} |"
                )
    return lines


def rate_lines(run: RunFolder) -> list[str]:
    """Estimated and true transfer rates, run by run."""
    table = run.table("true_rates").filter(pl.col("seed").is_not_null())
    table = table.filter(pl.col("step") == table["step"].max(), pl.col("info_level") == "L3")
    lines = [
        "| run | language | right: told in English alone | right: told nowhere | true rate "
        "| estimated rate | in its interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in table.iter_rows(named=True):
        lines.append(
            f"| {r['seed']} | {r['lang']} | {ci(r, 'acc_pivot_only')} ({r['n_pivot_only']}) | "
            f"{ci(r, 'acc_none')} ({r['n_none']}) | {ci(r, 'true_rate')} | {ci(r, 't')} | "
            f"{'yes' if r['covered'] else 'no'} |"
        )
    return lines


def cause_lines(run: RunFolder) -> list[str]:
    """What is lost without the English documents."""
    lost = last(run, "counterfactual").filter(pl.col("arm") == "both")
    plain = lost.filter(pl.col("method").is_null())
    lines = [
        "| cells | language | treated | right | lost | effect | fall of untouched cells |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in plain.sort(pl.col("stratum") != "all", maintain_order=True).iter_rows(named=True):
        if r["lang"] == "all" or r["stratum"] == "all":
            lines.append(
                f"| {r['stratum']} | {r['lang']} | {r['n_cells']} | {r['n']} | {r['lost']} | "
                f"{ci(r, 'effect', 3)} | {ci(r, 'fall_untouched', 3)} |"
            )
    lines += [
        "",
        "Labels against losses (all languages; L3: counts up to the checkpoint, L1: counts of "
        "strings). L1 and L0 in the columns: share lost of treated and of untouched right cells.",
        "",
        "| told | method | label | right | L1 | L0 | causal precision | causal recall "
        "| AUC of evidence for lost | AUC, untouched |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    labelled = lost.filter(pl.col("method").is_not_null() & (pl.col("lang") == "all"))
    for r in labelled.filter(pl.col("info_level").is_in(["L1", "L3"])).iter_rows(named=True):
        if r["n"]:
            lines.append(
                f"| {r['info_level']} | {r['method']} | {r['label']} | {r['n']} | {ci(r, 'l1')} | "
                f"{ci(r, 'l0')} | {ci(r, 'causal_precision')} | {ci(r, 'causal_recall')} | "
                f"{ci(r, 'auc')} | {ci(r, 'auc_untouched')} |"
            )
    return lines


def page(run: RunFolder) -> list[str]:
    """Everything that was measured."""
    arms, design = run.table("arms"), run.table("design")
    facts, told = design["fact_id"].n_unique(), design.filter(pl.col("lang") != "en")
    counts = dict(told.group_by("condition").len().sort("condition").iter_rows())
    ran = ", ".join(sorted(set(arms["ran"])))
    return [
        f"- corpus: {facts} facts of the built-in set in {', '.join(FACTS.languages or [])}; "
        f"relations {', '.join(FACTS.relations or [])}; doses "
        f"{', '.join(map(str, CORPUS.levels))}; cells of the other languages: "
        + ", ".join(f"{n} {name}" for name, n in counts.items()),
        f"- runs: {arms['seed'].n_unique()} seeds, each whole, without A and without B; "
        f"{arms['tokens'][0]:,} tokens each ({ran}); replaced: "
        + ", ".join(
            f"{r['arm']} {r['fillers']:,} documents, {r['tokens_replaced']:,} tokens"
            for r in arms.filter(pl.col("arm") != "full").unique("arm").sort("arm").to_dicts()
        ),
        f"- checked: all other tokens have equal hashes; {arms['leaks'].sum()} documents tell a "
        "held-out cell; a recount of the decoded tokens equals the ledger",
        "- intervals: 95 %, bootstrap over facts and over runs",
        "",
        "## In short",
        "",
        *verdict_lines(run),
        "",
        "## What the English documents cause",
        "",
        "Effect: fall of recall in other languages where the English documents about a fact are "
        "gone, minus the fall of facts left alone. Doses are documents of the cell, pivot doses "
        "English documents.",
        "",
        *cause_lines(run),
        "",
        "## Labels against held-out cells",
        "",
        "True: by design. L0: answers only; L1: counts of strings; L2: counts by language; L3: "
        "those up to the checkpoint; L1-0.5: half of the matches deleted.",
        "",
        *label_lines(run),
        "",
        "## Transfer rates",
        "",
        "Facts whose answer is spelled otherwise than in English; number of facts in brackets.",
        "",
        *rate_lines(run),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder to work in")
    parser.add_argument("--seeds", type=int, default=3, help="training runs of each kind")
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    run = experiment(options.folder, options.seeds)
    lines = page(run)
    print("\n".join(lines))
    if options.results:
        command = ["python", "-m", "acceptance.referee", "--seeds", str(options.seeds)]
        write_results(options.results, "The referee", command, lines)


if __name__ == "__main__":
    main()
