"""`polylore patch`: when does a shared concept space emerge, shown causally?"""

from typing import Any

import click

from polylore.cli.options import config_options, read_config
from polylore.cli.output import show_frame
from polylore.cli.progress import progress_display
from polylore.studies.patch.config import PatchConfig


@click.group()
def patch() -> None:
    """Show causally when a shared concept space emerges in training."""


@patch.command()
@config_options(PatchConfig, positional="model")
@click.option("--out", "-o", default="runs/patch/plan", show_default=True, help="Folder to write.")
@click.option("--dry-run", is_flag=True, help="Say what it costs, and write nothing.")
@click.option(
    "--retokenise",
    metavar="PLAN",
    help="Carry this plan over to the model's tokenizer: same pairs and texts, new ids.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def plan(
    study: str | None,
    settings: tuple[str, ...],
    out: str,
    dry_run: bool,
    retokenise: str | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Make a plan: prompts, and which states go where. Needs the tokenizer, never the weights."""
    config = read_config(PatchConfig, study, settings, flags, positional="model")
    from polylore.studies.patch.planning.build import make_plan
    from polylore.studies.patch.planning.build import retokenise as carry_over
    from polylore.studies.patch.planning.cost import plan_cost
    from polylore.studies.patch.planning.plan import PatchPlan
    from polylore.studies.patch.planning.source import open_model

    model = open_model(config)
    with progress_display(quiet) as progress:
        if retokenise is None:
            made = make_plan(config, model.tokenizer, progress=progress)
        else:
            made = carry_over(PatchPlan.load(retokenise), model.tokenizer)
    made.check_model(model.positions, model.vocabulary)
    costs = plan_cost(made, model.anatomy.layers, model.anatomy.parameters)
    show_frame(costs.select("topic", "name", "value", "unit", "remark"), header=False)
    for reason, found in made.head.dropped.items():
        click.echo(f"left out: {found['n']} {reason.replace('_', ' ')}")
    if dry_run:
        click.echo("Nothing was written.")
        return
    made.save(out)
    click.echo(f"Plan: {out} ({made.hash[:12]})")
