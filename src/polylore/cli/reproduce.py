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
@click.option(
    "--predictions",
    required=True,
    type=click.Path(path_type=Path),
    help="Outputs of any models to the published sets (predictions.parquet).",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
def align(predictions: Path, out: Path) -> None:
    """Published scores of the study align, for every model of the file."""
    from polylore.studies.reproduce_align import reproduce_align

    _, remarks = reproduce_align(predictions, out)
    for remark in remarks:
        click.echo(remark, err=True)
    click.echo(f"Wrote {out}.")
