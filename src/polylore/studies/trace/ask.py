"""Putting every probe before every checkpoint; the only part of the study that needs a model.

One unit of work is one checkpoint in one language. A batch holds the pending units of one
checkpoint, so its weights are loaded once. Workers read what they need from the run folder and
write each finished unit back into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from polylore.config import digest
from polylore.facts import FactSet, content_free_prompts
from polylore.models import (
    Generation,
    LanguageModel,
    Prepared,
    PreparedPrompts,
    Question,
    Score,
    generate_prepared,
    load_model,
    prepare,
    prepare_prompts,
    score_prepared,
    swap_weights,
)
from polylore.models.store import Source, Store
from polylore.runs import RunFolder
from polylore.studies.trace.config import AskConfig, ExecutionConfig
from polylore.tables import raw

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class _Plan:
    """One language's probes in the tokens of one tokenizer."""

    tokenizer_hash: str
    questions: Prepared
    content_free: Prepared
    prompts: PreparedPrompts
    caps: list[int]
    """Tokens to generate per prompt."""


@dataclass(frozen=True)
class Batch:
    """The pending units of one checkpoint."""

    run: str
    """Run folder."""
    ckpt_id: str
    source: Source
    """Where its weights come from."""
    upcoming: Source | None
    """Checkpoint to fetch meanwhile, if it is not on this machine."""
    store: Store
    langs: tuple[str, ...]
    ask: AskConfig
    execution: ExecutionConfig

    def __str__(self) -> str:
        return f"checkpoint {self.ckpt_id}"


def unit_name(ckpt_id: str, lang: str) -> str:
    """Name of the unit of work of one checkpoint and language."""
    return f"{ckpt_id}/{lang}"


def ask_batch(batch: Batch) -> int:
    """Ask one checkpoint in those languages that are not done; returns how many now are."""
    desk = _desk(batch.run, batch.ask)
    # A batch whose worker was lost comes again, with some of its units written.
    langs = pending_langs(desk.run, batch.ckpt_id, batch.langs)
    if not langs:
        return len(batch.langs)
    with batch.store.open(batch.source, batch.upcoming) as folder:
        batch.store.note_weights(batch.source, folder)
        model = desk.model(str(folder), batch.execution)
        desk.put(model, batch.ckpt_id, langs, batch.execution)
    return len(batch.langs)


# Tokenised sheets kept per process; where every checkpoint is asked other prompts they are of no
# further use and must not pile up.
_SHEETS = 64

_DESKS: dict[tuple[str, str], "Desk"] = {}


def _desk(run: str, ask: AskConfig) -> "Desk":
    key = (run, ask.digest())
    if key not in _DESKS:
        _DESKS.clear()  # one run at a time: the model of the last one is not kept
        _DESKS[key] = Desk(RunFolder.load(run), ask)
    return _DESKS[key]


class Desk:
    """What is kept from one checkpoint to the next: a sheet per language, and a model object.

    Every unit of work is written here, whether its model came from a folder or is in training.
    """

    def __init__(self, run: RunFolder, ask: AskConfig) -> None:
        self.run, self.ask = run, ask
        self._model: LanguageModel | None = None
        self._sheets: dict[str, _Sheet] = {}

    @cached_property
    def factset(self) -> FactSet:
        return FactSet("run", self.run.table("facts"), self.run.table("templates"))

    @cached_property
    def prompts(self) -> pl.DataFrame:
        return self.run.table("prompts")

    def model(self, path: str, execution: ExecutionConfig) -> LanguageModel:
        """The model with the weights of this checkpoint."""
        import torch

        torch.set_num_threads(execution.threads)
        if self._model is None:
            self._model = load_model(path, dtype=self.ask.dtype, device=execution.device)
        else:
            swap_weights(self._model, path)
        return self._model

    @cached_property
    def asked(self) -> pl.DataFrame | None:
        """Prompts by checkpoint, if they differ between checkpoints."""
        return self.run.table("asked") if self.run.has_table("asked") else None

    def put(
        self, lm: LanguageModel, ckpt_id: str, langs: Sequence[str], execution: ExecutionConfig
    ) -> None:
        """Put every probe of some languages before a model, and write each unit as it comes."""
        for lang in langs:
            tables = self.sheet(lang, ckpt_id).ask(lm, ckpt_id, execution)
            self.run.write_unit(unit_name(ckpt_id, lang), tables)

    def sheet(self, lang: str, ckpt_id: str) -> "_Sheet":
        """Everything asked of a checkpoint in one language."""
        prompts = self.prompts.filter(lang=lang)
        if self.asked is not None:
            own = self.asked.filter(ckpt_id=ckpt_id, lang=lang)
            prompts = prompts.join(own.select("prompt_id"), on="prompt_id", how="semi")
        key = digest([lang, prompts["prompt_id"].to_list()])
        if key not in self._sheets:
            if len(self._sheets) >= _SHEETS:
                self._sheets.clear()
            self._sheets[key] = _Sheet(self.factset, prompts, lang, self.ask)
        return self._sheets[key]


