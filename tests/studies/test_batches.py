"""How pending work is cut into batches."""

from pathlib import Path

import polars as pl
import pytest

from polylore.models.store import Store
from polylore.runs import RunFolder
from polylore.studies.trace.ask import plan_batches, unit_name
from polylore.studies.trace.config import AskConfig, ExecutionConfig
from polylore.studies.trace.similarity import Measure
from polylore.tables import raw

LANGS = ["en", "fr", "de", "tr"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.open(tmp_path / "run", "trace", {}, {})


@pytest.fixture
def local(tmp_path: Path) -> pl.DataFrame:
    """Three checkpoints on this machine."""
    rows = []
    for step in (1, 2, 3):
        folder = tmp_path / f"step-{step}"
        folder.mkdir()
        (folder / "model.safetensors").touch()
        rows.append({"ckpt_id": folder.name, "path": str(folder), "step": step})
    return _table(rows)


def _table(rows: list[dict]) -> pl.DataFrame:
    common = {"family": "plain", "model": "m", "tokens_exact": False, "final": False,
              "suspect": False}  # fmt: skip
    return raw.CHECKPOINTS.build([common | row for row in rows])


def cut(
    run: RunFolder,
    checkpoints: pl.DataFrame,
    jobs: int,
    ask: AskConfig | None = None,
    measure: Measure | None = None,
) -> list[tuple[str, tuple[str, ...]]]:
    batches = plan_batches(
        run, checkpoints, LANGS, ask or AskConfig(), ExecutionConfig(jobs=jobs), Store(), measure
    )
    return [(batch.ckpt_id, batch.parts) for batch in batches]


def test_the_last_checkpoint_goes_language_by_language(run: RunFolder, local: pl.DataFrame) -> None:
    each = [("step-3", (lang,)) for lang in LANGS]
    assert cut(run, local, 1) == [("step-1", tuple(LANGS)), ("step-2", tuple(LANGS)), *each]
    both = [(f"step-{n}", (lang,)) for n in (2, 3) for lang in LANGS]
    assert cut(run, local, 2) == [("step-1", tuple(LANGS)), *both]


def test_what_must_be_fetched_or_started_is_kept_together(
    run: RunFolder, local: pl.DataFrame
) -> None:
    hub = _table([{"ckpt_id": "step1", "repo": "o/m", "revision": "step1", "commit": "c"}])
    assert cut(run, hub, 1) == [("step1", tuple(LANGS))]
    assert cut(run, hub, 2) == [("step1", ("en", "de")), ("step1", ("fr", "tr"))]
    apart = AskConfig(backend="vllm")
    assert cut(run, local.tail(1), 1, apart) == [("step-3", tuple(LANGS))]


def test_done_units_are_left_out(run: RunFolder, local: pl.DataFrame) -> None:
    parts = {"answers": raw.ANSWERS.empty()}
    for lang in ("en", "tr"):
        run.write_unit(unit_name("step-3", lang), parts)
    assert cut(run, local.tail(1), 1) == [("step-3", ("fr",)), ("step-3", ("de",))]


def test_similarity_is_a_unit_of_each_checkpoint(run: RunFolder, local: pl.DataFrame) -> None:
    measure = Measure("en", ("prompt_end",), 0, None, True)
    suspect = local.with_columns(suspect=pl.col("ckpt_id") == "step-2")
    first, second, *last = cut(run, suspect, 1, measure=measure)
    assert first == ("step-1", (*LANGS, "similarity"))
    assert second == ("step-2", tuple(LANGS))  # its weights belong elsewhere
    assert last == [("step-3", (part,)) for part in (*LANGS, "similarity")]
