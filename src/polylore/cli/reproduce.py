"""`polylore reproduce`: published statistics, recomputed from published data."""

from pathlib import Path
from typing import Any

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
    """Data statistics and pseudo-label arithmetic of trace."""
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
    """Counts of the lexicon behind patch, for every language."""
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


@reproduce.command()
@click.option("--log", type=click.Path(path_type=Path), help="Log of probes as .npz.")
@click.option(
    "--published-logs",
    type=click.Path(path_type=Path),
    help="Folder of the published per-step logs (JSON).",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
def inject(log: Path | None, published_logs: Path | None, out: Path) -> None:
    """Gain and loss of injected facts, as published and corrected."""
    from polylore.cli.progress import progress_display
    from polylore.errors import ConfigError
    from polylore.studies.reproduce_inject import reproduce_inject, reproduce_published_logs

    if (log is None) == (published_logs is None):
        raise ConfigError("Give either --log FILE.npz or --published-logs DIR.")
    if log is not None:
        reproduce_inject(log, out)
    elif published_logs is not None:
        with progress_display() as progress:
            made = reproduce_published_logs(published_logs, out, progress)
        _show_decays(made["table"])
    click.echo(f"Wrote {out}.")


def _show_decays(rows: list[dict[str, Any]]) -> None:
    """Decay constants in the order of the paper's main table, as published and by both kernels."""
    import polars as pl

    from polylore.cli.output import show_frame

    click.echo("Decay constants, per factor of ten in steps:")
    show_frame(
        pl.DataFrame(rows).select(
            "scenario",
            "depth",
            "stage",
            pl.col("iqr_1.5").alias("paper (IQR 1.5)"),
            pl.col("iqr_2.0").alias("released code (IQR 2.0)"),
            pl.col("default").alias("kernel, one gain for all exposures"),
            pl.col("by_exposure").alias("kernel, a gain for each exposure"),
        )
    )
