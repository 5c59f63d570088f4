"""One side of a comparison: the last checkpoint of a finished trace."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polylore.errors import DataError, RunError
from polylore.runs import RunFolder
from polylore.studies.trace.config import AnalyseConfig
from polylore.studies.trace.context import Context

NEEDED = ("facts", "templates", "prompts", "checkpoints", "grades", "recall")


@dataclass(frozen=True)
class Side:
    """A model as one run asked it."""

    name: str
    run: RunFolder
    ckpt_id: str
    prompts: pl.DataFrame
    """What this checkpoint was asked."""
    facts: pl.DataFrame
    answers: pl.DataFrame
    scores: pl.DataFrame
    grades: pl.DataFrame

    def only(self, questions: pl.DataFrame) -> "Side":
        """The same side with nothing but some questions (fact_id, lang, variant)."""

        def kept(frame: pl.DataFrame) -> pl.DataFrame:
            keys = [c for c in questions.columns if c in frame.columns]
            known = questions.select(keys).unique()
            return frame.join(known, on=keys, how="semi", maintain_order="left")

        frames = (self.prompts, self.facts, self.answers, self.scores, self.grades)
        return Side(self.name, self.run, self.ckpt_id, *map(kept, frames))


def read_side(path: Path, name: str | None) -> Side:
    """Open one run.

    Raises:
        RunError: there is no finished trace at `path`.
        DataError: it holds no answers.
    """
    run = RunFolder.load(path)
    kind = run.manifest.get("kind")
    missing = [table for table in NEEDED if not run.has_table(table)]
    if kind != "trace" or missing:
        lacks = f"a {kind}" if kind != "trace" else f"not finished: it lacks {', '.join(missing)}"
        raise RunError(f"{path} cannot be compared ({lacks}); give folders of finished traces.")
    context = Context(run, AnalyseConfig())
    if context.final is None:
        raise DataError(f"{path} holds no answers that could be compared.")
    here = pl.col("ckpt_id") == context.final
    prompts = run.table("prompts")
    if run.has_table("asked"):
        own = run.table("asked").filter(here)
        prompts = prompts.join(own, on="prompt_id", how="semi", maintain_order="left")
    return Side(
        name or str(run.table("checkpoints")["model"][0]),
        run,
        context.final,
        prompts,
        run.table("facts"),
        run.read("answers").filter(here),
        run.read("candidate_scores").filter(here),
        run.table("grades").filter(here),
    )
