"""How likely a model finds each candidate answer after a prompt.

Two engines compute the same numbers. ``plain`` reads every candidate as one whole string: slow and
obviously right. ``packed`` reads each shared prefix once (see `polylore.models.packing`). ``auto``
compares them on a few of the very questions before every run and keeps ``packed`` only if they
agree.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from polylore.errors import ModelError
from polylore.models.forward import collate, evaluation, target_logprobs
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, out_of_memory
from polylore.models.packing import Row, Trie, plain_rows
from polylore.models.spans import Encoded, encode

Engine = Literal["auto", "packed", "plain"]
Progress = Callable[[int, int, str], None]

_log = logging.getLogger(__name__)

_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
_COARSE = 0.05
"""Tolerance of half-precision formats, whose own rounding is of this size."""


@dataclass(frozen=True)
class Question:
    """A prompt and the answers to compare."""

    prompt: str
    """Everything before the answer, without trailing delimiter."""
    delimiter: str
    """What stands between prompt and answer: a space, or nothing."""
    candidates: tuple[str, ...]
    """The answers, in any order."""


@dataclass(frozen=True)
class Score:
    """How likely one candidate is (specification of `trace`, section 2.2)."""

    logprob: float
    """Sum of the log-probabilities of the candidate's tokens, nats."""
    n_tokens: int
    """Tokens that overlap the candidate's characters."""
    n_bytes: int
    """UTF-8 length of the candidate."""


@dataclass(frozen=True)
class EngineReport:
    """Which engine answered, and why."""

    engine: str
    """packed or plain."""
    reason: str
    """Why this engine."""
    checked: int
    """Questions on which the engines were compared."""
    difference: float | None
    """Largest difference found, in units of the tolerance; null if not compared."""


@dataclass
class Prepared:
    """Questions tokenised and arranged once, for every checkpoint with this tokenizer."""

    questions: tuple[Question, ...]
    strings: list[Encoded]
    """One per question and candidate, in order."""
    owner: list[int]
    """The question each string belongs to."""
    tokenizer_hash: str
    longest: int
    """Tokens of the longest string."""
    rows: dict[tuple[str, int], list[Row]] = field(default_factory=dict, repr=False)
    """Arranged rows by engine and length limit; filled on first use."""
    trie: Trie | None = field(default=None, repr=False)
    report: EngineReport | None = None
    """Which engine answered in the last run."""

    def arranged(self, engine: str, limit: int) -> list[Row]:
        """The rows of an engine."""
        key = (engine, limit)
        if key not in self.rows:
            self.rows[key] = (
                plain_rows(self.strings) if engine == "plain" else self.tree().rows(limit)
            )
        return self.rows[key]

    def tree(self) -> Trie:
        """The strings as a trie."""
        if self.trie is None:
            self.trie = Trie(self.strings, self.owner)
        return self.trie


def prepare(lm: LanguageModel, questions: Sequence[Question], *, bos: bool) -> Prepared:
    """Tokenise questions once; the result serves all models with the same tokenizer.

    Args:
        lm: the model, for its tokenizer and context.
        questions: what to ask.
        bos: put the begin-of-text token in front, if the tokenizer has one.

    Raises:
        ModelError: a tokenizer without offsets, a candidate without tokens, nothing in front of an
            answer, or a string longer than the model's context.
    """
    questions = tuple(questions)
    pairs = [(k, candidate) for k, q in enumerate(questions) for candidate in q.candidates]
    strings = encode(
        lm.tokenizer,
        [questions[k].prompt + questions[k].delimiter for k, _ in pairs],
        [candidate for _, candidate in pairs],
        bos=bos,
    )
    for (k, candidate), string in zip(pairs, strings, strict=True):
        if string.start == 0:
            raise ModelError(
                f"Nothing stands before the answer '{candidate}', so its probability is not "
                "defined; give it a prompt, or a begin-of-text token with bos=True."
            )
        check_context(lm, questions[k].prompt, len(string.ids), f"with the answer '{candidate}' ")
    return Prepared(
        questions=questions,
        strings=strings,
        owner=[k for k, _ in pairs],
        tokenizer_hash=lm.tokenizer_hash,
        longest=max((len(s.ids) for s in strings), default=0),
    )


def check_context(lm: LanguageModel, prompt: str, needed: int, addition: str = "") -> None:
    """Refuse what a model cannot read at once; nothing is ever cut silently.

    Raises:
        ModelError: more tokens than the model's context.
    """
    if needed > lm.context:
        raise ModelError(
            f"The prompt '{prompt}' {addition}needs {needed} tokens, but {lm.name} reads at most "
            f"{lm.context}; use fewer demonstrations or a model with a longer context."
        )


