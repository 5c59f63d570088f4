"""Everything asked of a checkpoint about one set in one language, from prompts to raw rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from polylore.errors import ConfigError, ModelError
from polylore.facts.choices.wording import LETTERS
from polylore.models import (
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
from polylore.models.spans import tail, token_ids
from polylore.studies.align.asking.config import AlignAskConfig
from polylore.studies.work_config import WorkConfig
from polylore.tables import align

Row = dict[str, Any]
SPARE = 4
LEAST = 16
"""A generated answer may be this much longer than the longest option, and at least this long."""


@dataclass(frozen=True)
class Tokenised:
    """One sheet in the tokens of one tokenizer."""

    tokenizer_hash: str
    scored: Prepared
    null: Prepared
    written: PreparedPrompts
    caps: list[int]
    counts: tuple[int, int]
    """Tokens of all questions, and how many of them are unknown or pieces of characters."""


@dataclass
class Sheet:
    """All prompts of one set and language; tokenised once and asked of every checkpoint."""

    questions: dict[int, Row]
    """Rows of ALIGN_QUESTIONS by item."""
    prompts: list[Row]
    """Rows of ALIGN_PROMPTS."""
    config: AlignAskConfig
    _tokenised: Tokenised | None = field(default=None, repr=False)

    @property
    def scored(self) -> list[Row]:
        """Prompts whose options are scored."""
        return [row for row in self.prompts if row["mode"] != "generate"]

    @property
    def written(self) -> list[Row]:
        """Prompts that are answered in words."""
        return [row for row in self.prompts if row["mode"] == "generate"]

    def shown(self, prompt: Row) -> tuple[str, ...]:
        """What is scored after a prompt: letters in their order, or the texts of the options."""
        options = self.questions[prompt["item"]]["options"]
        return tuple(LETTERS[: len(options)] if prompt["mode"] == "letter_ll" else options)

    def tokenised(self, lm: LanguageModel) -> Tokenised:
        """Everything tokenised, once per tokenizer.

        Raises:
            ConfigError: a chat template is asked for that the tokenizer does not have.
            ModelError: the tokenizer does not tell two letters apart.
        """
        if self._tokenised is None or self._tokenised.tokenizer_hash != lm.tokenizer_hash:
            chat = self._chats(lm)
            bos = self.config.bos and not chat  # a chat template brings its own
            scored = prepare(lm, [self._question(lm, row, chat) for row in self.scored], bos=bos)
            self._refuse_equal_letters(lm, scored)
            texts = [self._around(lm, row["text"], chat) for row in self.written]
            self._tokenised = Tokenised(
                lm.tokenizer_hash,
                scored,
                prepare(lm, self._null_questions(lm, chat), bos=bos),
                prepare_prompts(lm, texts, bos=bos),
                self._caps(lm),
                self._counts(lm),
            )
        return self._tokenised

    def _chats(self, lm: LanguageModel) -> bool:
        there = bool(getattr(lm.tokenizer, "chat_template", None))
        if self.config.chat == "template" and not there:
            raise ConfigError(
                f"The tokenizer of {lm.name} has no chat template; use --ask.chat plain."
            )
        return there and self.config.chat != "plain"

    def _around(self, lm: LanguageModel, text: str, chat: bool) -> str:
        if not chat:
            return text
        # transformers renders templates in a sandbox.
        made: str = lm.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        return made

    def _question(self, lm: LanguageModel, row: Row, chat: bool) -> Question:
        between = "" if chat else row["delimiter"]
        return Question(self._around(lm, row["text"], chat), between, self.shown(row))

    def _null_questions(self, lm: LanguageModel, chat: bool) -> list[Question]:
        """One content-free question per text, with all options that follow it anywhere."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for row in self.scored:
            if row["null_text"] is not None:
                key = row["null_text"], row["delimiter"]
                found.setdefault(key, {}).update(dict.fromkeys(self.shown(row)))
        return [
            Question(self._around(lm, text, chat), "" if chat else between, tuple(options))
            for (text, between), options in found.items()
        ]

    def _refuse_equal_letters(self, lm: LanguageModel, scored: Prepared) -> None:
        at = 0
        for row in self.scored:
            options = self.shown(row)
            own = scored.strings[at : at + len(options)]
            at += len(options)
            if row["mode"] != "letter_ll":
                continue
            seen: dict[tuple[int, ...], str] = {}
            for letter, string in zip(options, own, strict=True):
                tokens = tuple(string.ids)
                if tokens in seen:
                    raise ModelError(
                        f"The tokenizer of {lm.name} does not tell the letters {seen[tokens]} and "
                        f"{letter} apart after '{tail(row['text'])}'; score the options' words "
                        "with --ask.modes text_ll."
                    )
                seen[tokens] = letter

    def _caps(self, lm: LanguageModel) -> list[int]:
        if self.config.cap() is not None:
            return [int(self.config.cap() or 0)] * len(self.written)
        if not self.written:
            return []
        texts = dict.fromkeys(o for row in self.questions.values() for o in row["options"])
        lengths = {
            t: len(i)
            for t, i in zip(texts, token_ids(lm.tokenizer, [*texts], bos=False), strict=False)
        }
        return [
            max(LEAST, SPARE + max(lengths[o] for o in self.questions[row["item"]]["options"]))
            for row in self.written
        ]

    def _counts(self, lm: LanguageModel) -> tuple[int, int]:
        texts = [row["question"] for row in self.questions.values()]
        tokens = Counter(t for ids in token_ids(lm.tokenizer, texts, bos=False) for t in ids)
        unknown = lm.tokenizer.unk_token_id
        broken = [
            n for t, n in tokens.items()
            if t == unknown or "\N{REPLACEMENT CHARACTER}" in lm.tokenizer.decode([t])
        ]  # fmt: skip
        return sum(tokens.values()), sum(broken)

    def cost(self, lm: LanguageModel) -> tuple[int, int]:
        """Tokens that scoring reads, common beginnings once, and those of answers at most."""
        made = self.tokenised(lm)
        scored = sum(map(len, made.scored.arranged("packed", lm.context)[0]))
        scored += sum(len(one.ids) for one in made.null.strings)
        return scored, sum(map(len, made.written.ids)) + sum(made.caps)

    def ask(self, lm: LanguageModel, system: Row, execution: WorkConfig) -> dict[str, pl.DataFrame]:
        """Raw rows of one unit.

        Args:
            lm: the model.
            system: model and step, as tables name them.
            execution: how fast.
        """
        tokens = self.tokenised(lm)
        budget = execution.scoring_budget()
        scores = score_prepared(lm, tokens.scored, token_budget=budget)
        nulls = score_prepared(lm, tokens.null, token_budget=budget)
        prior = {
            (question.prompt, name): score.logprob
            for question, own in zip(tokens.null.questions, nulls, strict=True)
            for name, score in zip(question.candidates, own, strict=True)
        }
        chat = self._chats(lm)
        answers: list[Row] = []
        options: list[Row] = []
        for row, own in zip(self.scored, scores, strict=True):
            key = self._key(system, row, chat)
            nul = row["null_text"]
            cue = None if nul is None else self._around(lm, nul, chat)
            made = list(self._scored(row, own, cue, prior))
            options += [key | one for one in made]
            if row["rotation"] is not None:
                best = max(made, key=lambda one: one["logp"])
                answers.append(key | {"answer_index": best["option_index"]})
        generated = generate_prepared(
            lm, tokens.written, max_new_tokens=tokens.caps,
            token_budget=execution.generation_budget(),
        )  # fmt: skip
        for row, one in zip(self.written, generated, strict=True):
            said = {"raw_output": one.text, "truncated": one.stop_reason == "length"}
            answers.append(self._key(system, row, chat) | said)
        first = next(iter(self.questions.values()))
        count = system | {"dataset": first["dataset"], "lang": first["lang"]}
        count |= {"tokens": tokens.counts[0], "broken": tokens.counts[1]}
        return {
            "align_answers": align.ANSWERS.build(answers),
            "align_option_scores": align.OPTION_SCORES.build(options),
            "align_tokens": align.ALIGN_TOKENS.build([count]),
        }

    def _key(self, system: Row, row: Row, chat: bool) -> Row:
        names = ("mode", "dataset", "item", "lang", "rotation")
        return (
            system
            | {name: row[name] for name in names}
            | {"variant": row["variant"] + ("-chat" if chat else "")}
        )

    def _scored(
        self, row: Row, own: Sequence[Score], cue: str | None, prior: dict[tuple[str, str], float]
    ) -> list[Row]:
        turn = row["rotation"] or 0
        return [
            {
                "option_index": (place + turn) % len(own),
                "logp": score.logprob,
                "n_tokens": score.n_tokens,
                "n_bytes": score.n_bytes,
                "logp_null": None if cue is None else prior[cue, name],
            }
            for place, (name, score) in enumerate(zip(self.shown(row), own, strict=True))
        ]


def sheet_of(
    questions: pl.DataFrame, prompts: pl.DataFrame, dataset: str, lang: str, ask: AlignAskConfig
) -> Sheet:
    """The sheet of a set and language, from the tables of a run."""
    here = (pl.col("dataset") == dataset) & (pl.col("lang") == lang)
    rows = questions.filter(here)
    return Sheet(
        {row["item"]: row for row in rows.iter_rows(named=True)},
        prompts.filter(here).to_dicts(),
        ask,
    )
