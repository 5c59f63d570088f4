"""`align run`: every arm trained from one start, asked on the way, compared with its siblings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylore.errors import ConfigError, DataError, RunError
from polylore.facts.fiction.world import World
from polylore.runs import RunFolder, run_batches
from polylore.studies.align.arms.checks import check_arms
from polylore.studies.align.arms.config import START, ArmsConfig, ArmsScoreConfig
from polylore.studies.align.arms.identity import identity_of, refuse_other
from polylore.studies.align.arms.manifest import read_manifest
from polylore.studies.align.arms.material import Material, gather
from polylore.studies.align.arms.plan import Plan, make_plan, refuse_too_large
from polylore.studies.align.arms.scoring import effects_of, score_arms
from polylore.studies.align.arms.siblings import Manifest, Pair, usual_pairs
from polylore.studies.align.arms.tree import Node, ancestors, grow
from polylore.studies.align.arms.work import (
    ARMS,
    INIT,
    Desk,
    Job,
    is_done,
    is_main,
    processes,
    train_job,
)
from polylore.training.continued.processes import wait
from polylore.training.continued.start import open_start

Progress = Callable[[int, int, str], None]
KIND = "align-arms"


@dataclass(frozen=True)
class Prepared:
    """A run before its first training."""

    config: ArmsConfig
    material: Material
    nodes: tuple[Node, ...]
    """The start model's own training first, if there is one."""
    run: RunFolder


def prepare(config: ArmsConfig, out: str | Path) -> Prepared:
    """Read and make everything that is read and asked, and open the run folder.

    Raises:
        PolyloreError: bad input, or a folder of another run.
    """
    material = gather(config)
    texts = (material.texts["part"] == "start").any()
    nodes = grow(config, material.source, list(material.worlds), texts=bool(texts))
    if config.start.fresh is not None:
        nodes.insert(0, Node(START, None, INIT))
    if is_main():
        run = RunFolder.open(out, KIND, config.question(), _inputs(config, material))
        for node in nodes:
            for seed in config.train.seeds:
                folder = run.path / ARMS / node.folder(seed)
                refuse_other(folder, identity_of(run, node, seed, nodes))
        Desk(run, config)  # also makes the first weights, if there are to be any
    wait()
    return Prepared(config, material, tuple(nodes), RunFolder.load(out))


def _inputs(config: ArmsConfig, material: Material) -> dict[str, str]:
    """Digests of all that is read."""
    given, found = config.start, {"material": material.digest()}
    if given.fresh is None:
        start = open_start(str(given.path or given.model), revision=given.revision)
        found["start"] = start.digest
    return found


def plan(prepared: Prepared) -> Plan:
    """What the run will cost.

    Raises:
        PolyloreError: an arm that cannot be made.
    """
    desk = Desk(prepared.run, prepared.config)
    check_arms(prepared.config, desk.kitchen, prepared.nodes)
    for node in prepared.nodes:
        if prepared.config.execution.shard and desk.kitchen.budget(node).gate:
            raise ConfigError(
                f"Arm {node.name} ends when its gate passes, but weights that are spread over "
                "processes are only asked afterwards; give the arm updates or epochs."
            )
    return make_plan(prepared.config, desk.kitchen, prepared.nodes, desk.base())


