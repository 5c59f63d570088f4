"""A model as judge of written texts: by likelihood alone, so deterministic and without parsing."""

from collections.abc import Callable

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.people.acceptance import Refusal
from polylore.models.questions import Question
from polylore.models.scoring import score
from polylore.studies.inject.writer import OpenModel

Judge = Callable[[str, pl.DataFrame], Refusal | None]
"""Given a text and the probes of its item: what speaks against it."""
_JUDGED = pl.col("depth").is_in(["memorization", "semantic"]) & (
    pl.col("distractors").list.len() > 0
)


def judge_of(model: OpenModel, probes: pl.DataFrame) -> Judge:
    """A judge that wants every target likelier than its distractors, with the text in view.

    Args:
        model: whose likelihoods; the sums over the tokens of each answer.
        probes: all probes of the items; those for memorization and semantic ones are asked.

    Raises:
        ConfigError: no such probe has distractors.
    """
    if not probes.filter(_JUDGED).height:
        raise ConfigError(
            "judge: no memorization or semantic probe has distractors, so there is nothing to "
            "judge by; add some to the probes, or leave judge out."
        )

    def judge(text: str, own: pl.DataFrame) -> Refusal | None:
        asked = own.filter(_JUDGED).to_dicts()
        questions = []
        for row in asked:
            end = (row["suffix"] or "") if row["score_span"] == "target_suffix" else ""
            forms = (row["target"], *row["accepted"], *row["distractors"])
            before = text + row["joiner"] + row["prefix"]
            questions.append(Question(before, row["joiner"], tuple(o + end for o in forms)))
        budget = model.config.work.scoring_budget()
        found = score(model.lm, questions, token_budget=budget, bos=True)
        for row, scores in zip(asked, found, strict=True):
            sums, right = [one.logprob for one in scores], 1 + len(row["accepted"])
            best = max(range(len(sums)), key=sums.__getitem__)
            if best >= right:
                wrong = row["distractors"][best - right]
                return Refusal("judged_wrong", f"{row['probe_id']}: {wrong}")
        return None

    return judge
