"""Models on the hub: what is listed, in which order, and what every failure says."""

import shutil
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
from hub_fake import FakeHub, cache_revision, http_error, write_checkpoint
from huggingface_hub.errors import OfflineModeIsEnabled

from polylore.errors import ModelError
from polylore.models import hub as hub_module
from polylore.models.hub import UnreachableError, repos_of, weights_among
from polylore.models.hub_series import scan_hub
from polylore.models.resolve import refresh, resolve
from polylore.tables.raw import CHECKPOINTS

REPO = "lab/model"


def test_names_of_repositories() -> None:
    assert repos_of("allenai/OLMo-2-0425-1B") == ["allenai/OLMo-2-0425-1B"]
    assert repos_of("a/b + a/b-early") == ["a/b", "a/b-early"]
    for path in ("model", "runs/demo/model", "./a", "../a/b", "/a/b", "~/a", "a/b+", "a//b"):
        assert repos_of(path) is None


def test_branches_in_numeric_order_with_hashes(hub: FakeHub, cache: Path) -> None:
    for step in (1000, 20, 3):
        hub.add(REPO, f"step{step}", step)
    hub.add(REPO, "main", 1000)
    hub.add(REPO, "notes", 5)
    (hub.add(REPO, "step4000", 1) / "model.safetensors").unlink()
    series = scan_hub([REPO], cache=cache)
    frame = series.checkpoints
    assert frame.columns == list(CHECKPOINTS.schema)
    assert frame["ckpt_id"].to_list() == ["step3", "step20", "step1000", "main"]
    assert frame["step"].to_list() == [3, 20, 1000, None]
    assert frame["revision"].to_list() == frame["ckpt_id"].to_list()
    assert set(frame["repo"]) == {REPO} == set(frame["model"])
    assert frame["path"].null_count() == 4
    assert frame["files_hash"].n_unique() == 3
    assert frame["duplicate_of"].to_list() == [None, None, None, "step1000"]
    assert not frame["suspect"].any()
    assert dict(series.skipped) == {
        f"{REPO}@notes": "its name says no step, or several",
        f"{REPO}@step4000": "it holds no weights",
    }
    assert not hub.downloads


def test_file_lists_are_asked_for_once(hub: FakeHub, cache: Path) -> None:
    for step in (1, 2):
        hub.add(REPO, f"step{step}", step)
    scan_hub([REPO], cache=cache)
    scan_hub([REPO], cache=cache)
    assert hub.listed == 2


def test_equal_files_are_duplicates_without_download(hub: FakeHub, cache: Path) -> None:
    for step, value in ((1, 1), (2, 9), (3, 9), (4, 4), (5, 4)):
        hub.add(REPO, f"step{step}", value, shards=2)
    hub.add(REPO, "main", 4, shards=2)
    frame = resolve(REPO, cache_dir=str(cache)).series
    assert frame["suspect"].to_list() == [False, True, True, True, False, False]
    assert frame["duplicate_of"].to_list() == [None, None, "step2", "step5", None, "step5"]
    kept = resolve(REPO, cache_dir=str(cache), duplicates="keep").chosen
    assert not kept["suspect"].any()
    assert kept["flags"].to_list()[1] == ["duplicate_kept"]
    with pytest.raises(ModelError, match=r"step2, step3, step4; set series.duplicates"):
        resolve(REPO, cache_dir=str(cache), duplicates="error")


def test_tags_where_branches_say_no_steps(hub: FakeHub, cache: Path) -> None:
    repo = "swiss-ai/Apertus-8B-2509"
    for n in (1, 2):
        hub.add(repo, f"step{n}000-tokens{n}B", n)
        hub.tags.add(f"step{n}000-tokens{n}B")
    hub.add(repo, "main", 2)
    hub.add(repo, "step10-tokens1B-longctx", 3)
    frame = scan_hub([repo], cache=cache).checkpoints
    assert frame["ckpt_id"].to_list() == ["step1000-tokens1B", "step2000-tokens2B", "main"]
    assert frame["flags"].to_list() == [["tag"], ["tag"], None]
    assert frame["family"].to_list() == ["apertus", "apertus", "final"]
    hub.add(repo, "step5000-tokens5B", 5)
    hub.add(repo, "step6000-tokens6B", 6)
    frame = scan_hub([repo], cache=cache).checkpoints
    assert frame["step"].to_list() == [5000, 6000, None]


