"""The report of a sweep: figures, verdicts and bad cases, on planted tables and one real run."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from polylore.errors import DataError
from polylore.files import write_json
from polylore.metrics.unification import RunDraws, conditions, correlation, effects, lags
from polylore.report import Chart, Finding, Prose, Report, TableView, render
from polylore.report.export import figure
from polylore.runs import RunFolder
from polylore.studies.unify.context import UnifyContext
from polylore.studies.unify.knobs import varied
from polylore.studies.unify.pages import build_report
from polylore.studies.unify.report import report
from polylore.studies.unify.scoring import baseline_pairs, final_scores, outcomes
from polylore.studies.unify.sections.pictures import checkerboard
from polylore.studies.unify.worker import failure_of
from polylore.tables import unify as raw
from polylore.tables import unify_results as results

STEPS = (0, 10, 20, 30)
LAYERS = 2
WIDTH = 6


@dataclass(frozen=True)
class Arm:
    """A planted condition: what is set, and what comes of it."""

    name: str
    acc: float | None
    u: float = 0.5
    set: Mapping[str, Any] = field(default_factory=dict)
    family: str = "names"
    status: str = "done"
    leaky: bool = False
    baseline: str | None = None


def planted(arms: Sequence[Arm], seeds: int = 3, states: bool = True) -> dict[str, pl.DataFrame]:
    """All tables of a sweep whose runs come out as their arms say, seeds a little apart."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("runs", "course", "scores", "probe", "phases", "states", "causal")
    }
    for arm in arms:
        for seed in range(seeds):
            run = f"{arm.name}/{seed}"
            knobs = {"preset": "shared_names", "p": 0.0, "lam": 0.0, "exposure": "steps",
                     "delta": 0.0, "cue": "none", "cue_kind": "none", "i_uni": 0.0, "name_len": 1,
                     "layers": LAYERS, "hidden": 8} | dict(arm.set)  # fmt: skip
            rows["runs"].append(
                {"run_hash": run, "family": arm.family, "condition": arm.name, "seed": seed,
                 "device": "cpu", "steps": STEPS[-1], "status": arm.status, "leaky": arm.leaky,
                 **knobs}
            )  # fmt: skip
            _measured(rows, arm, run, seed, knobs, states)
    scores = results.UNIFICATION.build(rows["scores"])
    runs, course = raw.RUNS.build(rows["runs"]), results.COURSE.build(rows["course"])
    probe, phases = raw.PROBE.build(rows["probe"]), results.PHASES.build(rows["phases"])
    finals = final_scores(runs, scores, course, probe)
    declared = [(a.family, a.name, a.baseline) for a in arms if a.baseline is not None]
    pairs = pl.DataFrame(declared, schema=["family", "arm", "baseline"], orient="row")
    return {
        "unify_runs": runs, "unify_course": course, "unify_unification": scores,
        "unify_probe": probe, "unify_phases": phases, "unify_lags": lags(phases, runs),
        "unify_causal": results.CAUSAL.build(rows["causal"]),
        "unify_correlation": correlation(finals, draws=100),
        "unify_effects": effects(outcomes(runs, finals, course, phases), pairs)
        if declared else results.EFFECTS.empty(),
        "unify_states": raw.STATES.build(rows["states"]),
    }  # fmt: skip