def score(
    lm: LanguageModel,
    questions: Sequence[Question],
    *,
    token_budget: int,
    bos: bool,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> list[tuple[Score, ...]]:
    """Score every candidate of every question; see `score_prepared`."""
    prepared = prepare(lm, questions, bos=bos)
    return score_prepared(
        lm, prepared, token_budget=token_budget, engine=engine, progress=progress
    )


def score_prepared(
    lm: LanguageModel,
    prepared: Prepared,
    *,
    token_budget: int,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> list[tuple[Score, ...]]:
    """Log-probability of every candidate given its prompt, in the order of the questions.

    float32 log-softmax at the target positions only. The numbers do not depend on the token budget
    or on what else is asked (float32: to 1e-5). `prepared.report` says which engine answered.

    Args:
        lm: the model.
        prepared: the questions, from `prepare`.
        token_budget: tokens, padding included, of one forward pass; halved when memory runs out.
        engine: plain, packed, or auto: packed if it agrees with plain on a few of the questions.
        progress: called with (rows done, rows in all, what).

    Raises:
        ModelError: another tokenizer than the one prepared for, `packed` asked for and not exact
            for this model, or scores that are not numbers.
    """
    if prepared.tokenizer_hash != lm.tokenizer_hash:
        raise ModelError(
            f"These questions were tokenised for another tokenizer than that of {lm.name}."
        )
    prepared.report = None
    if not prepared.strings:
        return [() for _ in prepared.questions]
    limit = _limit(lm, prepared, token_budget)
    with evaluation(lm.model):
        report = _choose(lm, prepared, engine, limit, token_budget)
        rows = prepared.arranged(report.engine, limit)
        tree = report.engine == "packed"
        sums = _run(lm, rows, len(prepared.strings), token_budget, tree=tree, progress=progress)
    prepared.report = report
    return _scores(lm, prepared, sums)


def _scores(
    lm: LanguageModel, prepared: Prepared, sums: npt.NDArray[np.float64]
) -> list[tuple[Score, ...]]:
    wrong = np.flatnonzero(np.isnan(sums))
    if len(wrong):
        prompt = prepared.questions[prepared.owner[int(wrong[0])]].prompt
        raise ModelError(
            f"{lm.name} gives no number for the prompt '{prompt}' in {lm.dtype}; try float32."
        )
    result, index = [], 0
    for question in prepared.questions:
        scores = []
        for candidate in question.candidates:
            string = prepared.strings[index]
            scores.append(
                Score(float(sums[index]), string.stop - string.start, len(candidate.encode()))
            )
            index += 1
        result.append(tuple(scores))
    return result


def _run(
    lm: LanguageModel,
    rows: Sequence[Row],
    n_strings: int,
    token_budget: int,
    *,
    tree: bool,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Sum of target log-probabilities per string."""
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    heads = [len(row.places) for row in rows]
    strings, values, done = [], [], 0
    while done < len(rows):
        count = budget.take(rows, done, heads)
        try:
            batch = collate(rows[done : done + count], lm.device)
            logprobs = target_logprobs(lm.model, batch, tree=tree)
        except Exception as error:
            if not out_of_memory(error):
                raise
            failed = True
        else:
            failed = False
        if failed:  # outside the handler, whose traceback holds on to the memory
            budget.halve(count)
            continue
        values.append(logprobs.double().cpu().numpy())
        strings.append(batch.pair_string_P)
        done += count
        if progress:
            progress(done, len(rows), "scoring")
    return np.bincount(np.concatenate(strings), np.concatenate(values), minlength=n_strings)


def _choose(
    lm: LanguageModel, prepared: Prepared, engine: Engine, limit: int, token_budget: int
) -> EngineReport:
    if engine == "plain":
        return EngineReport("plain", "asked for", 0, None)
    difference, failure = None, ""
    sample = _sample(prepared)
    try:
        difference = _difference(lm, prepared, sample, limit, token_budget)
    except Exception as error:
        if out_of_memory(error):
            raise
        failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if difference is not None and difference <= 1:
        return EngineReport("packed", "agrees with plain", len(sample), difference)
    reason = failure or f"packed differs by {difference:.3g} times the tolerance"
    if engine == "packed":
        raise ModelError(
            f"The packed engine is not exact for {lm.name} ({reason}); use engine='auto' or "
            "'plain'."
        )
    _log.info("Scoring %s with the plain engine: %s.", lm.name, reason)
    return EngineReport("plain", reason, len(sample), difference)


def _sample(prepared: Prepared) -> list[int]:
    """Questions that show what could go wrong: longest, shortest, most and longest candidates."""
    lengths: dict[int, int] = {}
    targets: dict[int, int] = {}
    for owner, string in zip(prepared.owner, prepared.strings, strict=True):
        lengths[owner] = max(lengths.get(owner, 0), len(string.ids))
        targets[owner] = max(targets.get(owner, 0), string.stop - string.start)
    counts = {k: len(prepared.questions[k].candidates) for k in lengths}
    picked = [
        max(lengths, key=lengths.__getitem__),
        min(lengths, key=lengths.__getitem__),
        max(counts, key=counts.__getitem__),
        max(targets, key=targets.__getitem__),
    ]
    return sorted(set(picked))


def _difference(
    lm: LanguageModel, prepared: Prepared, sample: list[int], limit: int, token_budget: int
) -> float:
    """Largest difference between the engines on some questions, in units of the tolerance."""
    chosen = set(sample)
    part = [k for k, owner in enumerate(prepared.owner) if owner in chosen]
    strings = [prepared.strings[k] for k in part]
    trie = Trie(strings, [prepared.owner[k] for k in part])
    plain = _run(lm, plain_rows(strings), len(strings), token_budget, tree=False)
    packed = _run(lm, trie.rows(limit), len(strings), token_budget, tree=True)
    tolerance = _TOLERANCE.get(lm.dtype, _COARSE)
    ratio = np.abs(plain - packed) / (tolerance * np.maximum(1, np.abs(plain)))
    # Scores that are not numbers are the model's fault, not the engine's; `_scores` reports them.
    ratio = np.where(np.isnan(plain) & np.isnan(packed), 0, ratio)
    return float(np.nan_to_num(ratio, nan=np.inf).max())


def _limit(lm: LanguageModel, prepared: Prepared, token_budget: int) -> int:
    """Length of tree rows that needs the least work on this model."""
    config = lm.model.config.get_text_config()
    width, layers = int(config.hidden_size), int(config.num_hidden_layers)
    embedding = lm.model.get_input_embeddings().weight.numel()
    inner = max(1, lm.model.num_parameters() - embedding)
    ceiling = max(prepared.longest, token_budget)
    return prepared.tree().best_limit(2.0 * inner, 4.0 * width * layers, ceiling)
