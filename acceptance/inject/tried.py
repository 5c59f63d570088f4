"""Write down what earlier designs of the experiment showed, measured from their run folders.

A design is chosen on some worlds and decides on another. This page says on which, and what every
design before it said, with the estimators of today. It reads runs that are there and trains
nothing, so no target calls it.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from acceptance.inject.claims import Claim, claims
from acceptance.inject.page import number, table
from acceptance.inject.readout import Found, text
from acceptance.inject.stages import tables_of
from acceptance.results import write_results
from polylore.corpus.injection.arms import NEVER
from polylore.metrics.injection.evidence import MEM
from polylore.runs import RunFolder

HEAD = ("design", "world", "strangers", "runs", "items told", "never injected", "score of these",
        "code")  # fmt: skip


def world_of(run: RunFolder) -> dict[str, Any]:
    """Settings of the world that the model of these runs was trained on."""
    model = Path(run.manifest["config"]["model"])
    made: dict[str, Any] = json.loads((model.parent / "corpus" / "manifest.json").read_text())
    return dict(made["world"])


def setting(label: str, run: RunFolder) -> tuple[str, ...]:
    """What was done: one row."""
    log, _ = tables_of(run)
    world, git = world_of(run), run.manifest["git"]
    never = log.filter(arm=NEVER, depth=MEM)
    told = log.filter(log["arm"] != NEVER)
    return (
        label,
        str(world["seed"]),
        f"{world.get('stranger_share', 0):.0%}",
        str(log["run_id"].n_unique()),
        str(told["item_id"].n_unique()),
        str(never["item_id"].n_unique()),
        number(float(never.filter(t=0)["mean_logprob"].mean())),  # type: ignore[arg-type]
        git["commit"][:7] + ("" if git.get("clean") else " (with changes)"),
    )


def claim_rows(found: list[Claim]) -> list[tuple[str, ...]]:
    """Required claims, part by part."""
    rows: list[tuple[str, ...]] = []
    for claim in found:
        if not claim.required:
            continue
        rows.append((claim.id, claim.statement, "", f"**{claim.verdict}**"))
        rows += [("", part.label, text(part.number), part.verdict) for part in claim.parts]
    return rows


def design(value: str) -> tuple[str, RunFolder]:
    """A design as the command line names it: what it is, and the folder of its arms."""
    label, _, folder = value.rpartition("=")
    if not label:
        raise argparse.ArgumentTypeError(f"{value!r} is not WHAT=FOLDER")
    return label, RunFolder.load(Path(folder) / "arms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("designs", nargs="+", type=design, metavar="WHAT=FOLDER")
    options = parser.parse_args()
    told, sections = [], []
    for label, run in options.designs:
        found = list(claims(Found.of(*tables_of(run))))
        told.append(setting(label, run))
        head = ("", "claim", "estimate", "verdict")
        sections += [f"## {label}", *table(head, claim_rows(found))]
        print(f"{label}: {', '.join(f'{c.id} {c.verdict}' for c in found)}", flush=True)
    answers = {world_of(run)["objects"] for _, run in options.designs}
    chance = " or ".join(number(-math.log(count)) for count in sorted(answers))
    lines = [
        "Designs of the experiment of `inject` that were tried, in this order, and what each "
        "showed. Numbers are nats per token, read as on [the page of the experiment](inject.md). "
        "Score of these: mean log-probability of what is asked about the never injected, before "
        "anything is told. Who knows only which answers there are scores less the logarithm of "
        f"their number, {chance}.",
        *table(HEAD, told),
        *sections,
    ]
    designs = [f"'{label}=FOLDER'" for label, _ in options.designs]
    command = ["python", "-m", "acceptance.inject.tried", "--results", str(options.results)]
    write_results(options.results, "Designs tried", [*command, *designs], lines)


if __name__ == "__main__":
    main()
