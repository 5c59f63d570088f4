"""A plan says what the run then does."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import transformers as tf
from click.testing import CliRunner
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from polylore.cli.plan import plan as command
from polylore.errors import ModelError, RunError
from polylore.models.hub import UnreachableError
from polylore.models.store import Store
from polylore.runs import RunFolder
from polylore.studies.plan.needs import KEPT
from polylore.studies.plan.plan import Plan, plan
from polylore.studies.trace import ask as asking
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from hub_fake import FakeHub

STEPS = [0, 10]


def byte_tokenizer() -> Any:
    """Every byte is a token."""
    letters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = Tokenizer(models.BPE({letter: k for k, letter in enumerate(letters)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return tf.PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")


def write_series(folder: Path, steps: list[int] = STEPS, **changes: Any) -> Path:
    """Checkpoints of a tiny Llama with random weights."""
    settings = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 258,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    for step in steps:
        torch.manual_seed(step)
        model = tf.LlamaForCausalLM(tf.LlamaConfig(**settings | changes))
        model.save_pretrained(folder / f"step-{step}")
        byte_tokenizer().save_pretrained(folder / f"step-{step}")
    return folder


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("series") / "tiny")


Make = Callable[..., TraceConfig]


@pytest.fixture(scope="module")
def make(series: Path) -> Make:
    def build(**changes: Any) -> TraceConfig:
        values: dict[str, Any] = {
            "model": str(series),
            "facts": {"languages": ["en", "zh"], "limit": 4},
            "ask": {"n_shot": 1},
            "analyse": {"draws": 0},
        }
        return TraceConfig.parse(values | changes)

    return build


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Count the places that models read, and the operations of everything."""
    read = {"places": 0, "flops": 0}
    load = asking.load_model

    def note(_: Any, args: Any, kwargs: Any) -> None:
        read["places"] += kwargs["input_ids"].numel()

    def loaded(*args: Any, **kwargs: Any) -> Any:
        lm = load(*args, **kwargs)
        lm.model.register_forward_pre_hook(note, with_kwargs=True)
        return lm

    monkeypatch.setattr(asking, "load_model", loaded)
    asking._DESKS.clear()
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    attention = {kernel: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v)}
    with FlopCounterMode(display=False, custom_mapping=attention) as counter:
        yield read
    read["flops"] = counter.get_total_flops()
    asking._DESKS.clear()


def total(made: Plan, topic: str, name: str) -> float:
    return float(made.totals.filter(topic=topic, name=name)["value"].item())


def rows(made: Plan, work: str) -> pl.DataFrame:
    return made.units.filter(work=work)


