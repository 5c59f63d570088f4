"""`polylore reproduce`: published statistics, recomputed from published data."""

from pathlib import Path

import click


@click.group()
def reproduce() -> None:
    """Recompute published statistics from published data."""


@reproduce.command()
@click.option(
    "--klar", required=True, type=click.Path(path_type=Path), help="Folder of the KLAR facts."
)
@click.option(
    "--frequencies",
    required=True,
    type=click.Path(path_type=Path),
    help="Frequency JSON of the same facts.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
def trace(klar: Path, frequencies: Path, out: Path) -> None:
    """Data statistics and pseudo-label arithmetic of the study trace, for every language."""
    from polylore.studies.reproduce import reproduce_trace

    reproduce_trace(klar, frequencies, out)
    click.echo(f"Wrote {out}.")


@reproduce.command()
@click.option(
    "--multisimlex",
    required=True,
    type=click.Path(path_type=Path),
    help="Multi-SimLex in Concepticon's layout (Vulic-2020-2244.tsv).",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
def patch(multisimlex: Path, out: Path) -> None:
    """Counts of the lexicon behind the study patch, for every language of the file."""
    from polylore.studies.reproduce_patch import reproduce_patch

    reproduce_patch(multisimlex, out)
    click.echo(f"Wrote {out}.")


@reproduce.command()
@click.option("--log", type=click.Path(path_type=Path), help="Log of probes as .npz.")
@click.option(
    "--published-logs",
    type=click.Path(path_type=Path),
    help="Folder of the published per-step logs (JSON).",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
def inject(log: Path | None, published_logs: Path | None, out: Path) -> None:
    """Gain and loss of injected facts, in both published forms and the corrected one."""
    from polylore.cli.progress import progress_display
    from polylore.errors import ConfigError
    from polylore.studies.reproduce_inject import reproduce_inject, reproduce_published_logs

    if (log is None) == (published_logs is None):
        raise ConfigError("Give either --log FILE.npz or --published-logs DIR.")
    if log is not None:
        reproduce_inject(log, out)
    elif published_logs is not None:
        with progress_display() as progress:
            reproduce_published_logs(published_logs, out, progress)
    click.echo(f"Wrote {out}.")
