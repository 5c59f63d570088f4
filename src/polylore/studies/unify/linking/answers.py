"""Who is right: the answers of a finished trace, or of a table that somebody else made."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import DataError, RunError
from polylore.facts import FactSet
from polylore.facts.table_files import records
from polylore.metrics import grade_answers
from polylore.metrics.patching import kappa
from polylore.runs import RunFolder
from polylore.studies.trace.pathways import pathway_matcher
from polylore.studies.trace.study import read_exposure
from polylore.studies.unify.linking.config import LinkAnalyseConfig, LinkConfig

HAND = 50
"""Fewest answers labelled by hand that a judge is held against."""
_KEY = ("ckpt_id", "fact_id", "lang")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Answers:
    """Answers of a model's checkpoints to facts, graded."""

    frame: pl.DataFrame
    """ckpt_id, fact_id, lang, right."""
    matcher: str
    """Who says what is right."""
    factset: FactSet
    """The facts that were asked."""
    variant: int = 0
    """Prompt template that was asked."""
    bos: bool = True
    checkpoints: pl.DataFrame | None = None
    """Table CHECKPOINTS of those that were asked, if known."""
    exposure: pl.DataFrame | None = None
    """Table EXPOSURE, if there is one."""
    agreement: dict[str, Any] = field(default_factory=dict)
    """How far a judge agrees with the matcher and with people."""


def read_answers(config: LinkConfig) -> Answers:
    """The answers that a configuration names.

    Raises:
        PolyloreError: no finished trace and no table of answers, in one sentence.
    """
    path = Path(config.answers)
    return _of_trace(config, path) if path.is_dir() else _of_table(config, path)


def _of_trace(config: LinkConfig, path: Path) -> Answers:
    run = RunFolder.load(path)
    if run.manifest.get("kind") != "trace":
        raise RunError(
            f"{path} is a run of `{run.manifest.get('kind')}`; give one that `polylore trace` "
            "wrote, or a table of answers."
        )
    if not run.has_table("grades"):
        raise RunError(f"The answers in {path} are not graded yet; run `polylore report {path}`.")
    if config.analyse.judge is not None:
        raise DataError("A judge's verdicts come with a table of answers, not with a trace run.")
    asked = run.manifest["config"]
    grades = run.table("grades")
    matcher: str | None = config.analyse.matcher
    if matcher == "auto":
        matcher = pathway_matcher(grades, asked["preset"])
    variant = config.states.variant
    if variant is None:
        variant = int(grades["variant"].min() or 0)  # type: ignore[arg-type]
    own = grades.filter(matcher=matcher, variant=variant)
    if matcher is None or not own.height:
        raise RunError(
            f"{path} holds no grades of matcher {matcher or 'default'} for template {variant}; "
            "choose others with analyse.matcher and states.variant."
        )
    exposure = run.table("exposure") if run.has_table("exposure") else None
    return Answers(
        own.select(*_KEY, right="y"),
        matcher,
        FactSet("facts of the trace", run.table("facts"), run.table("templates")),
        variant,
        bool(asked["ask"]["bos"]),
        run.table("checkpoints"),
        exposure if config.exposure is None else read_exposure(config.exposure),
    )


def _of_table(config: LinkConfig, path: Path) -> Answers:
    """A table with right, or raw_text to be graded, or the column judge."""
    rows = _rows(path)
    if config.facts is None:
        raise DataError(
            f"{path} does not say which facts were asked; name the fact set with facts.source."
        )
    factset = config.facts.load()
    analyse = config.analyse
    matched = _column(rows, "right", path)
    if matched is None and "raw_text" in rows[0]:
        matched = _graded(rows, factset, analyse)
    variant, bos = config.states.variant or 0, config.states.bos is not False
    exposure = None if config.exposure is None else read_exposure(config.exposure)
    if analyse.judge is None:
        if matched is None:
            raise DataError(
                f"{path} has neither the column right nor raw_text; without one nobody knows which "
                "answers are right."
            )
        graded = "paper" if analyse.matcher == "paper" else "default"
        name = "the table" if "right" in rows[0] else graded
        return Answers(matched, name, factset, variant, bos, exposure=exposure)
    judged = _column(rows, "judge", path)
    if judged is None:
        raise DataError(f"{path} lacks the column judge with the verdicts of {analyse.judge}.")
    agreement = _agreement(judged, matched, analyse)
    return Answers(
        judged, analyse.judge, factset, variant, bos, exposure=exposure, agreement=agreement
    )


