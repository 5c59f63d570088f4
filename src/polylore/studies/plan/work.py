"""The work of a trace: which forward passes each checkpoint and language will take."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from polylore.models import LanguageModel, Prepared
from polylore.models.cost import Anatomy, Pass, total_flops
from polylore.models.hidden import Layers
from polylore.models.passes import (
    checking_passes,
    expected_sharing,
    generation_batches,
    generation_passes,
    hidden_passes,
    scoring_batches,
    scoring_passes,
    sharing_passes,
)
from polylore.studies.trace.config import ExecutionConfig
from polylore.studies.trace.sheet import Sheet, Tokenised
from polylore.studies.trace.similarity import Sentences
from polylore.tables.plan import PLAN

Seconds = Callable[[Pass], float]
Lengths = Sequence[int]
"""Tokens that a model chose for some prompts, an end-of-text token included."""


@dataclass(frozen=True)
class Ways:
    """How a model is read."""

    engine: str
    """The scoring engine that answers."""
    share: bool = True
    """Whether what prompts begin with is read once, where windows allow it."""


@dataclass(frozen=True)
class Work:
    """One kind of asking in one language."""

    kind: str
    prompts: int
    candidates: int
    passes: Mapping[Pass, int]
    """Forward passes expected, and how often each is made."""
    most: Mapping[Pass, int]
    """The same if no answer ends before its cap."""
    plain: int
    """Tokens if every candidate were read by itself."""
    new: int = 0
    """Tokens expected to be generated."""
    new_most: int = 0

    @cached_property
    def tokens(self) -> int:
        """Tokens that are no padding."""
        return sum(count * one.tokens for one, count in self.passes.items())

    def row(self, anatomy: Anatomy) -> dict[str, object]:
        """Its part of a row of table PLAN."""
        places = sum(count * one.places for one, count in self.passes.items())
        return {
            "work": self.kind,
            "prompts": self.prompts,
            "candidates": self.candidates,
            "passes": sum(self.passes.values()),
            "tokens": self.tokens,
            "tokens_most": sum(count * one.tokens for one, count in self.most.items()),
            "padding": places - self.tokens,
            "tokens_plain": self.plain,
            "new_tokens": self.new,
            "new_tokens_most": self.new_most,
            "flops": float(total_flops(anatomy, self.passes)),
            "flops_most": float(total_flops(anatomy, self.most)),
        }


@dataclass(frozen=True)
class Unit:
    """What one checkpoint is asked in one language."""

    ckpt_id: str
    lang: str
    works: tuple[Work, ...]


def plan_sheet(
    lm: LanguageModel,
    sheet: Sheet,
    execution: ExecutionConfig,
    ways: Ways,
    observed: Lengths | None,
) -> tuple[tuple[Work, ...], Work]:
    """The work of one sheet, and that of finding out how it may be read.

    Args:
        lm: the model; it needs no weights.
        sheet: what is asked.
        execution: how much is read at once.
        ways: how the model is read.
        observed: lengths of answers seen so far; None if there are none.
    """
    tokens = sheet.tokenised(lm)
    budget = execution.scoring_budget()
    works, check = [], Counter[Pass]()
    for kind, prepared in (("candidates", tokens.questions), ("content_free", tokens.content_free)):
        if prepared.strings:
            works.append(_scoring(lm, kind, prepared, budget, ways.engine))
            check.update(checking_passes(lm, prepared, budget, ways.engine))
    if tokens.prompts.ids:
        may = expected_sharing(lm.model, tokens.prompts, tokens.caps)
        if may:
            check.update(sharing_passes(tokens.prompts))
        lengths = expected_lengths(lm, sheet, observed)
        budget = execution.generation_budget()
        works.append(_generation(lm, tokens, lengths, budget, may and ways.share))
    return tuple(works), Work("check", 0, 0, check, check, 0)


def plan_similarity(
    lm: LanguageModel, sentences: Sentences, layers: Layers, execution: ExecutionConfig
) -> dict[str, Work]:
    """The work of comparing one checkpoint's representations, by language."""
    tokens = layers.budget(execution.scoring_budget(), execution.device.partition(":")[0])
    times = len(sentences.blocks(layers, execution))
    found = {}
    for lang in (sentences.pivot, *sentences.langs):
        placed = sentences.placed(lm, lang)
        passes = Counter(hidden_passes(placed, layers, tokens))
        passes = Counter({one: times * count for one, count in passes.items()})
        if lang == sentences.pivot:  # one token shows which layers there are
            passes[Pass("hidden", 1, 1, 1, 0, 1, layers=len(layers.widths))] += 1
        plain = times * sum(map(len, placed.rows))
        found[lang] = Work("similarity", placed.n, 0, passes, passes, plain)
    return found


def _scoring(lm: LanguageModel, kind: str, prepared: Prepared, budget: int, engine: str) -> Work:
    passes: Counter[Pass] = Counter()
    for rows in scoring_batches(lm, prepared, budget, engine):
        passes.update(scoring_passes(rows, engine))
    plain = sum(string.stop - 1 for string in prepared.strings)
    return Work(kind, len(prepared.questions), len(prepared.strings), passes, passes, plain)


def _generation(
    lm: LanguageModel, tokens: Tokenised, lengths: Lengths, budget: int, share: bool
) -> Work:
    ids, caps = tokens.prompts.ids, tokens.caps
    passes, most = Counter[Pass](), Counter[Pass]()
    for batch in generation_batches(lm, tokens.prompts, caps, budget):
        prompts = [ids[k] for k in batch]
        passes.update(generation_passes(prompts, [lengths[k] for k in batch], share=share))
        most.update(generation_passes(prompts, [caps[k] for k in batch], share=share))
    plain = sum(map(len, ids)) + sum(lengths) - len(lengths)
    return Work("generate", len(ids), 0, passes, most, plain, sum(lengths), sum(caps))


def expected_lengths(lm: LanguageModel, sheet: Sheet, observed: Lengths | None) -> list[int]:
    """Tokens that are expected to be generated after each prompt of a sheet.

    Those seen so far, spread over the prompts; if none were seen, those of the gold and a newline
    after it; if no newline ends an answer, as many as allowed.
    """
    caps = sheet.tokenised(lm).caps
    if observed:
        return [min(cap, observed[k % len(observed)]) for k, cap in enumerate(caps)]
    if not sheet.ask_config.stop_at_newline:
        return list(caps)
    golds = [p["delimiter"] + sheet.facts[p["fact_id"]]["object"] for p in sheet.prompts]
    ids = lm.tokenizer(golds, add_special_tokens=False)["input_ids"]
    return [min(cap, len(row) + 1) for cap, row in zip(caps, ids, strict=True)]


def plan_table(units: Sequence[Unit], anatomy: Anatomy, seconds: Seconds | None) -> pl.DataFrame:
    """Table PLAN; `seconds` says how long a pass takes, where that was measured."""
    return PLAN.build(list(_rows(units, anatomy, seconds)))


def _rows(
    units: Sequence[Unit], anatomy: Anatomy, seconds: Seconds | None
) -> Iterator[dict[str, object]]:
    known: dict[int, dict[str, object]] = {}
    for unit in units:
        for work in unit.works:
            if id(work) not in known:  # most units share their work with other checkpoints
                known[id(work)] = work.row(anatomy) | {"seconds": _seconds(work, seconds)}
            yield {"ckpt_id": unit.ckpt_id, "lang": unit.lang, **known[id(work)]}


def _seconds(work: Work, seconds: Seconds | None) -> float | None:
    if seconds is None:
        return None
    return sum(count * seconds(one) for one, count in work.passes.items())
