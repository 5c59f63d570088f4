"""Trace two real pretrained models on the built-in facts and compare them in one report.

Both come as Python packages and are unpacked once (`polylore unpack`). Each is asked the same facts
in twelve languages, freely and among thirty candidates. Two small traces more look for the cause
of a low number: one asks capitals in other wordings, one asks them of the same model with its
weights rounded once more, to four bits. Every part is an ordinary command; interrupted, the same
call goes on.
"""

import argparse
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file, save_file

from acceptance.demo import measure
from acceptance.results import write_results
from polylore.models.gguf import unpack
from polylore.report.languages import name as language_name
from polylore.runs import RunFolder

# Five scripts beside the Latin one, written in both directions, with and without spaces.
LANGUAGES = ["en", "de", "fr", "es", "tr", "sw", "ru", "ar", "hi", "ko", "zh", "ja"]
RELATIONS = ["capital", "official_language", "continent"]
# Base models begin a text with their begin-of-text token; SmolLM2's tokenizer adds none, and its
# first token, <|im_start|>, would announce a chat.
MODELS = {"gemma3-270m": "true", "smollm2-135m": "false"}
WORDINGS = {0: "statement", 2: "question and answer", 3: "label and value"}
MATCHERS = ("candidates", "candidates_pmi", "default")
ENGLISH_CAPITALS = 0.9


@dataclass
class Stage:
    """One command and what it took."""

    command: list[str]
    seconds: float
    cpu: float
    memory: float

    def row(self) -> str:
        shown = " ".join(["polylore", *self.command])
        return f"| `{shown}` | {self.seconds:.0f} | {self.cpu:.0f} | {self.memory:.2f} |"


