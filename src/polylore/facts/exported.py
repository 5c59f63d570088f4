"""Reader of what `FactSet.export` wrote."""

from pathlib import Path

import polars as pl

from polylore.errors import DataError
from polylore.facts.factset import MANIFEST, FactSet
from polylore.files import read_json, read_parquet
from polylore.tables import Table, raw


def read_export(folder: Path) -> FactSet:
    """Read what `FactSet.export` wrote.

    Raises:
        DataError: a file is missing or damaged, or breaks its contract.
    """
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") not in ("parquet", "jsonl"):
        raise DataError(f"{folder / MANIFEST} is not a manifest of a fact set; export it again.")
    frames = [_contract_frame(folder, t, manifest["format"]) for t in (raw.FACTS, raw.TEMPLATES)]
    name, notes = str(manifest.get("name", folder.name)), manifest.get("notes", [])
    return FactSet(name, frames[0], frames[1], tuple(map(str, notes)))


def _contract_frame(folder: Path, table: Table, form: str) -> pl.DataFrame:
    path = folder / f"{table.name}.{form}"
    if form == "parquet":
        return read_parquet(path)
    try:
        return pl.read_ndjson(path, schema=table.schema)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}; export the fact set again.") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not readable ({reason}); export the fact set again.") from error