def _column(rows: list[dict[str, Any]], name: str, path: Path) -> pl.DataFrame | None:
    """ckpt_id, fact_id, lang, right from a column of truth values."""
    if name not in rows[0]:
        return None
    values = []
    for row in rows:
        said = row.get(name)
        text = "" if said is None else str(said).strip().lower()
        if text not in ("", *_TRUTH):
            raise DataError(f"{path}: {name} must be true, false or empty, not '{said}'.")
        values.append(_TRUTH.get(text))
    return _keys(rows).with_columns(right=pl.Series(values, dtype=pl.Boolean))


def _keys(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(
        [[str(row.get(name)) for row in rows] for name in _KEY],
        schema=dict.fromkeys(_KEY, pl.String),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table, each about another checkpoint, fact and language."""
    rows = [row for _, row in records(path)]
    lacking = [name for name in _KEY if name not in rows[0]]
    if lacking:
        raise DataError(f"{path} lacks the column {', '.join(lacking)}.")
    keys = _keys(rows)
    twice = keys.filter(pl.struct(_KEY).is_duplicated())
    if twice.height:
        raise DataError(
            f"{path} has {twice.height} rows about the same checkpoint, fact and language, such as "
            f"{', '.join(twice.row(0))}; keep one of them."
        )
    return rows


def _graded(
    rows: list[dict[str, Any]], factset: FactSet, analyse: LinkAnalyseConfig
) -> pl.DataFrame:
    """Free answers graded by the house's matcher; answers to other facts are left out."""
    matcher = "paper" if analyse.matcher == "paper" else "default"
    frame = _keys(rows).with_columns(
        raw_text=pl.Series(
            [None if row.get("raw_text") is None else str(row["raw_text"]) for row in rows],
            dtype=pl.String,
        )
    )
    known = frame.join(factset.facts.select("fact_id", "lang"), on=["fact_id", "lang"], how="semi")
    asked = known.with_columns(
        variant=pl.lit(0, dtype=pl.Int32),
        mode=pl.lit("generate"),
        stop_reason=pl.lit(None, dtype=pl.String),
        error=pl.lit(None, dtype=pl.String),
    )
    return grade_answers(asked, factset.facts, matchers=[matcher]).select(*_KEY, right="y")


def _agreement(
    judged: pl.DataFrame, matched: pl.DataFrame | None, analyse: LinkAnalyseConfig
) -> dict[str, Any]:
    """Cohen's kappa of the judge with people, and with the matcher where there is one.

    Raises:
        DataError: fewer than 50 answers labelled by hand.
    """
    if analyse.hand is None:
        raise DataError(
            f"Verdicts of {analyse.judge} count only beside people's: give at least {HAND} answers "
            "labelled by hand with analyse.hand."
        )
    path = Path(analyse.hand)
    rows = _rows(path)
    by_hand = _column(rows, "right", path)
    if by_hand is None:
        raise DataError(f"{path} lacks the column right.")
    found = {}
    for name, other in (("hand", by_hand), ("matcher", matched)):
        if other is None:
            continue
        both = judged.join(other, on=_KEY, suffix="_other").drop_nulls(["right", "right_other"])
        if name == "hand" and both.height < HAND:
            raise DataError(
                f"{path} labels {both.height} of the judged answers; {analyse.judge} needs {HAND}."
            )
        words = [both[column].cast(pl.String).to_list() for column in ("right", "right_other")]
        found[name] = kappa(*words).row(0, named=True)
    return found


def refuse_other_facts(factset: FactSet, answers: Answers, where: str) -> None:
    """Answers must be about the very facts whose states are read.

    Raises:
        DataError: a fact was not asked, or is another one there.
    """
    cells = factset.facts.select("fact_id", "lang", "subject", "object")
    theirs = answers.factset.facts.select("fact_id", "lang", s="subject", o="object")
    joined = cells.join(theirs, on=["fact_id", "lang"], how="left", maintain_order="left")
    same = (pl.col("subject") == pl.col("s")) & (pl.col("object") == pl.col("o"))
    other = joined.filter(~same.fill_null(value=False))
    if other.height:
        row = other.row(0, named=True)
        there = "nothing" if row["s"] is None else f"{row['s']} – {row['o']}"
        raise DataError(
            f"The answers in {where} are about other facts: {other.height} of {cells.height} "
            f"differ, the first is {row['fact_id']} in {row['lang']} ({row['subject']} – "
            f"{row['object']} here, {there} there); leave facts.source away to use theirs."
        )
