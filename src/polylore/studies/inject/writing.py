"""`inject write`: more variants of the items' passages, written by a model and checked without it.

One unit of work is one item in one language. What is kept of it are texts, taken or refused; the
items are put together of them at the end.
"""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.people import Fiction, read_fiction
from polylore.facts.people.acceptance import (
    ECHO,
    Refusal,
    Rules,
    items_with,
    part,
    similarity,
    tidy,
)
from polylore.facts.people.names import drawn
from polylore.models.writing import Request
from polylore.runs import RunFolder
from polylore.studies.inject.judging import Judge, judge_of
from polylore.studies.inject.writer import (
    OpenModel,
    Outcome,
    Progress,
    Row,
    Writer,
    chosen,
    conclude,
    do_units,
    identifier,
    length_of,
    opened,
    row_of,
)
from polylore.studies.inject.writer_config import WriteConfig
from polylore.tables import inject

KIND = "inject-write"


def write_paraphrases(
    config: WriteConfig,
    items: str | Path,
    out: str | Path,
    *,
    writer: Writer | None = None,
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Add paraphrases of the original passages to items (specification of `inject`, section 3.4).

    Args:
        config: who writes what.
        items: folder of item files.
        out: new folder; an unfinished one is gone on with.
        writer: writes in the place of `config.model`, which then only names it.
        judge: judges in the place of `config.judge`.
        progress: called with (done, total, what).

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    fiction = read_fiction(items)
    wanted = chosen(fiction, config.items)
    languages = _languages(fiction, config.languages)
    originals = fiction.passages.filter(
        pl.col("item_id").is_in(wanted), pl.col("lang").is_in(languages), variant=0
    )
    length, identify = length_of(config), identifier(config)
    inputs = {"items": fiction.digest()}
    writer, model = opened(config, writer, inputs)
    if judge is None and config.judge is not None:
        found = model if config.judge == config.model else None
        found = found or OpenModel.find(config.judge, config)
        judge = judge_of(found, fiction.probes)
        inputs["judge"] = found.digest
    units = {f"{item}/{lang}": (item, lang) for item, lang in originals[["item_id", "lang"]].rows()}

    def work(unit: str) -> list[Row]:
        item, lang = units[unit]
        rules = Rules(fiction, item, lang, length=length, identify=identify)
        return _written(config, rules, writer, judge, _examples(fiction, item, lang))

    run = RunFolder.open(out, KIND, config.identity(), inputs)
    with run.lock():
        rows = do_units(run, units, work, "writing", progress)
        taken = rows.filter(pl.col("reason").is_null())
        made = _with_taken(fiction, taken, config.model, inputs) if taken.height else None
        goal = config.paraphrases * len(units)
        return conclude(run, made, rows, taken=taken.height, wanted=goal)


def _languages(fiction: Fiction, named: list[str] | None) -> list[str]:
    known = sorted(fiction.passages["lang"].unique())
    for lang in named or ():
        if lang not in known:
            raise ConfigError(
                f"languages: the items have no passages in {lang}, only in {', '.join(known)}."
            )
    return named or known


def _written(
    config: WriteConfig,
    rules: Rules,
    writer: Writer,
    judge: Judge | None,
    examples: tuple[tuple[str, str], ...],
) -> list[Row]:
    """All texts of a unit, in the order in which they were written."""
    keep = ", ".join([*rules.names, *sorted(rules.targets)])
    instruction = (
        "Rewrite the text in other words and in another order, in the same language and about as "
        f"long. Keep every fact, and these words exactly as they are: {keep}."
    )
    left, rows = list(range(config.paraphrases)), []
    for attempt in range(config.attempts):
        seeds = [drawn(config.seed, "write", rules.item, rules.lang, k, attempt) >> 1 for k in left]
        labels = ("Text", "The same in other words")
        requests = [Request(instruction, rules.original, labels, s, examples) for s in seeds]
        answers = writer(requests) if requests else []
        for k, seed, answer in zip(tuple(left), seeds, answers, strict=True):
            text = tidy(answer)
            refusal = rules.refusal(text)
            if refusal is None and similarity(text, rules.original) > ECHO:
                refusal = Refusal("copies", "the original")
            if refusal is None and judge is not None:
                refusal = judge(text, rules.fiction.probes)
            if refusal is None:
                rules.take(text)
                left.remove(k)
            more = {"attempt": attempt, "seed": seed}
            rows.append(row_of(rules.item, rules.lang, "paraphrase", str(k), text, refusal, **more))
    return rows


def _examples(fiction: Fiction, item: str, lang: str) -> tuple[tuple[str, str], ...]:
    """An original and a variant of another item, if there are any in the language."""
    others = fiction.passages.filter(pl.col("item_id") != item, lang=lang).sort("item_id")
    for _, told in others.group_by("item_id", maintain_order=True):
        texts = told.sort("variant")["text"]
        if len(texts) > 1:
            return ((texts[0], texts[1]),)
    return ()


def _with_taken(
    fiction: Fiction, taken: pl.DataFrame, model: str, inputs: dict[str, str]
) -> Fiction:
    """The items with the texts that were taken as further variants, and who wrote them."""
    rows, notes = [], dict(fiction.items[["item_id", "meta"]].iter_rows())
    for (item, lang), texts in taken.group_by("item_id", "lang", maintain_order=True):
        own = part(fiction, str(item), str(lang))
        first = int(own.passages["variant"].max() or 0) + 1  # type: ignore[arg-type]
        seeds = {}
        for variant, row in enumerate(texts.iter_rows(named=True), first):
            seeds[str(variant)] = row["seed"]
            targets = own.probes[["probe_id", "target"]].iter_rows()
            rows.append(
                {
                    "passage_id": f"{item}/{lang}/{variant}",
                    "item_id": item,
                    "lang": lang,
                    "variant": variant,
                    "kind": "paraphrase",
                    "text": row["text"],
                    "probes_covered": [probe for probe, t in targets if t in row["text"]],
                }
            )
        meta = json.loads(notes[item] or "{}")
        about = {"model": model, "weights": inputs.get("model"), "seeds": seeds}
        meta.setdefault("written", {})[lang] = about
        notes[item] = json.dumps(meta, sort_keys=True)
    passages = pl.concat([fiction.passages, inject.PASSAGES.build(rows)])
    return replace(fiction, items=items_with(fiction, notes), passages=passages)
