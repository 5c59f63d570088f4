"""The run folder keeps what is finished and nothing else."""

import errno
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from polylore import tables
from polylore.errors import DataError, RunError
from polylore.files import atomic_path
from polylore.runs import RunFolder

CONFIG: dict[str, Any] = {"ask": {"n_shot": 3}, "languages": ["en", "zh"]}


def answers(ckpt: str, n: int = 2) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ckpt_id": [ckpt] * n,
            "fact_id": [f"f{i}" for i in range(n)],
            "lang": ["zh"] * n,
            "variant": [0] * n,
            "mode": ["generate"] * n,
            "prompt_id": [f"p{i}" for i in range(n)],
            "raw_text": ["欧元"] * n,
            "dtype": ["float32"] * n,
        }
    )


def test_units_survive_reopening(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "r", "trace", CONFIG, {"facts": "abc"})
    assert run.pending(["b", "a"]) == ["b", "a"]
    run.write_unit("a", {"answers": answers("a")})
    again = RunFolder.open(tmp_path / "r", "trace", CONFIG, {"facts": "abc"})
    assert again.pending(["b", "a"]) == ["b"]
    again.write_unit("b", {"answers": answers("b")})
    assert again.read("answers")["ckpt_id"].to_list() == ["a", "a", "b", "b"]


def test_order_of_finishing_does_not_matter(tmp_path: Path) -> None:
    frames = []
    for name, order in (("x", ["a", "b", "c"]), ("y", ["c", "a", "b"])):
        run = RunFolder.open(tmp_path / name, "trace", CONFIG, {})
        for unit in order:
            run.write_unit(unit, {"answers": answers(unit)})
        frames.append(run.read("answers"))
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize(
    ("kind", "config", "inputs", "named"),
    [
        ("align", CONFIG, {"facts": "abc"}, "kind"),
        ("trace", {**CONFIG, "ask": {"n_shot": 5}}, {"facts": "abc"}, "ask.n_shot: 3 there, 5"),
        ("trace", CONFIG, {"facts": "xyz"}, "inputs.facts"),
    ],
)
def test_other_configuration_is_refused_by_name(
    tmp_path: Path, kind: str, config: dict[str, Any], inputs: dict[str, str], named: str
) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {"facts": "abc"})
    run.write_unit("a", {"answers": answers("a")})
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(RunError, match=named):
        RunFolder.open(tmp_path, kind, config, inputs)
    assert (tmp_path / "manifest.json").read_bytes() == before


OTHER: dict[str, Any] = {**CONFIG, "ask": {"n_shot": 5}}


def test_what_was_refused_before_its_first_unit_gives_way(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {"facts": "abc"})
    run.write_table("exposure", tables.ALL["exposure"].empty())
    run.annotate("resolved", {"missing": []})
    with run.lock():
        pass
    before = (tmp_path / "manifest.json").read_bytes()
    assert RunFolder.find(tmp_path, "trace", OTHER, {"facts": "abc"}) is None
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert run.has_table("exposure")

    other = RunFolder.open(tmp_path, "trace", OTHER, {"facts": "abc"})
    assert RunFolder.load(tmp_path).manifest == other.manifest
    assert other.manifest["config"] == OTHER
    assert "resolved" not in other.manifest
    assert not other.has_table("exposure")  # another question, which may have none
    with other.lock():
        other.write_unit("a", {"answers": answers("a")})
    with pytest.raises(RunError, match=r"ask.n_shot: 5 there, 3"):
        RunFolder.open(tmp_path, "trace", CONFIG, {"facts": "abc"})
    assert other.is_done("a")


@pytest.mark.parametrize(
    "made",
    [
        "units/a-0123456789/done.json",
        "units/a-0123456789/state.safetensors",
        "checkpoints/step-000001/model.safetensors",
        "runs/one/state.json",
        "report.html",
        "tables/recall.parquet",
        "tables/recall.csv",
        "tables/old/facts.parquet",
        "unfinished/0123456789abcdef/state/model.safetensors",
        "arms/start/seed-0/identity.json",
        "inputs/background/documents-288/training/tokens.bin",  # of an older version
        "inputs/items/mine.jsonl",
        "failed/notes.txt",
        "plan/notes.md",
    ],
)
def test_what_may_have_cost_work_never_gives_way(tmp_path: Path, made: str) -> None:
    RunFolder.open(tmp_path, "trace", CONFIG, {})
    (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / made).write_text("{}")
    before = (tmp_path / "manifest.json").read_bytes()
    for ask in (RunFolder.open, RunFolder.find):
        with pytest.raises(RunError, match="another configuration"):
            ask(tmp_path, "trace", OTHER, {})
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert (tmp_path / made).is_file()


@pytest.mark.parametrize(
    "left",
    [
        "plan/lexicon/lexicon.parquet",
        "failed/0123456789abcdef.json",
        "inputs/items/items.parquet",
        "inputs/sham/items.parquet",
        "arms/init/seed-0/model.safetensors",
        "inputs/background/documents-288-0123456789ab/training/tokens.bin",
        "tables/inject_contamination.parquet",
        "units/.tmp-7-a/answers.parquet",
    ],
)
def test_what_a_refused_run_leaves_is_made_again(tmp_path: Path, left: str) -> None:
    blank = RunFolder.open(tmp_path, "trace", CONFIG, {})
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).write_text("{}")
    assert blank.is_blank()
    with RunFolder.open(tmp_path, "trace", OTHER, {}).lock():
        assert not (tmp_path / left).exists()
    with pytest.raises(RunError, match="another configuration"), blank.lock():
        raise AssertionError


