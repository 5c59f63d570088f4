"""Everything asked of a checkpoint in one language, from prompts to raw rows."""

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
    prepare,
    prepare_prompts,
    score_prepared,
)
from polylore.studies.trace.config import AskConfig, ExecutionConfig
from polylore.tables import raw

Rows = list[dict[str, Any]]

# Tokenised sheets kept per process; where every checkpoint is asked other prompts they are of no
# further use and must not pile up.
_SHEETS = 64


class Sheets:
    """The sheets of a study, each made once for all checkpoints that are asked the same."""

    def __init__(
        self, factset: FactSet, prompts: pl.DataFrame, asked: pl.DataFrame | None, ask: AskConfig
    ) -> None:
        """`prompts` and `asked` are the tables of those names; `asked` only if it is needed."""
        self.factset, self.prompts, self.asked, self.ask = factset, prompts, asked, ask
        self._made: dict[str, Sheet] = {}

    def sheet(self, lang: str, ckpt_id: str) -> "Sheet":
        """Everything asked of a checkpoint in one language."""
        prompts = self.prompts.filter(lang=lang)
        if self.asked is not None:
            own = self.asked.filter(ckpt_id=ckpt_id, lang=lang)
            prompts = prompts.join(own.select("prompt_id"), on="prompt_id", how="semi")
        key = digest([lang, prompts["prompt_id"].to_list()])
        if key not in self._made:
            if len(self._made) >= _SHEETS:
                self._made.clear()
            self._made[key] = Sheet(self.factset, prompts, lang, self.ask)
        return self._made[key]


@dataclass(frozen=True)
class Tokenised:
    """One sheet in the tokens of one tokenizer."""

    tokenizer_hash: str
    questions: Prepared
    content_free: Prepared
    prompts: PreparedPrompts
    caps: list[int]
    """Tokens to generate per prompt."""


class Sheet:
    """All probes of one language, tokenised once and asked of every checkpoint."""

    def __init__(self, factset: FactSet, prompts: pl.DataFrame, lang: str, ask: AskConfig) -> None:
        self.ask_config, self.lang = ask, lang
        self.prompts = prompts.rows(named=True)
        facts = factset.facts.filter(pl.col("lang") == lang)
        self.facts = {row["fact_id"]: row for row in facts.iter_rows(named=True)}
        self.factset = factset.filter(languages=[lang])
        self._tokenised: Tokenised | None = None

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
        prompts = raw.PROMPTS.build(self.prompts)
        frames = content_free_prompts(self.factset, prompts)
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

    def tokenised(self, lm: LanguageModel) -> Tokenised:
        """Everything tokenised, once per tokenizer."""
        if self._tokenised is None or self._tokenised.tokenizer_hash != lm.tokenizer_hash:
            ask = self.ask_config
            texts = [row["text"] for row in self.prompts] if ask.generate else []
            self._tokenised = Tokenised(
                lm.tokenizer_hash,
                prepare(lm, self.questions, bos=ask.bos),
                prepare(lm, self.content_free[0], bos=ask.bos),
                prepare_prompts(lm, texts, bos=ask.bos),
                self._caps(lm),
            )
        return self._tokenised

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
        self,
        lm: LanguageModel,
        ckpt_id: str,
        execution: ExecutionConfig,
        written: Sequence[Generation] | None = None,
    ) -> dict[str, pl.DataFrame]:
        """Raw rows of one unit; `written` are its free answers, if something else wrote them."""
        tokens = self.tokenised(lm)
        budget = execution.scoring_budget()
        scores = score_prepared(lm, tokens.questions, token_budget=budget)
        priors = score_prepared(lm, tokens.content_free, token_budget=budget)
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
            if written is None:
                written = generate_prepared(
                    lm,
                    tokens.prompts,
                    max_new_tokens=tokens.caps,
                    stop_at_newline=self.ask_config.stop_at_newline,
                    token_budget=execution.generation_budget(),
                )
            for prompt, generation in zip(self.prompts, written, strict=True):
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