@pytest.mark.parametrize(
    "ask",
    [
        {"n_shot": 1},
        {"n_shot": 0, "variants": [0, 1], "final_variants": [2], "generate": False},
        {"n_shot": 2, "demos": "paper", "content_free": False, "stop_at_newline": False},
    ],
    ids=["default", "last wording", "running demonstrations"],
)
def test_rows_tokens_and_flops_are_those_of_the_run(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: dict[str, Any]
) -> None:
    config = make(ask=ask)
    made = plan(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with watched(monkeypatch) as read:
        run = trace(config, tmp_path / "run", report=False)
    answers, scores = run.read("answers"), run.read("candidate_scores")
    for mode, work in (("candidates", "candidates"), ("generate", "generate")):
        asked = answers.filter(mode=mode).group_by("ckpt_id", "lang").len("prompts")
        planned = rows(made, work).select("ckpt_id", "lang", pl.col("prompts").cast(pl.UInt32))
        assert planned.sort("ckpt_id", "lang").equals(asked.sort("ckpt_id", "lang"))
    assert rows(made, "candidates")["candidates"].sum() == scores.height
    assert total(made, "asking", "units") == len(run.units())

    expected = made.units["tokens"].sum() + made.units["padding"].sum()
    if ask.get("generate", True):
        new = answers.filter(mode="generate")["n_new_tokens"].sum()
        assert new <= rows(made, "generate")["new_tokens_most"].sum()
        assert made.units["flops_most"].sum() == pytest.approx(read["flops"], rel=0.25)
    else:
        assert expected == read["places"]
        assert made.units["flops"].sum() == pytest.approx(read["flops"], rel=0.03)


def test_answers_seen_so_far_tell_the_rest(
    make: Make, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one checkpoint asked, the same one under another name is planned to the token."""
    import shutil

    folder = tmp_path / "twice"
    shutil.copytree(series / "step-10", folder / "step-1")
    config = make(model=str(folder), series={"duplicates": "keep"})
    run = trace(config, tmp_path / "run", report=False)
    shutil.copytree(series / "step-10", folder / "step-2")
    made = plan(config, tmp_path / "run")
    assert set(made.units["ckpt_id"]) == {"step-2"}
    new = rows(made, "generate")["new_tokens"].sum()
    seen = run.read("answers").filter(mode="generate")
    assert new == seen["n_new_tokens"].sum() + (seen["stop_reason"] == "eos").sum()
    with watched(monkeypatch) as read:
        trace(config, tmp_path / "run", report=False)
    assert made.units["tokens"].sum() + made.units["padding"].sum() == read["places"]
    assert made.units["flops"].sum() == pytest.approx(read["flops"], rel=0.03)


def test_only_what_is_left_is_planned(make: Make, tmp_path: Path) -> None:
    import shutil

    config = make()
    whole = plan(config, tmp_path / "run")
    run = trace(config, tmp_path / "run", report=False)
    done = plan(config, tmp_path / "run")
    assert done.units.height == 0
    assert total(done, "asking", "units") == 0
    shutil.rmtree(run.unit_path("step-10/zh"))
    left = plan(config, tmp_path / "run")
    assert set(left.units.select("ckpt_id", "lang").iter_rows()) == {("step-10", "zh")}
    same = whole.units.filter(ckpt_id="step-10", lang="zh", work="candidates")
    assert left.units.filter(work="candidates").equals(same)
    # Each process finds out anew how the model may be read.
    assert left.units.filter(work="check").height == 1
    sizes = [p.stat().st_size for u in run.units() for p in run.unit_path(u).iterdir()]
    assert total(left, "disk", "run folder") == pytest.approx(sum(sizes) / len(run.units()))
    with pytest.raises(RunError, match="another configuration"):
        plan(make(ask={"n_shot": 2}), tmp_path / "run")


def test_every_process_checks_for_itself(make: Make, tmp_path: Path) -> None:
    one, two = (plan(make(execution={"jobs": n}), tmp_path) for n in (1, 2))
    checks = [rows(made, "check")["tokens"].sum() for made in (one, two)]
    assert checks[1] == 2 * checks[0] > 0
    assert total(two, "memory", "peak of all processes") == pytest.approx(
        2 * total(two, "memory", "peak of a process")
    )


def test_measured_here(make: Make, tmp_path: Path) -> None:
    made = plan(make(), tmp_path / "run", measured=True)
    assert (made.units["seconds"] > 0).all()
    seconds = total(made, "time", "this machine, forward passes")
    assert seconds == pytest.approx(made.units["seconds"].sum())
    remark = made.totals.filter(topic="reading", name="tokens to score candidates")["remark"].item()
    assert "packed engine, checked" in remark
    assert "expected: as" in made.totals.filter(name="tokens generated")["remark"].item()


@pytest.fixture
def hub(tmp_path: Path, series: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The series as branches of a repository."""
    fake = FakeHub(tmp_path / "hub")
    repo = fake.root / "lab" / "tiny"
    repo.mkdir(parents=True)
    for folder in series.iterdir():
        (repo / folder.name).symlink_to(folder)
    fake.install(monkeypatch)
    return fake


def remote(make: Make, tmp_path: Path, **series: Any) -> TraceConfig:
    return make(model="lab/tiny", series={"cache_dir": str(tmp_path / "cache"), **series})


def test_of_the_hub_only_small_files_are_fetched(
    hub: FakeHub, make: Make, series: Path, tmp_path: Path
) -> None:
    config = remote(make, tmp_path, disk_budget_gb=0.001)
    made = plan(config, tmp_path / "run", measured=True)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    sizes = [sum(p.stat().st_size for p in folder.iterdir()) for folder in series.iterdir()]
    assert total(made, "disk", "downloads") == sum(sizes)
    assert total(made, "disk", "checkpoints at once") == sum(sorted(sizes)[-2:])
    assert total(made, "disk", "checkpoints at once, with the budget") <= 1e6
    remark = made.totals.filter(name="this machine, forward passes")["remark"].item()
    assert "random weights" in remark
    local = plan(make(), tmp_path / "run")
    columns = ["ckpt_id", "lang", "work", "tokens", "flops"]
    assert made.units.select(columns).equals(local.units.select(columns))
    kept = plan(remote(make, tmp_path, keep=True), tmp_path / "run")
    assert total(kept, "disk", "checkpoints at once") == sum(sizes)
    small = plan(remote(make, tmp_path, disk_budget_gb=1e-6), tmp_path / "run")
    found = small.totals.filter(name="checkpoints at once, with the budget")["remark"].item()
    assert "will be refused" in found


def test_unknown_sizes_are_said_to_be(
    hub: FakeHub, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = remote(make, tmp_path)

    def unreachable(self: Store, source: object) -> int:
        raise UnreachableError("no network")

    monkeypatch.setattr(Store, "size", unreachable)
    made = plan(config, tmp_path / "run")
    assert made.totals.filter(name="downloads")["value"].to_list() == [None]


def test_bad_input_is_what_trace_refuses(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no/such/folder"):
        plan(make(model="no/such/folder"), tmp_path)
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(RunError, match="is not a run folder"):
        plan(make(), tmp_path)


def test_command(series: Path, tmp_path: Path) -> None:
    words = [str(series), "--facts.languages", "en", "--facts.limit", "4", "-q"]
    words += ["--out", str(tmp_path / "run")]
    shown = CliRunner().invoke(command, words, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "tiny: 2 of 2 checkpoints, 4 facts in 1 languages" in shown.output
    for word in ("NVIDIA H100 SXM", "peak of a process", "FLOPs", "tokens generated, at most"):
        assert word in shown.output
    plain = CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False)
    value = json.loads(plain.output)
    assert {row["topic"] for row in value["totals"]} == {
        *("asking", "reading", "arithmetic", "memory", "disk", "time")
    }
    assert len(value["units"]) == 2 * 3 + 1


_CHILD = """
import resource, sys
from pathlib import Path
from polylore.studies.trace import ask
from polylore.studies.trace.config import TraceConfig
from polylore.studies.trace.study import trace
load = ask.load_model
def noted(*words, **options):
    global before  # the libraries, and all that is asked
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return load(*words, **options)
ask.load_model = noted
config = TraceConfig.model_validate_json(Path(sys.argv[1]).read_text())
trace(config, sys.argv[2], report=False)
# Not getrusage: its maximum is handed down by the process that starts this one.
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
print(1024 * int(peak.split()[1]) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux counts it")
def test_peak_memory_is_that_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    wide = tf.LlamaConfig(
        vocab_size=60_000,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=1,
        num_attention_heads=8,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        model = tf.LlamaForCausalLM(wide)
    model = model.to_empty(device="cpu")
    for step in (1, 2):
        for weight in model.parameters():
            torch.nn.init.constant_(weight, 0.01 * step)
        model.save_pretrained(folder / f"step-{step}")
        byte_tokenizer().save_pretrained(folder / f"step-{step}")
    config = TraceConfig.parse(
        {
            "model": str(folder),
            "facts": {"languages": ["en"], "limit": 6},
            "ask": {"n_shot": 0, "generate": False},
            "analyse": {"draws": 0},
        }
    )
    made = plan(config, tmp_path / "run")
    planned = total(made, "memory", "peak of a process") - total(made, "memory", "process") + KEPT
    (tmp_path / "study.json").write_text(config.model_dump_json(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path / "study.json"), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = float(done.stdout)
    assert measured > 500e6
    assert planned == pytest.approx(measured, rel=0.25)
    assert RunFolder.load(tmp_path / "run").units() == ["step-1/en", "step-2/en"]
