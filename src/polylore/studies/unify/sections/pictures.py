"""States themselves: who resembles whom, and where they move while the network learns."""

import math
from dataclasses import dataclass

import altair as alt
import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.report import Block, Chart, Page, shapes
from polylore.report.axes import rows
from polylore.report.numbers import ends, number_axis
from polylore.studies.unify.context import UnifyContext

ITEMS = 24
"""Facts of a similarity matrix."""
_STEPS = 4
_SCENES = 8
"""Steps of the trajectories."""
_MARKS = ("dip", "t_unify", "t_know", "t_transfer")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """One run at its headline cell: states[step] is (facts, languages, width)."""

    run: str
    condition: str
    seed: int
    acc: float | None
    languages: tuple[str, ...]
    items: tuple[str, ...]
    states: dict[int, Array]


def pictured(context: UnifyContext) -> list[str]:
    """Runs whose states are drawn: first seeds of the conditions of least and most transfer."""
    rows = context.ends.sort("seed", maintain_order=True).unique("condition", keep="first",
                                                                maintain_order=True)  # fmt: skip
    ranked = rows.join(context.conditions.select("condition", mean="acc_x"), on="condition").sort(
        "mean", "condition", nulls_last=False
    )
    picks = [ranked["run_hash"][0], ranked["run_hash"][-1]]
    return list(dict.fromkeys(picks))


def pictures_page(context: UnifyContext) -> Page | None:
    """None without stored states."""
    states = context.table("unify_states")
    if states is None:
        return None
    scenes = [scene for run in pictured(context) if (scene := _scene(context, states, run))]
    blocks: list[Block] = []
    for number, scene in enumerate(scenes):
        blocks.append(_matrix(context, scene, number))
    for number, scene in enumerate(scenes):
        blocks.append(_paths(context, scene, number))
    if not blocks:
        return None
    lead = (
        "Similarities and paths of single states, of one seed each: the conditions of least and of "
        "most transfer. What the paper's own pictures show exactly is unknown; this is our reading."
    )
    return Page("pictures", "Pictures of states", lead, tuple(blocks))


def _scene(context: UnifyContext, states: pl.DataFrame, run: str) -> Scene | None:
    about = context.ends.filter(run_hash=run).row(0, named=True)
    own = states.filter(
        pl.col("run_hash") == run, pl.col("item_kind") == "fact",
        pl.col("layer") == about["layers"], pl.col("position") == about["answer"],
    )  # fmt: skip
    if not own.height:
        return None
    languages = tuple(own["lang"].unique().sort().to_list()[:2])
    # Facts of one relation beside each other: at the answer they resemble each other anyway.
    relation = pl.col("item").str.split(".").list.last()
    items = own.select("item").unique().sort(relation, "item")["item"].to_list()
    found = {}
    for (step,), part in own.group_by(["step"], maintain_order=True):
        pairs = part.select("item", "lang", "vector").rows()
        by = {(item, lang): np.frombuffer(v, "<f2").astype(np.float64) for item, lang, v in pairs}
        if all((i, lang) in by for i in items for lang in languages):
            found[int(str(step))] = np.stack(
                [np.stack([by[i, lang] for lang in languages]) for i in items]
            )
    if not found or len(languages) < 2:
        return None
    return Scene(run, about["condition"], about["seed"], about["acc_x"], languages, tuple(items),
                 dict(sorted(found.items())))  # fmt: skip


def _moments(context: UnifyContext, scene: Scene) -> dict[int, str]:
    """At most four steps with their names: start, marks of the run, end."""
    steps = list(scene.states)
    named = {steps[0]: "start"}
    phases = context.table("unify_phases")
    if phases is not None:
        at = dict(phases.filter(run_hash=scene.run).select("mark", "at").drop_nulls().iter_rows())
        for mark in _MARKS:
            if mark in at and len(named) < _STEPS - 1:
                nearest = min(steps, key=lambda s: (abs(s - at[mark]), s))
                if nearest not in (*named, steps[-1]):
                    named[nearest] = mark.removeprefix("t_")
    named.setdefault(steps[-1], "end")
    return dict(sorted(named.items()))


def _cosines(states_NLD: Array) -> Array:
    """(2N, 2N) cosines, languages interleaved."""
    flat = states_NLD.reshape(-1, states_NLD.shape[2])
    norms = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    unit = flat / norms
    return np.asarray(unit @ unit.T)


def checkerboard(states_NLD: Array) -> float:
    """C = within - cross of the facts drawn (specification of `unify`, section 2.6)."""
    cosines = _cosines(states_NLD)
    n = len(states_NLD)
    lang = np.tile([0, 1], n)
    item = np.repeat(np.arange(n), 2)
    other = item[:, None] != item
    same = lang[:, None] == lang
    return float(cosines[other & same].mean() - cosines[other & ~same].mean())