def test_several_repositories_are_one_model(hub: FakeHub, cache: Path) -> None:
    early, late = "allenai/OLMo-2-0425-1B-early-training", "allenai/OLMo-2-0425-1B"
    for step in (0, 100, 200):
        hub.add(early, f"stage1-step{step}-tokens1B", step)
    hub.add(early, "step300-tokens1B", 300)
    hub.add(early, "main", 0)
    hub.add(late, "stage1-step200-tokens1B", 201)
    hub.add(late, "stage1-step1000-tokens3B", 1000)
    hub.add(late, "stage2-ingredient1-step50-tokens2B", 50)
    hub.add(late, "stage2-ingredient2-step50-tokens2B", 51)
    hub.add(late, "main", 5)
    series = scan_hub([late, early], cache=cache)
    frame = series.checkpoints
    assert frame["step"].to_list() == [0, 100, 200, 300, 1000, 50, 50, None]
    assert frame.filter(frame["step"] == 200)["repo"].to_list() == [late]
    assert frame.filter(frame["step"] == 300)["flags"].to_list() == [["prefix_missing"]]
    assert frame["tokens"].to_list()[4:7] == [3 * 10**9, 5 * 10**9, 5 * 10**9]
    assert set(frame["model"]) == {late}
    reasons = dict(series.skipped)
    assert "named first" in reasons[f"{early}@stage1-step200-tokens1B"]
    assert "final model" in reasons[f"{early}@main"]
    one = resolve(f"{late}+{early}", ingredient=2, cache_dir=str(cache)).series
    assert one["ingredient"].drop_nulls().to_list() == [2]


def test_pythias_final_model_stands_for_its_last_step(hub: FakeHub, cache: Path) -> None:
    repo = "EleutherAI/pythia-70m"
    for step in (1000, 142_000):
        hub.add(repo, f"step{step}", step)
    hub.add(repo, "main", 1)
    row = scan_hub([repo], cache=cache).checkpoints.row(-1, named=True)
    assert (row["ckpt_id"], row["step"], row["final"]) == ("main", 143_000, False)
    assert (row["tokens"], row["flags"]) == (143_000 * 2**21, ["stands_for_last_step"])
    hub.add(repo, "step143000", 1)
    row = scan_hub([repo], cache=cache).checkpoints.row(-1, named=True)
    assert (row["ckpt_id"], row["step"], row["final"], row["flags"]) == ("main", None, True, None)
    assert (row["duplicate_of"], row["suspect"]) == ("step143000", False)


def test_weights_that_are_there() -> None:
    assert weights_among(["model.safetensors", "pytorch_model.bin"]) == ["model.safetensors"]
    assert weights_among(["pytorch_model.bin", "x.gguf"]) == ["pytorch_model.bin"]
    two = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = "model.safetensors.index.json"
    assert weights_among([*two, index]) == two
    assert weights_among([two[0], index]) == weights_among(two) == []


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_offline_reads_the_cache(
    hub: FakeHub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    for step, value in ((1, 1), (2, 2), (4, 4), (5, 5), (6, 6), (7, 1)):
        folder = write_checkpoint(tmp_path / "made" / str(step), value)
        snapshot = cache_revision(cache, REPO, f"step{step}", folder)
    split = write_checkpoint(tmp_path / "made" / "split", 6, shards=2)
    cache_revision(cache, REPO, "step8", split)
    cache_revision(cache, REPO, "refs/pr/1", split)
    empty = tmp_path / "made" / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    cache_revision(cache, REPO, "step9", empty)
    resolved = resolve(REPO, cache_dir=str(cache))
    frame = resolved.chosen
    assert frame["step"].to_list() == [1, 2, 4, 5, 6, 7, 8]
    assert frame["path"].to_list()[5] == str(snapshot)
    assert frame["weight_hash"].null_count() == 0
    # Equal files (1, 7) and equal weights in other files (6, 8).
    assert frame.filter("suspect")["step"].to_list() == [1, 6, 7, 8]
    assert frame["files_hash"].to_list()[4] != frame["files_hash"].to_list()[6]
    assert resolved.gaps["missing_steps"].to_list() == [[3]]
    assert resolved.skipped == ((f"{REPO}@step9", "its weights are not on this machine"),)
    assert hub.listed == 0
    assert not hub.downloads
    with pytest.raises(UnreachableError, match=r"lab/other is not in the hub's cache .*OFFLINE"):
        resolve("lab/other", cache_dir=str(cache))


def test_a_truncated_file_in_the_cache_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    folder = write_checkpoint(tmp_path / "made", 1)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-5])
    cache_revision(cache, REPO, "step1", folder)
    with pytest.raises(ModelError, match=r"model.safetensors is damaged or cut short"):
        resolve(REPO, cache_dir=str(cache))


