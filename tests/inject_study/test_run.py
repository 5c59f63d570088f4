"""A whole study on a tiny model."""

from pathlib import Path

from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.study import run_inject


def test_a_study_writes_its_tables(config: InjectConfig, tmp_path: Path) -> None:
    run = run_inject(config, tmp_path / "run")
    log = run.read("inject_log")
    print(run.manifest["probing"], log, run.read("inject_steps"), run.read("inject_ceiling"))
    print(run.table("inject_contamination"), run.table("inject_runs"))