def _matrix(context: UnifyContext, scene: Scene, number: int) -> Chart:
    picks = np.unique(
        np.linspace(0, len(scene.items) - 1, min(ITEMS, len(scene.items))).astype(int)
    )
    n = len(picks)
    blocked = np.concatenate([np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2)])
    parts = []
    panels: dict[str, list[str]] = {"interleaved": [], "blocked": []}
    for step, name in _moments(context, scene).items():
        states = scene.states[step][picks]
        cosines, c = _cosines(states), checkerboard(states)
        title = f"step {step}, {name}, C {c:.2f}".replace("-", "−")
        for way, turn in (("interleaved", np.arange(2 * n)), ("blocked", blocked)):
            panel = title if way == "interleaved" else f"step {step}, by language"
            panels[way].append(panel)
            values = cosines[np.ix_(turn, turn)]
            parts.append(
                pl.DataFrame(
                    {"panel": panel, "x": np.tile(np.arange(2 * n), 2 * n),
                     "y": np.repeat(np.arange(2 * n), 2 * n), "s": values.ravel().round(2)}
                )
            )  # fmt: skip
    frame = pl.concat(parts)
    low = min(0.0, math.floor(10 * ends(frame, "s")[0]) / 10)
    tight = alt.Scale(paddingInner=0, paddingOuter=0)
    cells = (
        alt.Chart(rows())
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("x:O", axis=None, scale=tight),
            y=alt.Y("y:O", axis=None, scale=tight),
            color=alt.Color(
                "s:Q", title="cosine", scale=alt.Scale(domain=[low, 1], clamp=True),
                legend=alt.Legend(format="~g", tickCount=4),
            ),
        )
    )  # fmt: skip
    order = [*panels["interleaved"], *panels["blocked"]]
    return Chart(
        f"unify-checkerboard-{number + 1}",
        f"Similarity of states: {scene.condition}",
        f"Cosines of {n} facts in two languages, seed {scene.seed}, acc_X "
        f"{_share(scene.acc)}. First the languages take turns: apart they give a checkerboard, "
        "unified facts blocks of two by two on the diagonal. Then by language: unified facts give "
        "a stripe in the off-diagonal blocks. C = within − cross of the facts drawn: above 0 "
        "languages sit apart. Facts are sorted by relation. One colour scale for all. "
        + context.said(of=[scene.condition]),
        "Similarity matrices of states in two languages, interleaved and by language, at "
        f"{len(panels['interleaved'])} steps of training.",
        shapes.panels([cells], "panel", order, height=190),
        frame,
        {"panel": "Panel", "y": "Row", "x": "Column", "s": "Cosine"},
        {"s": "number"},
        "panels",
    )  # fmt: skip


def _share(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.0%}"


def _picked(steps: list[int], moments: list[int]) -> list[int]:
    """The moments, and other steps in even places between start and end."""
    found = list(moments)
    for wanted in np.linspace(0, len(steps) - 1, _SCENES):
        step = steps[round(wanted)]
        if len(found) < _SCENES and step not in found:
            found.append(step)
    return sorted(found)


def _paths(context: UnifyContext, scene: Scene, number: int) -> Chart:
    """Both languages' states in the plane of the final ones' first two principal components."""
    steps = list(scene.states)
    last = scene.states[steps[-1]]
    flat = last.reshape(-1, last.shape[2])
    centre = flat.mean(axis=0)
    basis = np.linalg.svd(flat - centre, full_matrices=False)[2][:2]
    picked = _picked(steps, list(_moments(context, scene)))
    parts, order = [], []
    for step in picked:
        states = scene.states[step]
        away = states - centre
        plane_NL2 = away @ basis.T
        spread = states - states.reshape(-1, states.shape[2]).mean(axis=0)
        inside = plane_NL2 - plane_NL2.reshape(-1, 2).mean(axis=0)
        total = float((spread**2).sum())
        part = float((inside**2).sum()) / total if total else 0.0
        title = f"step {step}, {part:.0%} of variance"
        order.append(title)
        for k, lang in enumerate(scene.languages):
            other = plane_NL2[:, 1 - k]
            parts.append(
                pl.DataFrame(
                    {"panel": title, "step": step, "item": scene.items,
                     "language": f"language {k + 1} ({lang})",
                     "x": plane_NL2[:, k, 0], "y": plane_NL2[:, k, 1],
                     # Each pair is joined once.
                     "x2": other[:, 0] if k == 0 else None, "y2": other[:, 1] if k == 0 else None}
                )
            )  # fmt: skip
    frame = pl.concat(parts, how="diagonal_relaxed")
    across = number_axis(frame, "x", "first component")
    down = number_axis(frame, "y", "second component", axis=alt.Y)
    chart = alt.Chart(rows())
    joined = chart.transform_filter("isValid(datum.x2)").mark_rule(
        style="reference", strokeDash=[1, 0], opacity=0.35
    )
    names = [f"language {k + 1} ({lang})" for k, lang in enumerate(scene.languages)]
    points = chart.mark_point(size=22, opacity=0.85).encode(
        x=across, y=down,
        color=alt.Color("language:N", scale=alt.Scale(domain=names), legend=alt.Legend(title=None)),
        tooltip=[alt.Tooltip("item:N", title="fact"), alt.Tooltip("language:N", title="")],
    )  # fmt: skip
    layers = [joined.encode(x=across, x2="x2", y=down, y2="y2"), points]
    return Chart(
        f"unify-paths-{number + 1}",
        f"Paths of states: {scene.condition}",
        f"{len(scene.items)} facts, seed {scene.seed}; lines join translations. The plane is that "
        "of the first two principal components of the final states, onto which earlier ones are "
        "projected; above each panel the share of that step's variance within it. "
        + context.said(of=[scene.condition]),
        "Small multiples of points, states in two languages projected to a plane, by step.",
        shapes.panels(layers, "panel", order, height=150),
        frame,
        {"step": "Step", "item": "Fact", "language": "Language", "x": "First component",
         "y": "Second component"},
        {"x": "number", "y": "number"},
        "panels",
    )  # fmt: skip
