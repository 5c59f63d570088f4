"""A scored run of `patch` on the same checkpoints, shown in the report of a trace."""

from polylore.errors import RunError
from polylore.runs import RunFolder
from polylore.studies.patch.context import PatchContext
from polylore.studies.patch.planning.plan import PatchPlan
from polylore.studies.patch.scoring import DERIVED, PLAN
from polylore.studies.trace.context import Context

TABLES = (*DERIVED, "patch_selfcheck")
NOTE = "concepts"
"""What the manifest says of that run."""


def add_concepts(run: RunFolder, patched: RunFolder) -> None:
    """Store the derived tables of a `patch` run beside those of a trace; its report shows them.

    Raises:
        RunError: it was not scored yet, or it is of other checkpoints.
    """
    known, asked = run.table("checkpoints"), patched.table("checkpoints")
    strange = asked.join(known, on="ckpt_id", how="anti")["ckpt_id"].to_list()
    if strange:
        raise RunError(
            f"{patched.path} is about checkpoints that {run.path} does not have ({strange[0]}); "
            "give a run of the same checkpoints."
        )
    plan = PatchPlan.load(patched.path / PLAN)
    for name in TABLES:
        run.write_table(name, patched.table(name))
    said = {"run": patched.path.name, "plan": plan.hash, "preset": plan.head.config.preset}
    run.annotate(NOTE, {**said, "seen": plan.settings.seen})


def opened(context: Context) -> PatchContext | None:
    """What the pages of `patch` need; None if there is no such run."""
    if context.table("patch_curves") is None:
        return None
    tables = {name: context.table(name) for name in (*TABLES, "checkpoints")}
    said = context.run.manifest.get(NOTE, {})
    return PatchContext(
        {name: frame for name, frame in tables.items() if frame is not None},
        tuple(said.get("seen", ())),
        str(said.get("preset", "default")),
    )