def run(words: list[str], shown: list[str] | None = None) -> Stage:
    """Run a polylore command; `shown` is how it reads on another machine."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, memory = measure([sys.executable, "-m", "polylore", *words])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Stage(shown or words, seconds, cpu, memory)


def questions(each: int) -> list[str]:
    return [
        *("--facts.languages", ",".join(LANGUAGES), "--facts.per-relation", str(each)),
        *("--facts.candidates", "30", "--ask.demos", "shared"),
    ]


def everything(folder: Path, each: int, jobs: int) -> list[Stage]:
    """All commands, in order."""
    stages = [run(["unpack", name]) for name in MODELS]
    models = {name: str(unpack(name)) for name in MODELS}
    execution = ["--execution.jobs", str(jobs)]
    for name, bos in MODELS.items():
        asked = [*questions(each), "--facts.relations", ",".join(RELATIONS), "--ask.bos", bos]
        asked += [*execution, "--out", f"{folder}/{name}"]
        stages.append(run(["trace", models[name], *asked], ["trace", f"CACHE/{name}", *asked]))
    first = next(iter(MODELS))
    asked = [*questions(each), "--facts.relations", "capital", "--ask.generate", "false"]
    asked += ["--ask.content-free", "false", *execution]
    words = [*asked, "--ask.variants", ",".join(map(str, WORDINGS)), "--out", f"{folder}/wordings"]
    stages.append(run(["trace", models[first], *words], ["trace", f"CACHE/{first}", *words]))
    rounded = round_again(Path(models[first]), folder / f"{first}-rounded")
    words = [*asked, "--out", f"{folder}/rounded"]
    stages.append(run(["trace", str(rounded), *words], ["trace", rounded.name, *words]))
    runs = [f"{folder}/{name}" for name in MODELS]
    stages.append(run(["compare", *runs, "--out", f"{folder}/compare"]))
    return stages


def round_again(model: Path, out: Path) -> Path:
    """A copy of a model with every matrix but the embedding rounded to four bits (Q4_0).

    The packaged file rounded most of them to five. If answers hold out against a coarser rounding
    than the one they went through, that one did not spoil them.
    """
    if not out.is_dir():
        half = out.with_name(f".{out.name}")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(model, half, symlinks=False)
        for file in half.glob("*.safetensors"):
            weights = load_file(file)
            for name, weight in weights.items():
                if weight.ndim == 2 and "embed" not in name:
                    coarse = quantize(weight, GGMLQuantizationType.Q4_0)
                    weights[name] = np.ascontiguousarray(
                        dequantize(coarse, GGMLQuantizationType.Q4_0).astype(weight.dtype)
                    )
            save_file(weights, file, metadata={"format": "pt"})
        half.rename(out)
    return out


def cell(frame: pl.DataFrame) -> str:
    """Share right [interval] (baseline)."""
    if not frame.height:
        return "–"
    r = frame.row(0, named=True)
    floor = "" if r["baseline"] is None else f" ({r['baseline']:.2f})"
    return f"{r['acc']:.2f} [{r['lo']:.2f}, {r['hi']:.2f}]{floor}"


def recall_table(recall: pl.DataFrame, relation: str) -> list[str]:
    """Language by model and way of answering."""
    head = [f"{model}, {way}" for model in MODELS for way in ("ranked", "less priors", "free")]
    lines = [f"| language | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for lang in [*LANGUAGES, "all"]:
        own = recall.filter(lang=lang, relation=relation)
        cells = [
            cell(own.filter(model=model, matcher=matcher))
            for model in MODELS
            for matcher in MATCHERS
        ]
        lines.append(f"| {language_name(lang)} | {' | '.join(cells)} |")
    return lines


def differences(table: pl.DataFrame) -> list[str]:
    """The first model minus the second, over all languages."""
    words = dict(zip(MATCHERS, ("ranked", "less priors", "free"), strict=True))
    lines = ["| relation | " + " | ".join(words.values()) + " |", "|---" * 4 + "|"]
    for relation in [*RELATIONS, "all"]:
        cells = []
        for matcher in words:
            r = table.filter(lang="all", relation=relation, matcher=matcher).row(0, named=True)
            cells.append(f"{r['difference']:+.2f} [{r['lo']:+.2f}, {r['hi']:+.2f}]")
        lines.append(f"| {relation} | {' | '.join(cells)} |")
    return lines


def causes(folder: Path, model: str) -> list[str]:
    """Capitals ranked by one model, by what could make them hard, language by language."""
    tables = RunFolder.load(folder / model)
    facts = tables.table("facts").filter(relation="capital")
    grades = tables.table("grades").filter(relation="capital", matcher="candidates")
    graded = grades.join(facts, on=["fact_id", "lang"])
    alike = pl.col("flags").list.contains("same_as_en") | (pl.col("lang") == "en")
    tokens = RunFolder.load(folder / "compare").table("model_tokens")
    head = ["tokens per name", "commonest choice", "spelled as in English", "others"]
    worded = coarse = None
    if model == next(iter(MODELS)):
        worded = RunFolder.load(folder / "wordings").table("grades").filter(matcher="candidates")
        coarse = RunFolder.load(folder / "rounded").table("grades").filter(matcher="candidates")
        head += [f"asked as {words}" for words in WORDINGS.values()] + ["rounded again"]
    lines = [f"| language | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for lang in LANGUAGES:
        own = graded.filter(lang=lang)
        cut = tokens.filter(model=model, lang=lang, relation="capital")["tokens"][0]
        commonest = own["answer_id"].value_counts()["count"].max()
        cells = [f"{cut:.1f}", f"{commonest} of {own.height}"]
        cells += [right(own.filter(alike)), right(own.filter(~alike))]
        if worded is not None and coarse is not None:
            cells += [right(worded.filter(lang=lang, variant=v)) for v in WORDINGS]
            cells += [right(coarse.filter(lang=lang))]
        lines.append(f"| {language_name(lang)} | {' | '.join(cells)} |")
    return lines


def right(graded: pl.DataFrame) -> str:
    """Share right of n."""
    return f"{graded['y'].mean():.2f} of {graded.height}" if graded.height else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder to work in")
    parser.add_argument("--each", type=int, default=20, help="facts of each relation")
    parser.add_argument("--jobs", type=int, default=2, help="processes that ask side by side")
    parser.add_argument("--results", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    stages = everything(options.folder, options.each, options.jobs)
    compared = RunFolder.load(options.folder / "compare")
    recall = compared.table("model_recall")
    first = next(iter(MODELS))
    english = recall.filter(model=first, lang="en", relation="capital", matcher="candidates")
    among = RunFolder.load(options.folder / first).table("facts").filter(relation="capital")
    sizes = among["candidates"].list.len()
    kept = english["acc"][0] >= ENGLISH_CAPITALS and sizes.min() == sizes.max() == 30
    lines = [
        "| promise | measured | kept |",
        "|---|---|---|",
        f"| {first} ranks at least {ENGLISH_CAPITALS:.0%} of English capitals first among 30 | "
        f"{cell(english)} | {'yes' if kept else 'NO'} |",
        "",
        "Share right [95 % interval] (best knowledge-free baseline). Ranked: the right candidate "
        "is the likeliest. Less priors: the same after subtracting what a candidate's "
        "log-probability is when the question names no subject. Free: the generated answer "
        "begins with a right one.",
    ]
    for relation in RELATIONS:
        lines += ["", f"## {relation.replace('_', ' ').capitalize()}", ""]
        lines += recall_table(recall, relation)
    names = list(MODELS)
    lines += ["", "## Difference", "", f"{names[0]} minus {names[1]}, all languages, paired.", ""]
    lines += differences(compared.table("model_difference"))
    lines += [
        "",
        "## Why some languages are low",
        "",
        "Capitals, ranked; [what this says](../realmodel.md). Commonest choice: how often the one "
        "candidate that was chosen most often was chosen. Spelled as in English, others, asked in "
        "three wordings, and rounded again (all matrices but the embedding once more, to four "
        "bits): share right of these facts.",
    ]
    for model in MODELS:
        lines += ["", f"### {model}", "", *causes(options.folder, model)]
    lines += ["", "## Cost", "", "Memory: of all processes of the command together, GiB.", ""]
    lines += ["| command | seconds | CPU seconds | GiB |", "|---|---|---|---|"]
    lines += [stage.row() for stage in stages]
    total = sum(stage.seconds for stage in stages) / 60
    lines += ["", f"Together {total:.0f} minutes with {options.jobs} processes."]
    print("\n".join(lines))
    print(f"Report: {compared.path / 'report.html'}")
    if options.results:
        command = ["python", "-m", "acceptance.realmodel", "--folder", "FOLDER"]
        write_results(options.results, "Two real models", command, lines)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