class _Sheet:
    """All probes of one language, tokenised once and asked of every checkpoint."""

    def __init__(self, factset: FactSet, prompts: pl.DataFrame, lang: str, ask: AskConfig) -> None:
        self.ask_config, self.lang = ask, lang
        self.prompts = prompts.rows(named=True)
        facts = factset.facts.filter(pl.col("lang") == lang)
        self.facts = {row["fact_id"]: row for row in facts.iter_rows(named=True)}
        self.factset = factset.filter(languages=[lang])
        self._plan: _Plan | None = None

    @cached_property
    def scored(self) -> Rows:
        """Prompts whose facts have candidates."""
        if not self.ask_config.candidates:
            return []
        return [row for row in self.prompts if self.facts[row["fact_id"]]["candidates"]]

    @cached_property
    def questions(self) -> list[Question]:
        """One question per scored prompt."""
        return [
            Question(row["text"], row["delimiter"], tuple(self.facts[row["fact_id"]]["candidates"]))
            for row in self.scored
        ]

    @cached_property
    def content_free(self) -> tuple[list[Question], list[list[int]]]:
        """Content-free questions, equal ones asked once, and which of them serve each prompt."""
        if not (self.ask_config.content_free and self.scored):
            return [], []
        ask = self.ask_config
        frames = content_free_prompts(
            self.factset,
            variants=sorted({row["variant"] for row in self.scored}),
            n_shot=ask.n_shot,
            seed=ask.seed,
            delimiter=ask.delimiter,
            bos=ask.bos,
        )
        needed: dict[str, tuple[str, str, dict[str, None]]] = {}
        serving: dict[tuple[str, int], list[str]] = {}
        for frame in frames.values():
            for row in frame.iter_rows(named=True):
                candidates = self.facts[row["fact_id"]]["candidates"]
                if candidates:
                    entry = needed.setdefault(row["sha256"], (row["text"], row["delimiter"], {}))
                    entry[2].update(dict.fromkeys(candidates))
                    serving.setdefault((row["fact_id"], row["variant"]), []).append(row["sha256"])
        place = {sha256: number for number, sha256 in enumerate(needed)}
        questions = [
            Question(text, between, tuple(names)) for text, between, names in needed.values()
        ]
        served = [
            [place[sha256] for sha256 in serving[row["fact_id"], row["variant"]]]
            for row in self.scored
        ]
        return questions, served

    def plan(self, lm: LanguageModel) -> _Plan:
        """Everything tokenised, once per tokenizer."""
        if self._plan is None or self._plan.tokenizer_hash != lm.tokenizer_hash:
            ask = self.ask_config
            texts = [row["text"] for row in self.prompts] if ask.generate else []
            self._plan = _Plan(
                lm.tokenizer_hash,
                prepare(lm, self.questions, bos=ask.bos),
                prepare(lm, self.content_free[0], bos=ask.bos),
                prepare_prompts(lm, texts, bos=ask.bos),
                self._caps(lm),
            )
        return self._plan

    def _caps(self, lm: LanguageModel) -> list[int]:
        """Tokens to generate per prompt: as said, or 1 + the longest gold of the relation.

        Source: specification of `trace`, section 2.1, "decoding".
        """
        if not self.ask_config.generate:
            return []
        if self.ask_config.max_new_tokens is not None:
            return [self.ask_config.max_new_tokens] * len(self.prompts)
        longest: dict[str, int] = {}
        for row in self.facts.values():
            ids = lm.tokenizer(" " + row["object"], add_special_tokens=False)["input_ids"]
            longest[row["relation"]] = max(longest.get(row["relation"], 0), len(ids))
        return [max(10, 1 + longest[self.facts[p["fact_id"]]["relation"]]) for p in self.prompts]

    def ask(
        self, lm: LanguageModel, ckpt_id: str, execution: ExecutionConfig
    ) -> dict[str, pl.DataFrame]:
        """Raw rows of one unit."""
        plan = self.plan(lm)
        budget = execution.scoring_budget()
        scores = score_prepared(lm, plan.questions, token_budget=budget)
        priors = score_prepared(lm, plan.content_free, token_budget=budget)
        answers: Rows = []
        candidates: Rows = []
        golds: dict[str, float] = {}
        for number, (prompt, own) in enumerate(zip(self.scored, scores, strict=True)):
            fact = self.facts[prompt["fact_id"]]
            base = self._key(ckpt_id, prompt)
            prior = self._prior(number, fact["candidates"], priors)
            candidates += _candidate_rows(base, fact["candidate_ids"], own, prior)
            golds[prompt["prompt_id"]] = own[fact["gold_pos"]].logprob
            answers.append(self._answer(base, prompt, "candidates", golds, lm.dtype))
        if self.ask_config.generate:
            made = generate_prepared(
                lm,
                plan.prompts,
                max_new_tokens=plan.caps,
                stop_at_newline=self.ask_config.stop_at_newline,
                token_budget=execution.generation_budget(),
            )
            for prompt, generation in zip(self.prompts, made, strict=True):
                row = self._answer(self._key(ckpt_id, prompt), prompt, "generate", golds, lm.dtype)
                answers.append(row | _generated(generation))
        return {
            "answers": raw.ANSWERS.build(answers),
            "candidate_scores": raw.CANDIDATE_SCORES.build(candidates),
        }

    def _key(self, ckpt_id: str, prompt: dict[str, Any]) -> dict[str, Any]:
        return {
            "ckpt_id": ckpt_id,
            "fact_id": prompt["fact_id"],
            "lang": self.lang,
            "variant": prompt["variant"],
        }

    def _answer(
        self,
        base: dict[str, Any],
        prompt: dict[str, Any],
        mode: str,
        golds: dict[str, float],
        dtype: str,
    ) -> dict[str, Any]:
        prompt_id = prompt["prompt_id"]
        return base | {
            "mode": mode,
            "prompt_id": prompt_id,
            "gold_logprob": golds.get(prompt_id),
            "dtype": dtype,
        }

    def _prior(
        self, number: int, names: Sequence[str], priors: Sequence[tuple[Score, ...]]
    ) -> list[float | None]:
        """Log of the candidates' mean probability over the content-free subjects."""
        questions, served = self.content_free
        if not served:
            return [None] * len(names)
        columns = []
        for place in served[number]:
            by_name = dict(zip(questions[place].candidates, priors[place], strict=True))
            columns.append([by_name[name].logprob for name in names])
        stacked = np.array(columns)
        return [float(v) for v in np.logaddexp.reduce(stacked, axis=0) - np.log(len(columns))]