def refused(*_: Any) -> Any:
    raise httpx2.ConnectError("Name or service not known")


def test_unreachable_hub_falls_back_on_the_cache(
    hub: FakeHub, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache_revision(cache, REPO, "step1", hub.add(REPO, "step1", 1))
    hub.add(REPO, "step2", 2)
    hub.fail = refused
    frame = scan_hub([REPO], cache=cache).checkpoints
    assert frame["step"].to_list() == [1]
    assert "Using the revisions of lab/model in the cache" in caplog.text
    shutil.rmtree(cache)
    with pytest.raises(UnreachableError, match=r"^There is no folder lab/model here, and the"):
        scan_hub([REPO], cache=cache)


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (
            lambda: http_error(403, "GatedRepo", "https://huggingface.co/api/models/lab/model"),
            r"lab/model is gated; ask for access at https://huggingface.co/lab/model and log in",
        ),
        (
            lambda: http_error(404, "RepoNotFound", "https://huggingface.co/api/models/lab/model"),
            r"no folder lab/model here and no model lab/model on the hub",
        ),
        (
            lambda: http_error(404, "RevisionNotFound", "https://huggingface.co/lab/model/r"),
            r"lab/model has no revision abc",
        ),
        (
            lambda: http_error(503, "", "https://huggingface.co/api/models/lab/model"),
            r"The hub refused a request about lab/model \(.*503.*\); try again later",
        ),
    ],
)
def test_failures_are_one_sentence(fail: Any, message: str) -> None:
    with (
        pytest.raises(ModelError, match=message) as caught,
        hub_module.in_one_sentence("lab/model", "abc"),
    ):
        fail()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [OfflineModeIsEnabled("off"), httpx2.ReadTimeout("slow"), ConnectionResetError("gone")],
)
def test_no_network_is_one_sentence(error: Exception) -> None:
    with (
        pytest.raises(
            UnreachableError, match="the hub cannot be reached for it; check the network"
        ),
        hub_module.in_one_sentence("lab/model"),
    ):
        raise error


def test_defects_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), hub_module.in_one_sentence("lab/model"):
        raise ZeroDivisionError


def test_missing_model_and_unknown_revision(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(ModelError, match="no model lab/absent on the hub"):
        resolve("lab/absent", cache_dir=str(cache))
    for step in (1000, 2000, 3000):
        hub.add(REPO, f"step{step}", step)
    with pytest.raises(ModelError, match=r"revision 'step2500'; the closest .*step2000"):
        resolve(REPO, schedule=["step2500"], cache_dir=str(cache))
    hub.add("lab/empty", "notes", 1)
    with pytest.raises(ModelError, match=r"no checkpoint with weights in .*; left out: .*notes"):
        resolve("lab/empty", cache_dir=str(cache))


def test_fingerprints_that_become_known_later(hub: FakeHub, cache: Path) -> None:
    hub.add(REPO, "step1", 7)
    hub.add(REPO, "step2", 7, shards=2)
    chosen = resolve(REPO, cache_dir=str(cache)).chosen
    assert not chosen["suspect"].any()
    assert refresh(chosen, cache_dir=str(cache)).equals(chosen)
    from polylore.models.store import Source, Store

    store = Store(str(cache))
    for row in chosen.iter_rows(named=True):
        with store.open(Source.of(row)) as folder:
            store.note_weights(Source.of(row), folder)
    fresh = refresh(chosen, cache_dir=str(cache))
    assert fresh["weight_hash"].n_unique() == 1
    assert fresh["suspect"].to_list() == [True, True]
    assert fresh["duplicate_of"].to_list() == [None, "step1"]