def _measured(
    rows: dict[str, list[dict[str, Any]]], arm: Arm, run: str, seed: int, knobs: Mapping[str, Any],
    states: bool,
) -> None:  # fmt: skip
    cue = {"none": 0, "xor": 2}.get(knobs["cue_kind"], 1)
    answer = cue + knobs["name_len"]
    items = "parallel" if arm.acc is None else "mono"
    for step in STEPS:
        part = step / STEPS[-1]
        acc = None if arm.acc is None else min(1.0, max(0.0, arm.acc * part + 0.01 * seed))
        known = 0.5 if arm.status == "underfit" else 1.0
        label = None if acc is None else (
            "unified" if acc > 0.9 else "separated" if acc < 0.2 else "partial"
        )  # fmt: skip
        rows["course"].append(
            {"run_hash": run, "step": step, "tokens": 10 * step, "acc_train": known * part,
             "acc_x": acc, "loss_train": 3 - 3 * part, "loss_x": None if acc is None else 2.0,
             "chance": 0.1, "loss_uniform": 2.3, "loss_language": 1.6, "acc_never": 0.1,
             "label": label}
        )  # fmt: skip
        for layer in range(LAYERS + 1):
            for position in range(answer + 1):
                for center in ("none", "lang"):
                    u = arm.u * part + 0.01 * seed + 0.1 * layer
                    cell = {"run_hash": run, "step": step, "items": items, "pair": "all",
                            "layer": layer, "position": position, "center": center,
                            "standardize": False, "distractors": "all", "n": 9, "par": 0.6,
                            "within": 0.2, "cross": 0.1, "u_norm": u, "u_diff": u / 2,
                            "u_pair": u, "c": 0.1, "u_step0": 0.1, "u_fresh": 0.1, "u_null": 0.0,
                            "u_excess": u - 0.1, "trivial": position < answer and not cue,
                            "lo": u - 0.05, "hi": u + 0.05}  # fmt: skip
                    rows["scores"].append(cell | {"item_kind": "fact"})
                    if position == answer - 1:
                        rows["scores"].append(cell | {"item_kind": "entity"})
                rows["probe"].append(
                    {"run_hash": run, "init": 0, "step": step, "item_kind": "fact", "items": items,
                     "layer": layer, "position": position, "acc": 0.9, "control_acc": 0.5, "n": 9}
                )  # fmt: skip
        if states:
            rows["states"] += _states(run, step, seed, answer)
    rows["phases"] += [
        {"run_hash": run, "mark": mark, "at": at, "depth": 0.2 if mark == "dip" else None,
         "censored": False, "at_start": False}
        for mark, at in (("dip", 9.0 + seed), ("t_know", 14.0 + seed), ("t_transfer", 21.0 + seed))
    ]  # fmt: skip
    if arm.acc is not None:
        rows["causal"].append(
            {"run_hash": run, "step": STEPS[-1], "check": "edit", "set": "x", "n": 30,
             "et": min(1.0, 0.9 * arm.acc + 0.01 * seed), "lo": 0.0, "hi": 1.0}
        )  # fmt: skip
        rows["causal"] += [
            {"run_hash": run, "step": STEPS[-1], "check": "patch", "set": "x", "layer": layer,
             "position": position, "n": 30, "hit_cross": 0.4, "hit_rand": 0.0, "hit_same": 0.8,
             "cu": 0.5}
            for layer in range(LAYERS) for position in ("name", "answer")
        ]  # fmt: skip