def _candidate_rows(
    base: dict[str, Any], ids: Sequence[str], scores: Sequence[Score], prior: list[float | None]
) -> Rows:
    return [
        base
        | {
            "candidate_id": candidate_id,
            "logprob_sum": score.logprob,
            "n_tokens": score.n_tokens,
            "n_bytes": score.n_bytes,
            "content_free_logprob": free,
        }
        for candidate_id, score, free in zip(ids, scores, prior, strict=True)
    ]


def _generated(generation: Generation) -> dict[str, Any]:
    return {
        "raw_text": generation.text,
        "n_new_tokens": generation.n_new_tokens,
        "stop_reason": generation.stop_reason,
    }


def plan_batches(
    run: RunFolder,
    checkpoints: pl.DataFrame,
    langs: Sequence[str],
    ask: AskConfig,
    execution: ExecutionConfig,
    store: Store,
) -> list[Batch]:
    """Pending work: one batch per checkpoint that has unfinished units."""
    work = []
    for row in checkpoints.iter_rows(named=True):
        left = pending_langs(run, row["ckpt_id"], langs)
        if left:
            work.append((Source.of(row), left))
    jobs = execution.jobs
    if jobs > 1:
        # The last checkpoints are shared out by language: no worker idles while another finishes.
        work[-jobs:] = [
            (source, left[k::jobs])
            for source, left in work[-jobs:]
            for k in range(jobs)
            if left[k:]
        ]
    batches = []
    folder = str(run.path.absolute())
    for number, (source, pending) in enumerate(work):
        # The next `jobs - 1` batches are in other workers' hands when this one starts.
        ahead = number + execution.jobs
        upcoming = work[ahead][0] if ahead < len(work) else None
        batches.append(
            Batch(folder, source.ckpt_id, source, upcoming, store, pending, ask, execution)
        )
    return batches


def pending_langs(run: RunFolder, ckpt_id: str, langs: Sequence[str]) -> tuple[str, ...]:
    """Languages in which a checkpoint is still to be asked."""
    return tuple(lang for lang in langs if not run.is_done(unit_name(ckpt_id, lang)))
