"""Two sources of counts, compared."""

from pathlib import Path

import polars as pl

from polylore import metrics
from polylore.errors import ConfigError, DataError
from polylore.facts import load_facts
from polylore.files import read_parquet, write_parquet
from polylore.metrics.freq_agreement import paired
from polylore.runs import RunFolder
from polylore.tables import raw


def compare(
    a: Path,
    b: Path,
    *,
    facts: str | None = None,
    worst: int = 50,
    corpus_documents: int | None = None,
    draws: int = 1000,
    out: Path | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Agreement of two exposure tables (specification of `trace`, section 3.2).

    Args:
        a: exposure table, or a folder that holds one.
        b: the other.
        facts: fact set; that of a counting run among the two if None.
        worst: rows with the worst disagreement.
        corpus_documents: documents of the corpus, which no count can exceed.
        draws: bootstrap draws over facts; 0 leaves the interval out.
        out: folder for the two tables as Parquet.

    Returns:
        Tables FREQ_AGREEMENT and FREQ_DISAGREEMENTS.

    Raises:
        ConfigError: no fact set is given or found.
        DataError: a table is missing or mixes sources or units.
    """
    cells = _facts(facts, a, b)
    pairs = paired(_exposure(a), _exposure(b), cells)
    resampled = metrics.cluster_draws(cells, n=draws) if draws else None
    summary = metrics.freq_agreement(pairs, draws=resampled, corpus_documents=corpus_documents)
    rows = metrics.disagreements(pairs, worst)
    if out is not None:
        write_parquet(summary, out / "freq_agreement.parquet")
        write_parquet(rows, out / "freq_disagreements.parquet")
    return summary, rows


def _facts(source: str | None, *places: Path) -> pl.DataFrame:
    if source is not None:
        return load_facts(source).facts
    for place in places:
        if (place / "manifest.json").is_file():
            run = RunFolder.load(place)
            if run.has_table("facts"):
                return run.table("facts")
    raise ConfigError("Say which facts were counted, with --facts.")


def _exposure(place: Path) -> pl.DataFrame:
    for path in (place / "tables" / "exposure.parquet", place / "exposure.parquet", place):
        if path.is_file():
            return raw.EXPOSURE.validate(read_parquet(path, raw.EXPOSURE_FILE))
    raise DataError(f"There is no exposure table {place}; give {raw.EXPOSURE_FILE}.")
