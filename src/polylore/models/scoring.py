"""How likely a model finds each candidate answer after a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polylore.errors import ModelError
from polylore.models.engines import Engine, Progress, choose, row_limit, run_rows
from polylore.models.forward import evaluation
from polylore.models.loading import LanguageModel
from polylore.models.questions import Prepared, Question, prepare
from polylore.models.spans import tail


@dataclass(frozen=True)
class Score:
    """How likely one candidate is (specification of `trace`, section 2.2)."""

    logprob: float
    """Sum of the log-probabilities of the candidate's tokens, nats."""
    n_tokens: int
    """Tokens that overlap the candidate's characters."""
    n_bytes: int
    """UTF-8 length of the candidate."""


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
    return score_prepared(lm, prepared, token_budget=token_budget, engine=engine, progress=progress)


def score_prepared(
    lm: LanguageModel,
    prepared: Prepared,
    *,
    token_budget: int,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> list[tuple[Score, ...]]:
    """Log-probability of every candidate given its prompt, in the order of the questions.

    See `sums_prepared` for what is computed and by which engine.

    Raises:
        ModelError: as there, or scores that are not numbers.
    """
    sums = sums_prepared(lm, prepared, token_budget=token_budget, engine=engine, progress=progress)
    return _scores(lm, prepared, sums)


def sums_prepared(
    lm: LanguageModel,
    prepared: Prepared,
    *,
    token_budget: int,
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Sum of the log-probabilities of the target tokens of every string.

    float32 log-softmax at the target positions only. The numbers do not depend on the token budget
    or on what else is asked (float32: to 1e-5). `prepared.report` says which engine answered; the
    engines are compared once per model object, since exactness belongs to the architecture and not
    to the weights that are swapped into it. Sums that are not numbers are returned as they are.

    Args:
        lm: the model.
        prepared: the questions, from `prepare`.
        token_budget: tokens, padding included, of one forward pass; halved when memory runs out.
        engine: plain, packed, cached, or auto: the first of packed and cached that agrees with
            plain on a few of the questions.
        progress: called with (rows done, rows in all, what).

    Raises:
        ModelError: another tokenizer than the one prepared for, or an engine asked for that is not
            exact for this model.
    """
    if prepared.tokenizer_hash != lm.tokenizer_hash:
        raise ModelError(
            f"These questions were tokenised for another tokenizer than that of {lm.name}."
        )
    prepared.report = None
    if not prepared.strings:
        return np.zeros(0)
    limit = row_limit(lm, prepared, token_budget)
    with evaluation(lm.model):
        report = prepared.verdict(lm.model, engine)
        if report is None:
            report = choose(lm, prepared, engine, limit, token_budget)
            prepared.remember(lm.model, engine, report)
        sums = run_rows(lm, prepared, report.engine, limit, token_budget, progress)
    prepared.report = report
    return sums


def _scores(
    lm: LanguageModel, prepared: Prepared, sums: npt.NDArray[np.float64]
) -> list[tuple[Score, ...]]:
    wrong = np.flatnonzero(np.isnan(sums))
    if len(wrong):
        prompt = prepared.questions[prepared.owner[int(wrong[0])]].prompt
        raise ModelError(
            f"{lm.name} gives no number for the prompt '{tail(prompt)}' in {lm.dtype}; try float32."
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