def _states(run: str, step: int, seed: int, answer: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    found = []
    for item in range(10):
        for lang in ("qaa", "qab"):
            vector = generator.normal(size=WIDTH).astype("<f2").tobytes()
            found.append(
                {"run_hash": run, "step": step, "item_kind": "fact",
                 "item": f"e{item:04d}.r{item % 2}", "lang": lang, "layer": LAYERS,
                 "position": answer, "vector": vector}
            )  # fmt: skip
    return found


TAG = {"preset": "shared", "cue": "tag", "cue_kind": "tag", "i_uni": 1.0}
XOR = {"preset": "shared", "cue": "xor(0)", "cue_kind": "xor", "cue_level": 0.0, "i_uni": 0.0}
ARMS = (
    Arm("<b>apart</b>", 0.08, 0.1),
    Arm("parallel", 0.85, 0.6, {"p": 0.75}, baseline="<b>apart</b>"),
    Arm("volume", 0.09, 0.1, {"exposure": "dup", "delta": 0.75}, baseline="<b>apart</b>"),
    Arm("tag even", 0.97, 0.9, TAG, "cue"),
    Arm("tag skewed", 0.04, 0.2, TAG | {"lam": 1.0}, "cue", baseline="tag even"),
    Arm("tag hidden", 0.97, 0.9, XOR | {"lam": 1.0}, "cue", baseline="tag skewed"),
)


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return planted(ARMS)


@pytest.fixture(scope="module")
def made(tables: dict[str, pl.DataFrame]) -> Report:
    return build_report(tables, sizes={arm.name: "smoke" for arm in ARMS})


def blocks(of: Report) -> dict[str, Chart | TableView]:
    found = (b for page in of.pages for b in page.blocks)
    return {b.id: b for b in found if isinstance(b, Chart | TableView)}


def verdicts(of: Report) -> dict[str, Finding]:
    return {finding.text: finding for finding in of.findings}


def cautions(of: Report) -> str:
    return " ".join(
        text for page in of.pages for b in page.blocks
        if isinstance(b, Prose) and b.tone == "caution" for text in b.paragraphs
    )  # fmt: skip


def test_every_figure_is_there(made: Report) -> None:
    assert [page.id for page in made.pages] == [
        "transfer", "causes", "course", "pictures", "link", "causal", "runs", "method",
    ]  # fmt: skip
    assert {c.id for c in made.charts()} == {
        "unify-accuracy", "unify-score", "unify-loss", "unify-effect-acc-x", "unify-effect-u-norm",
        "unify-effect-t-know", "unify-course", "unify-losses", "unify-marks", "unify-layers",
        "unify-checkerboard-1", "unify-checkerboard-2", "unify-paths-1", "unify-paths-2",
        "unify-scatter", "unify-spearman", "unify-grid", "unify-edits", "unify-patch-name",
        "unify-patch-answer",
    }  # fmt: skip


def test_header_claims_directions_only_and_data_are_never_markup(made: Report) -> None:
    assert "direction" in made.subtitle
    assert "C1 to C5" in made.subtitle
    page = render(made)
    assert "<b>apart</b>" not in page
    assert "One-token values" not in page
    assert "one-token values" in page
    assert "`" not in " ".join(c.caption + c.title + c.description for c in made.charts())


def test_every_caption_names_its_conditions(made: Report) -> None:
    for chart in made.charts():
        assert "Preset smoke; tokens " in chart.caption, chart.id
        assert "n = 3 seeds" in chart.caption, chart.id
        assert "no leaky runs" in chart.caption, chart.id
    score = blocks(made)["unify-score"]
    assert "last hidden state, answer position, centre none" in score.caption


def test_figures_can_be_drawn(made: Report) -> None:
    import vl_convert

    for chart in made.charts():
        svg = vl_convert.vegalite_to_svg(figure(chart), vl_version="6.1")
        assert svg.startswith("<svg"), chart.id


def test_baselines_stand_beside_the_headline(made: Report) -> None:
    scores = blocks(made)["unify-score"].frame
    own = scores.filter(condition="parallel")
    assert own["series"].to_list() == [
        "trained", "step 0", "fresh initialisations", "shuffled pairs",
    ]  # fmt: skip
    trained = own.filter(series="trained")
    assert trained["value"].item() == pytest.approx(0.6 + 0.2 + 0.01)
    accuracy = blocks(made)["unify-accuracy"].frame.filter(condition="parallel")
    assert accuracy["chance"].unique().to_list() == [0.1]
    assert set(blocks(made)["unify-loss"].frame["series"].unique()) > {"no knowledge, H(V|r)"}


def test_claims_are_judged_from_pairs_that_differ_in_nothing_else(made: Report) -> None:
    found = verdicts(made)
    parallel = found["With tokens shared names, parallel data bring transfer."]
    assert parallel.verdict == "confirmed"
    assert "p 0.75 against p 0" in parallel.detail
    skew = found["Tying values to a language lowers transfer where a tag names it."]
    assert skew.verdict == "confirmed"
    assert "λ 1 against λ 0" in skew.detail
    hidden = found["Hiding the language restores transfer that the skew took away."]
    assert hidden.verdict == "confirmed"
    assert "xor(0) against tag" in hidden.detail
    volume = "Volume alone does nothing: repeating facts in one language brings no transfer."
    assert found[volume].verdict == "confirmed"
    edits = "A value taught in one language carries over where the two are unified, and only there."
    assert found[edits].verdict == "confirmed"
    # No arm tests an alphabet, so nothing is claimed of it.
    assert not any("alphabet" in text for text in found)


def test_a_claim_that_fails_is_not_confirmed() -> None:
    arms = (Arm("apart", 0.08), Arm("parallel", 0.09, set={"p": 0.75}),
            Arm("volume", 0.6, set={"exposure": "dup", "delta": 0.75}))  # fmt: skip
    found = verdicts(build_report(planted(arms, states=False)))
    assert found["With tokens shared names, parallel data bring transfer."].verdict == (
        "not confirmed"
    )
    volume = "Volume alone does nothing: repeating facts in one language brings no transfer."
    assert found[volume].verdict == "not confirmed"


def test_phase_diagram_has_a_square_per_condition_and_hatches_the_rest() -> None:
    arms = [
        Arm(f"p={p} lam={lam}", 1 - lam * (1 - p), set=TAG | {"p": p, "lam": lam})
        for p in (0.0, 0.1, 0.5) for lam in (0.0, 1.0) if (p, lam) != (0.5, 1.0)
    ]  # fmt: skip
    made = build_report(planted(arms, states=False))
    chart = blocks(made)["unify-phase-p-lam"]
    frame = chart.frame
    assert frame.height == 6
    assert frame.filter("empty").height == 1
    empty = frame.filter("empty").row(0, named=True)
    assert (empty["x"], empty["y"], empty["state"]) == ("0.5", "1", "not tested")
    corner = frame.filter(x="0", y="1").row(0, named=True)
    assert corner["acc_x"] == pytest.approx(0.01)
    assert corner["glyph"] == "○"
    along = blocks(made)["unify-along-p"]
    assert isinstance(along, Chart)
    assert along.frame["p"].unique().sort().to_list() == [0.0, 0.1, 0.5]
    assert figure(along)["datasets"]


def test_one_seed_is_described_and_not_judged() -> None:
    draws = np.linspace(0.7, 0.9, 1000)
    inside = conditions([RunDraws("parallel", "u_norm", 0.8, draws)])
    made = build_report(planted(ARMS, seeds=1) | {"unify_conditions": inside})
    changes = [f for f in made.findings if "Case by case" in f.detail]
    assert len(changes) == 4
    assert {f.verdict for f in changes} == {"undecided"}
    assert "One seed" in cautions(made)
    row = blocks(made)["unify-conditions"].frame.filter(condition="parallel").row(0, named=True)
    assert row["u_norm_lo"] == pytest.approx(0.705, abs=1e-3)  # its own entities'
    assert "n = 1 seed per condition" in blocks(made)["unify-accuracy"].caption


def test_a_single_run() -> None:
    made = build_report(planted(ARMS[:1], seeds=1))
    assert "causes" not in [page.id for page in made.pages]
    assert not [f for f in made.findings if f.verdict is not None]
    assert "n = 1 seed;" in blocks(made)["unify-accuracy"].caption
    assert "unify-scatter" not in blocks(made)
    assert "unify-checkerboard-2" not in blocks(made)
    assert render(made)


def test_nothing_held_out() -> None:
    made = build_report(planted([Arm("all", None, set={"p": 1.0})]))
    assert "Nothing is held out" in cautions(made)
    assert set(blocks(made)["unify-accuracy"].frame["series"]) == {
        "training cells", "never-seen entities",
    }  # fmt: skip
    assert "unify-scatter" not in blocks(made)
    assert "unify-loss" not in blocks(made)
    assert blocks(made)["unify-score"].frame.filter(series="trained").height == 1
    assert render(made)


def test_all_underfit() -> None:
    arms = [Arm("apart", 0.1, status="underfit"),
            Arm("parallel", 0.9, set={"p": 0.75}, status="underfit")]  # fmt: skip
    made = build_report(planted(arms))
    assert "No run recalls what it was told" in cautions(made)
    assert not [f for f in made.findings if f.verdict is not None]
    table = blocks(made)["unify-conditions"].frame
    assert table["marks"].to_list() == ["underfit", "underfit"]
    assert render(made)


def test_leaky_and_underfit_runs_support_no_claim(tables: dict[str, pl.DataFrame]) -> None:
    arms = (ARMS[0], Arm("leak", 0.99, set={"p": 0.75}, leaky=True))
    made = build_report(planted(arms, states=False))
    assert not [f for f in made.findings if f.verdict is not None]
    assert "leaky" in blocks(made)["unify-accuracy"].caption
    assert "leaky" in cautions(made)
    # A seed that did not learn leaves its condition's mean.
    poor = pl.when(run_hash="parallel/2").then(pl.lit("underfit")).otherwise("status")
    mixed = tables | {"unify_runs": tables["unify_runs"].with_columns(status=poor)}
    row = UnifyContext(mixed).conditions.filter(condition="parallel").row(0, named=True)
    assert (row["seeds"], row["runs"]) == (2, 3)
    assert row["acc_x"] == pytest.approx(0.855)


def test_missing_runs_are_listed(tables: dict[str, pl.DataFrame]) -> None:
    missing = pl.DataFrame({"condition": ["late"], "seed": [1], "why": ["failed: <NaN>"]})
    made = build_report(tables, missing=missing)
    assert ("18 of 19", "runs") in made.glance
    assert blocks(made)["unify-missing"].frame.rows() == [("late", 1, "failed: <NaN>")]
    assert "<NaN>" not in render(made)


def test_tables_that_must_be_there() -> None:
    with pytest.raises(DataError, match="unify_runs"):
        build_report({})


def test_knobs_that_follow_from_others_are_left_out(tables: dict[str, pl.DataFrame]) -> None:
    assert varied(UnifyContext(tables).conditions) == ["p", "lam", "preset", "cue", "exposure"]


def test_checkerboard_of_states_apart_and_together() -> None:
    facts = np.eye(4)[:, None, :].repeat(2, axis=1)
    assert checkerboard(facts) == pytest.approx(0)
    offset = np.concatenate([facts, np.ones((4, 2, 1)) * np.array([2.0, -2.0])[None, :, None]], 2)
    assert checkerboard(offset) == pytest.approx(1.6)  # within .8, cross -.8


def test_a_real_run_and_a_failed_one(finished: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    run = RunFolder.load(tmp_path / "run")
    run.annotate("conditions", run.manifest["conditions"][:1])
    run.annotate("seeds", [0, 1, 2])  # a third seed that failed
    write_json({"unit": "apart seed 2", "why": "loss is not a number", "trace": ""},
               failure_of(run.path, "apart seed 2"))  # fmt: skip
    path = report(run)
    page = path.read_text(encoding="utf-8")
    assert "loss is not a number" in page
    assert "This sweep is unfinished" in page
    assert (run.path / "figures" / "unify-course.svg").is_file()
    assert (run.path / "tables" / "unify_runs.csv").is_file()
    assert json.loads((run.path / "manifest.json").read_text())["missing"] == [["apart", 2]]
    assert run.table("unify_runs").filter(status="failed")["seed"].to_list() == [2]
    assert baseline_pairs(run).height == 0


def test_conditions_stand_in_the_order_of_the_sweep(tables: dict[str, pl.DataFrame]) -> None:
    backwards = [arm.name for arm in reversed(ARMS)]
    context = UnifyContext(tables, dict.fromkeys(backwards, "smoke"))
    assert context.conditions["condition"].to_list() == backwards
    assert context.few(2) == ["tag skewed", "tag even"]  # least and most transfer


def test_scores_of_the_ends_alone_date_nothing(tables: dict[str, pl.DataFrame]) -> None:
    ends = pl.col("step").is_in([STEPS[0], STEPS[-1]])
    few = {name: tables[name].filter(ends) for name in ("unify_unification", "unify_probe")}
    made = build_report(tables | few)
    course, marks = blocks(made)["unify-course"], blocks(made)["unify-marks"]
    assert set(course.frame["series"].drop_nulls()) == {"training cells", "held-out cells X"}
    assert set(marks.frame["second"]) == {"t_know", "t_transfer"}
    assert "unify-layers" not in blocks(made)
    assert not [f for f in made.findings if "move apart" in f.text]