def test_what_a_link_points_to_is_not_taken_for_nothing(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "run", "trace", CONFIG, {})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "units").symlink_to(tmp_path / "elsewhere")
    run.write_unit("a", {"answers": answers("a")})
    with pytest.raises(RunError, match="another configuration"):
        RunFolder.open(tmp_path / "run", "trace", OTHER, {})
    assert run.is_done("a")


def test_a_folder_in_work_does_not_give_way(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    with run.lock(), pytest.raises(RunError, match="Another process is working"):
        RunFolder.open(tmp_path, "trace", OTHER, {})
    assert RunFolder.load(tmp_path).manifest["config"] == CONFIG


def test_who_comes_late_to_a_replaced_folder_is_refused(tmp_path: Path) -> None:
    slow = RunFolder.open(tmp_path, "trace", CONFIG, {})
    quick = RunFolder.open(tmp_path, "trace", OTHER, {})
    with pytest.raises(RunError, match="another configuration"), slow.lock():
        raise AssertionError
    with quick.lock():
        pass


def test_what_another_process_began_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = RunFolder.open(tmp_path, "trace", CONFIG, {})

    def find(*_: object) -> None:
        """The folder looks blank; then the other process begins."""
        with quick.lock():
            quick.write_unit("a", {"answers": answers("a")})

    monkeypatch.setattr(RunFolder, "find", find)
    with pytest.raises(RunError, match="another configuration"):
        RunFolder.open(tmp_path, "trace", OTHER, {})
    assert RunFolder.load(tmp_path).manifest["config"] == CONFIG
    assert quick.is_done("a")


def test_damaged_part_is_made_anew_and_named(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    run.write_unit("a", {"answers": answers("a")})
    part = run.unit_path("a") / "answers.parquet"
    part.write_bytes(part.read_bytes()[:-30])
    assert run.pending(["a"]) == ["a"]
    with pytest.raises(RunError, match="unit a"):
        run.read("answers")
    run.write_unit("a", {"answers": answers("a")})
    assert run.pending(["a"]) == []
    assert run.read("answers").height == 2


@pytest.mark.parametrize(
    "text",
    ["\n", '{"unit": "a", ', "[]", '{"unit": "a"}', '{"unit": "a", "tables": {"answers": 1}}'],
)
def test_a_damaged_marker_is_no_marker(tmp_path: Path, text: str) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    for unit in ("a", "b"):
        run.write_unit(unit, {"answers": answers(unit)})
    (run.unit_path("a") / "done.json").write_text(text)
    assert run.pending(["a", "b"]) == ["a"]
    assert run.units() == ["b"]
    assert not run.has_unit("a")
    assert run.read("answers")["ckpt_id"].unique().to_list() == ["b"]
    with pytest.raises(RunError, match=r"unit a .* run the study again with the same settings"):
        run.read("answers", ["a"])
    run.write_unit("a", {"answers": answers("a")})
    assert run.units() == ["a", "b"]


@pytest.mark.parametrize("text", ['{"format": 1, "kind": "tra', "[]", '{"format": 1}'])
def test_a_damaged_manifest_says_what_is_lost_and_what_to_do(tmp_path: Path, text: str) -> None:
    RunFolder.open(tmp_path, "trace", CONFIG, {})
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"is lost.* another folder for --out"):
        RunFolder.open(tmp_path, "trace", CONFIG, {})
    assert (tmp_path / "manifest.json").read_text() == text


def test_half_written_unit_is_not_done(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    run.unit_path("a").mkdir(parents=True)
    answers("a").write_parquet(run.unit_path("a") / "answers.parquet")
    assert not run.is_done("a")
    assert run.read("answers").height == 0


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    with pytest.raises(DataError, match="lacks the column"):
        run.write_unit("a", {"answers": answers("a").drop("fact_id")})
    assert list((tmp_path / "units").iterdir()) == []


def test_unit_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    for name in ("../../evil", "/etc/passwd", "..", "a/b", "数学", "." * 300):
        assert run.unit_path(name).parent == tmp_path / "units"
    assert run.unit_path("a/b") != run.unit_path("a_b")


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="not empty"):
        RunFolder.open(tmp_path, "trace", CONFIG, {})
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError):
        RunFolder.open(tmp_path / "file" / "run", "trace", CONFIG, {})


def test_lock_keeps_a_second_process_out(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    with run.lock(), pytest.raises(RunError, match="Another process"), run.lock():
        pass


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, "trace", CONFIG, {})
    half = tmp_path / "units" / ".tmp-1-a"
    with run.lock():
        half.mkdir(parents=True)
        (half / "answers.parquet").write_bytes(b"half")
        second = RunFolder.open(tmp_path, "trace", CONFIG, {})
        with pytest.raises(RunError, match="Another process"), second.lock():
            pass
        assert (half / "answers.parquet").exists()
    with second.lock():  # nobody writes it any more
        assert not half.exists()


def test_missing_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        RunFolder.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder.load(tmp_path)


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with (
        pytest.raises(
            RunError, match=r"No space left on device; choose another folder or make room"
        ),
        atomic_path(tmp_path / "x") as temporary,
    ):
        temporary.write_bytes(b"x")
    assert not list(tmp_path.iterdir())