def run_arms(
    config: ArmsConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    report: bool = True,
    allow_confounded: bool = False,
    force: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> RunFolder:
    """Train all arms, ask them, compare them, write the report.

    A run that was interrupted goes on where it stopped, and arms and seeds can be added to it.
    Under a launcher that starts several processes (`torchrun`, `accelerate launch`), all of them
    train each arm together.

    Args:
        config: the arms.
        out: run folder.
        progress: called with (done, total, what).
        report: also write `report.html`, figures and CSV.
        allow_confounded: judge arms that are no siblings, too, and mark them.
        force: train although memory will probably not suffice.
        tell: called with each line of the plan.

    Raises:
        PolyloreError: bad input, in one sentence; nothing that is finished is lost.
    """
    prepared = prepare(config, out)
    run, main = prepared.run, is_main()
    with run.lock() if main else nullcontext():
        costs = plan(prepared)
        if main:
            for line in costs.lines():
                tell(line)
            if not force:
                refuse_too_large(costs)
            _keep(prepared)
        _train(prepared, progress)
        if main:
            score(run, config, prepared.material, allow_confounded=allow_confounded,
                  progress=progress)  # fmt: skip
            if report:
                from polylore.studies.align.publish import publish

                publish(run, progress)
        wait()  # a launcher ends all processes as soon as one of them fails for want of tables
    return run


def score(
    run: RunFolder,
    config: ArmsConfig,
    material: Material | None = None,
    *,
    allow_confounded: bool = False,
    progress: Progress | None = None,
) -> None:
    """Compute every derived table again, from raw rows and manifests.

    Args:
        run: a run folder of `align run`.
        config: its configuration.
        material: what was read and asked, if it is at hand.
        allow_confounded: judge arms that are no siblings, too, and mark them.
        progress: called with (done, total, what).
    """
    material = material or gather(config)
    found = manifests(run)
    score_arms(
        run, config, material.sets, material.worlds, found, pairs(config, found),
        shuffled=_shuffled(config, material, found), allow_confounded=allow_confounded,
        progress=progress,
    )  # fmt: skip
    run.annotate("analysis", {"score": {"pivot": config.pivot}, "arms": config.score.plain()})


def _shuffled(
    config: ArmsConfig, material: Material, found: Sequence[Manifest]
) -> dict[str, dict[str, World]]:
    """Worlds of the arms that were taught permuted answers, by run and target."""
    arms = {arm.name: material.taught(arm) for arm in config.arms if arm.shuffled}
    named = {m["run_id"]: m["arm"].rpartition(">")[2].partition("/")[0] for m in found}
    return {run_id: arms[name] for run_id, name in named.items() if name in arms}


def open_arms_run(
    folder: str | Path, score_config: ArmsScoreConfig | None = None
) -> tuple[RunFolder, ArmsConfig]:
    """A finished run and its configuration.

    Raises:
        RunError: the folder holds another kind of run, or no arms.
    """
    run = RunFolder.load(folder)
    if run.manifest.get("kind") != KIND:
        raise RunError(
            f"{folder} is a run of `{run.manifest.get('kind')}`; give one of `polylore align run`."
        )
    values = run.manifest.get("arms")
    if values is None:
        raise RunError(f"{folder} holds no arms yet; run `polylore align run` again.")
    config = ArmsConfig.parse(values, str(folder))
    if score_config is not None:
        config = config.model_copy(update={"score": score_config})
    return run, config


def manifests(run: RunFolder) -> list[dict[str, Any]]:
    """Manifests of all finished trainings of the configuration, in its order.

    Arms and seeds that were taken out of it keep their folders, but are no part of any table.
    """
    order = list(run.manifest.get("nodes", []))
    seeds = run.manifest.get("arms", {}).get("train", {}).get("seeds", [])
    paths = sorted((run.path / ARMS).glob("*/seed-*/arm.json"))
    found = [read_manifest(path.parent) for path in paths]
    asked = [m for m in found if m["arm"] in order and m["seed"] in seeds]
    return sorted(asked, key=lambda m: (order.index(m["arm"]), m["seed"]))


def pairs(config: ArmsConfig, found: Sequence[Manifest]) -> list[Pair]:
    """All comparisons: those asked for, then the usual ones; each two arms once."""
    made: dict[tuple[str, str], Pair] = {}
    for one in config.compare:
        made[one.arm, one.minus] = Pair(one.arm, one.minus, one.factor)
    for pair in usual_pairs(found):
        made.setdefault((pair.arm, pair.minus), pair)
    return list(made.values())


def _train(prepared: Prepared, progress: Progress | None) -> None:
    """Wave by wave: what goes on from nothing unfinished is trained together."""
    config, run = prepared.config, prepared.run
    jobs = 1 if processes() > 1 else config.execution.jobs
    for number, wave in enumerate(_waves(prepared.nodes), 1):
        todo = [
            Job(str(run.path.absolute()), node, seed, prepared.nodes, config)
            for seed in config.train.seeds
            for node in wave
            if not is_done(run, config, node, seed)
        ]
        if not todo:
            continue
        what = f"training, wave {number}"
        if jobs == 1:
            for done, job in enumerate(todo):
                if progress:
                    progress(done, len(todo), what)
                train_job(job, progress)
            if progress:
                progress(len(todo), len(todo), what)
            continue
        # Long ones first, so that none is left over at the end.
        todo.sort(key=lambda job: job.node.kind != "inject")
        run_batches(
            todo, train_job, jobs=jobs, threads=config.execution.threads, folder=run.path,
            progress=progress, what=what,
        )  # fmt: skip


def _waves(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    depth = {
        node.name: 0 if node.arm is None else 1 + len(ancestors(node, nodes)) for node in nodes
    }
    for level in sorted(set(depth.values())):
        yield [node for node in nodes if depth[node.name] == level]


def _keep(prepared: Prepared) -> None:
    """What the run asks, and its configuration, so that it can be scored again."""
    run, sets = prepared.run, prepared.material.sets
    if sets is not None and prepared.material.prompts is not None:
        run.write_table("align_questions", sets.questions)
        run.write_table("align_items", sets.items)
        run.write_table("align_prompts", prepared.material.prompts)
        run.write_table("facts", sets.facts)
    run.annotate("arms", prepared.config.plain())
    run.annotate("nodes", [node.name for node in prepared.nodes])


def compare_arms(
    folder: str | Path,
    arm: str,
    minus: str,
    *,
    factor: str = "data",
    allow_confounded: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> pl.DataFrame:
    """Differences of two arms in every set and group of languages; table ALIGN_EFFECTS.

    Args:
        folder: a run folder of `align run`.
        arm: arm that is judged.
        minus: arm that it is compared with.
        factor: what is declared to differ.
        allow_confounded: compare them although more than that does.
        tell: called with each line about how they differ.

    Raises:
        ConfigError: they are no siblings, there is no such arm, or an unknown factor.
        DataError: no sets were asked.
        RunError: the folder holds another kind of run.
    """
    run, config = open_arms_run(folder)
    found = check_pair(manifests(run), arm, minus, factor)
    for sentence in found["differs"]:
        tell(sentence + ("  NOT DECLARED" if sentence in found["beyond"] else ""))
    if found["budget"] is not None:
        tell(f"budgets differ by {found['budget']:.2%} at most")
    if not found["siblings"]:
        if not allow_confounded:
            raise ConfigError(
                f"{arm} and {minus} are no siblings: more than {factor} differs "
                f"({'; '.join(found['beyond'][:5])}); give --allow-confounded to compare them "
                "anyway."
            )
        tell("CONFOUNDED: a difference is not the effect of one factor.")
    material = gather(config)
    if material.sets is None:
        raise DataError(f"{folder} asked no sets, so there is nothing to compare them in.")
    return effects_of(run, config, material.sets, manifests(run), arm, minus)


def check_pair(found: Sequence[Manifest], arm: str, minus: str, factor: str) -> dict[str, Any]:
    """How two arms differ, for `align compare`.

    Raises:
        ConfigError: an arm that was not trained, or an unknown factor.
    """
    from polylore.studies.align.arms.siblings import MAY_DIFFER, compare_pair

    if factor not in MAY_DIFFER:
        raise ConfigError(f"'{factor}' is no factor; choose one of {', '.join(MAY_DIFFER)}.")
    return compare_pair(Pair(arm, minus, factor), found)
