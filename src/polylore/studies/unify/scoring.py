"""All numbers of a sweep from its units: no model is needed, and unfinished sweeps do as well."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from polylore.errors import RunError
from polylore.files import read_parquet
from polylore.metrics.unification import (
    RunDraws,
    acc_draws,
    conditions,
    correlation,
    effects,
    lags,
    u_draws,
)
from polylore.runs import RunFolder
from polylore.studies.unify.failures import failed_runs
from polylore.studies.unify.study import missing
from polylore.studies.unify.summary import PLAIN
from polylore.tables import unify_results as results

WHOLE = (
    "unify_runs", "unify_course", "unify_transfer", "unify_unification", "unify_association",
    "unify_phases", "unify_causal", "unify_probe",
)  # fmt: skip
"""Tables of single runs that are put one behind the other."""
SCORES = ("u_norm", "u_diff", "u_pair", "c", "auc", "ret1", "cka", "cka_debiased", "u_proc")
OUTCOMES = ("acc_x", "acc_train", "u_norm", "u_norm_mid", "u_excess", "t_know", "t_unify",
            "t_transfer")  # fmt: skip


def open_sweep(folder: str | Path) -> RunFolder:
    """A folder that `unify train` or `unify sweep` wrote.

    Raises:
        RunError: it is no such folder, or no run in it is done.
    """
    run = RunFolder.load(folder)
    if run.manifest.get("kind") != "unify":
        raise RunError(f"{folder} was not written by `polylore unify`; give the folder of a sweep.")
    if not run.units():
        raise RunError(f"No run in {folder} is done yet; run `polylore unify sweep` again first.")
    return run


def score(run: RunFolder) -> RunFolder:
    """Write the tables of a sweep: those of its runs, correlations, effects and lags."""
    for name in WHOLE:
        run.write_table(name, run.read(name))
    runs = run.table("unify_runs")
    # Failed runs stand in this table, and nowhere in what is made of the others.
    run.write_table("unify_runs", pl.concat([runs, failed_runs(run)]))
    finals = final_scores(
        runs, run.table("unify_unification"), run.table("unify_course"), run.table("unify_probe")
    )
    run.write_table("unify_correlation", correlation(finals))
    found = outcomes(runs, finals, run.table("unify_course"), run.table("unify_phases"))
    pairs = baseline_pairs(run)
    run.write_table(
        "unify_effects", effects(found, pairs) if pairs.height else results.EFFECTS.empty()
    )
    run.write_table("unify_conditions", conditions(_draws(run, runs)))
    run.write_table("unify_lags", lags(run.table("unify_phases"), runs))
    run.annotate("missing", missing(run).rows())
    return run


def _draws(run: RunFolder, runs: pl.DataFrame) -> Iterator[RunDraws]:
    """acc_X and the headline score of every run, with their draws over entities."""
    for number, row in enumerate(runs.iter_rows(named=True)):
        unit = f"{row['condition']} seed {row['seed']}"
        facts = read_parquet(run.path / "worlds" / row["world_hash"][:16] / "facts.parquet")
        cluster = "fact_id" if row["split"] == "fact" else "entity"
        answers = run.read("unify_answers", [unit])
        answers = answers.filter(step=answers["step"].max())
        value, drawn = acc_draws(answers, facts, seed=number, cluster=cluster)
        fit = row["status"] == "done"
        yield RunDraws(row["condition"], "acc_x", value, drawn, fit)
        sims = run.read("unify_sims", [unit]).filter(PLAIN & (pl.col("item_kind") == "fact"))
        if not sims.height:
            continue
        own = sims.filter(items=sims["items"][0], layer=sims["layer"].max())
        for name, found in u_draws(own.filter(position=own["position"].max()), seed=number).items():
            yield RunDraws(row["condition"], name, *found, fit)


def baseline_pairs(run: RunFolder) -> pl.DataFrame:
    """family, arm and baseline of every condition that is held against another."""
    rows = [
        (one["family"], one["name"], one["baseline"])
        for one in run.manifest["conditions"]
        if one["baseline"] is not None
    ]
    schema = {"family": pl.String, "arm": pl.String, "baseline": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def final_scores(
    runs: pl.DataFrame, scores: pl.DataFrame, course: pl.DataFrame, probe: pl.DataFrame
) -> pl.DataFrame:
    """Scores at the last checkpoint of every run, long, with acc_x and what is held constant.

    Returns:
        run_hash, condition, family, status, leaky, seed, score, layer (first, mid, last), position
        (subject, answer), value, acc_x and the columns that partial correlations are given.
    """
    last = course.sort("step").group_by("run_hash", maintain_order=True).last()
    about = runs.join(last.select("run_hash", "acc_x", final="step"), on="run_hash").with_columns(
        subject=_cue_length() + pl.col("name_len") - 1, answer=_cue_length() + pl.col("name_len")
    )
    kept = ("run_hash", "condition", "family", "status", "leaky", "seed", "acc_x", "i_design",
            "i_uni", "p", "layers", "final", "subject", "answer")  # fmt: skip
    rows = scores.filter((pl.col("pair") == "all") & ~pl.col("standardize"))
    rows = rows.filter(pl.col("distractors") == "all", pl.col("center") != "global")
    rows = rows.join(about.select(kept), on="run_hash").filter(pl.col("step") == pl.col("final"))
    # The headline sample is that of held-out facts where there is one.
    rows = rows.filter(
        pl.col("items") == pl.col("items").sort_by(_rank("items")).first().over("run_hash")
    )
    rows = rows.with_columns(layer=_layer_name(), position=_position_name()).drop_nulls(
        ["layer", "position"]
    )
    rows = rows.with_columns(
        *(pl.when(~pl.col("trivial")).then(name).alias(name) for name in (*SCORES, "u_excess"))
    )
    head = ["run_hash", "condition", "family", "status", "leaky", "seed", "acc_x", "i_design",
            "i_uni", "p", "layer", "position"]  # fmt: skip
    parts = [
        rows.filter(PLAIN).select(*head, score=pl.lit(name), value=pl.col(name))
        for name in (*SCORES, "u_excess")
    ]
    centred = rows.filter(pl.col("center") == "lang")
    parts.append(centred.select(*head, score=pl.lit("u_norm_centred"), value=pl.col("u_norm")))
    long = pl.concat(parts)
    step0 = rows.filter(PLAIN).select("run_hash", "layer", "position", "u_step0")
    return long.join(
        step0, on=["run_hash", "layer", "position"], how="left", maintain_order="left"
    ).pipe(_with_probe, probe, about, head)


def _with_probe(
    long: pl.DataFrame, probe: pl.DataFrame, about: pl.DataFrame, head: list[str]
) -> pl.DataFrame:
    kept = ("run_hash", "condition", "family", "status", "leaky", "seed", "acc_x", "i_design",
            "i_uni", "p", "layers", "final", "subject", "answer")  # fmt: skip
    rows = probe.filter(pl.col("init") == 0, pl.col("item_kind") == "fact")
    rows = rows.join(about.select(kept), on="run_hash").filter(pl.col("step") == pl.col("final"))
    rows = rows.with_columns(
        layer=_layer_name(),
        position=pl.when(pl.col("position") == pl.col("answer"))
        .then(pl.lit("answer"))
        .when(pl.col("position") == pl.col("subject"))
        .then(pl.lit("subject")),
    ).drop_nulls(["layer", "position"])
    rows = rows.select(*head, score=pl.lit("probe"), value=pl.col("acc"))
    return pl.concat([long, rows], how="diagonal_relaxed")


def _cue_length() -> pl.Expr:
    return pl.col("cue_kind").replace_strict(
        {"none": 0, "xor": 2}, default=1, return_dtype=pl.Int32
    )


def _rank(column: str) -> pl.Expr:
    order = {"mono": 0, "parallel": 1, "never_seen": 2}
    return pl.col(column).replace_strict(order, default=3, return_dtype=pl.Int32)


def _layer_name() -> pl.Expr:
    middle = (pl.col("layers") + 1) // 2
    return (
        pl.when(pl.col("layer") == pl.col("layers"))
        .then(pl.lit("last"))
        .when(pl.col("layer") == middle)
        .then(pl.lit("mid"))
        .when(pl.col("layer") == 0)
        .then(pl.lit("first"))
    )


def _position_name() -> pl.Expr:
    """Answer positions of facts, and last name tokens of entities."""
    return (
        pl.when((pl.col("item_kind") == "fact") & (pl.col("position") == pl.col("answer")))
        .then(pl.lit("answer"))
        .when((pl.col("item_kind") == "entity") & (pl.col("position") == pl.col("subject")))
        .then(pl.lit("subject"))
    )


def outcomes(
    runs: pl.DataFrame, finals: pl.DataFrame, course: pl.DataFrame, marks: pl.DataFrame
) -> pl.DataFrame:
    """What arms are compared by: condition, seed, outcome, value, fit."""
    who = runs.select("run_hash", "condition", "seed", fit=pl.col("status") == "done")
    last = course.sort("step").group_by("run_hash", maintain_order=True).last()
    parts = [
        last.select("run_hash", outcome=pl.lit(name), value=pl.col(name))
        for name in ("acc_x", "acc_train")
    ]
    answer = finals.filter(pl.col("position") == "answer")
    for name, score_name, layer in (
        ("u_norm", "u_norm", "last"),
        ("u_norm_mid", "u_norm", "mid"),
        ("u_excess", "u_excess", "last"),
    ):
        own = answer.filter(pl.col("score") == score_name, pl.col("layer") == layer)
        parts.append(own.select("run_hash", outcome=pl.lit(name), value=pl.col("value")))
    for name in ("t_know", "t_unify", "t_transfer"):
        own = marks.filter(pl.col("mark") == name)
        parts.append(own.select("run_hash", outcome=pl.lit(name), value=pl.col("at")))
    return pl.concat(parts).join(who, on="run_hash").drop("run_hash")
