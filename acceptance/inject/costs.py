"""What injection and probing take of a run, beside what was planned."""

import statistics
import time

from acceptance.inject.pretrain import Pretrained
from acceptance.inject.stages import arms_study
from polylore.runs import RunFolder
from polylore.studies.inject.study import Study

INJECTION_BAR = 0.01
"""Injection may take this share of a step."""
PROBING_BAR = 0.10
"""The measured share of probing may be this far from the planned one, as a share of it."""


def injection_share(model: Pretrained, run: RunFolder, rounds: int = 3) -> float:
    """Seconds in which passages are put into the rows of a run, per second of training."""
    study = Study(arms_study(model, 1, 1), model.world.fiction)
    design = next(iter(study.designs.values()))
    injector = design.injector
    if injector is None:
        raise SystemExit("the plan injects nothing")
    study.background = study.find_background(run.path, None)
    stream = study.background.stream(injector.batch_size, 0)
    rows = [stream.rows(step, range(injector.batch_size)).tokens for step in range(design.updates)]
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        for step, tokens in enumerate(rows):
            injector.rows(step, range(injector.batch_size), tokens)
        spent.append(time.perf_counter() - start)
    trained = [float(one["training_seconds"]) for one in run.manifest["probing"]]
    return min(spent) / statistics.median(trained)


def cost_lines(model: Pretrained, run: RunFolder) -> list[str]:
    """Lines of the page."""
    share = injection_share(model, run)
    kept = "kept" if share <= INJECTION_BAR else "NOT KEPT"
    planned = {one["run_id"]: one for one in run.manifest.get("plan", [])}
    lines = [
        "## Cost",
        "",
        f"- putting passages into rows: {share:.2%} of the time of an update (at most "
        f"{INJECTION_BAR:.0%}: {kept})",
    ]
    for one in run.manifest["probing"]:
        guess = planned.get(one["run_id"], {}).get("share")
        beside = "no plan"
        if guess:
            apart = one["share"] / guess - 1
            kept = "kept" if abs(apart) <= PROBING_BAR else "NOT KEPT"
            beside = f"planned {guess:.2f}, {apart:+.0%} (at most {PROBING_BAR:.0%}: {kept})"
        lines.append(
            f"- {one['run_id']}: {one['readings']} readings, {one['with_extras']} of them with "
            f"margins, swapped subjects and free answers: {one['reading_seconds']:.0f} s beside "
            f"{one['training_seconds']:.0f} s of training, {one['share']:.2f} of it; {beside}"
        )
    return [*lines, ""]
