"""Asked during training: the same rows as afterwards, and training never notices."""

import json
import random
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import polylore
from polylore.errors import ConfigError, ModelError, RunError
from polylore.facts import FactSet, load_facts
from polylore.models.live import check_live, undisturbed, unwrap
from polylore.runs import RunFolder
from polylore.studies.trace.config import AnalyseConfig, AskConfig, FactsConfig, TraceConfig
from polylore.studies.trace.probe import Probe
from polylore.studies.trace.probe_cost import Cost, schedule, sentences
from polylore.studies.trace.study import trace
from polylore.studies.trace.trainer_callback import ProbeCallback

FACTS = FactsConfig(source="cldr", languages=["en", "zh"], limit=5)
ASK = AskConfig(n_shot=0, content_free=False, max_new_tokens=4)
ANALYSE = AnalyseConfig(draws=10, sustained=2)
STEPS = [2, 4, 6]
OPTIONS: dict[str, Any] = {
    "facts": FACTS,
    "ask": ASK,
    "analyse": ANALYSE,
    "at": STEPS,
    "max_share": None,
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    facts = load_facts("cldr", languages=["en", "zh"]).common().sample(5, 0).facts
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator([*facts["subject"], *facts["object"]], trainer)
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def new_model(tokenizer: Any, **changes: Any) -> Any:
    """A tiny model whose dropout makes training depend on the random generator."""
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "attention_dropout": 0.2,
        "initializer_range": 0.3,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    return tf.LlamaForCausalLM(tf.LlamaConfig(**values | changes))


class Data(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(0, 300, (12,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": ids, "labels": ids.clone()}


def hf_train(
    folder: Path,
    tokenizer: Any,
    callbacks: list[Any],
    resume: str | None = None,
    model: Any = None,
    **changes: Any,
) -> Any:
    values: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 6,
        "save_steps": 2,
        "per_device_train_batch_size": 4,
        "learning_rate": 0.02,
        "logging_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "include_num_input_tokens_seen": "all",
        "dataloader_pin_memory": False,
    }
    trainer = tf.Trainer(
        model=model or new_model(tokenizer),
        args=tf.TrainingArguments(**values | changes),
        train_dataset=Data(),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def offline(folder: Path, out: Path, *, report: bool = False, **changes: Any) -> RunFolder:
    config = {"model": str(folder), "facts": FACTS, "ask": ASK, "analyse": ANALYSE}
    return trace(TraceConfig.parse(config | changes), out, report=report)


def assert_same(one: RunFolder, two: RunFolder) -> None:
    assert one.units() == two.units()
    for name in ("answers", "candidate_scores"):
        assert one.read(name).height > 0
        assert one.read(name).equals(two.read(name)), name
    assert one.table_names() == two.table_names()
    for name in one.table_names():
        assert one.table(name).equals(two.table(name)), name
    for part in ("kind", "config", "inputs"):
        assert one.manifest[part] == two.manifest[part]


@pytest.fixture(scope="module")
def run(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One Trainer run with the callback, shared by the tests that only look."""
    folder = tmp_path_factory.mktemp("trainer")
    sent: list[tuple[dict[str, float], int, int | None]] = []
    callback = ProbeCallback(out=folder / "probe", forward=lambda *row: sent.append(row), **OPTIONS)
    trainer = hf_train(folder / "model", tokenizer, [callback])
    found = RunFolder.load(folder / "probe")
    return {"folder": folder, "trainer": trainer, "run": found, "sent": sent}


def test_same_tables_as_an_offline_trace(run: dict[str, Any], tmp_path: Path) -> None:
    """Row for row, the fingerprints of the weights and the paths included."""
    after = offline(run["folder"] / "model", tmp_path / "after", report=True)
    checkpoints = after.table("checkpoints")
    assert checkpoints["step"].to_list() == STEPS
    assert checkpoints["tokens"].to_list() == [step * 4 * 12 for step in STEPS]
    assert checkpoints["weight_hash"].n_unique() == 3
    assert after.read("answers")["raw_text"].n_unique() > 3
    assert_same(run["run"], after)
    assert (run["run"].path / "report.html").is_file()


def test_an_offline_trace_goes_on_with_the_same_folder(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polylore.studies.trace import study

    def refuse(batch: object) -> int:
        raise AssertionError("asked again")

    monkeypatch.setattr(study, "ask_batch", refuse)
    shutil.copytree(run["run"].path, tmp_path / "copy")
    again = offline(run["folder"] / "model", tmp_path / "copy")
    assert again.units() == run["run"].units()


def test_training_is_bitwise_the_same_without_the_probe(
    run: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    plain = hf_train(tmp_path / "model", tokenizer, []).model.state_dict()
    probed = run["trainer"].model.state_dict()
    assert plain.keys() == probed.keys()
    assert all(torch.equal(plain[name], probed[name]) for name in plain)


def test_headline_series_are_those_of_the_recall_table(run: dict[str, Any]) -> None:
    recall = run["run"].table("recall").filter(relation="all", stratum="all")
    assert [(step, tokens) for _, step, tokens in run["sent"]] == [(s, s * 48) for s in STEPS]
    for values, step, _ in run["sent"]:
        for matcher, name in (("default", "recall"), ("candidates", "candidates")):
            rows = recall.filter(step=step, matcher=matcher)
            assert rows.height == 2
            for row in rows.iter_rows(named=True):
                assert values[f"polylore/{name}/{row['lang']}"] == row["acc"]
            assert values[f"polylore/{name}/mean"] == pytest.approx(rows["acc"].mean())
        assert len(values) == 6


def test_mixed_precision_asks_the_weights_that_are_saved(tokenizer: Any, tmp_path: Path) -> None:
    """`accelerate` builds autocast into the model's forward; the probe goes around it."""
    callback = ProbeCallback(out=tmp_path / "probe", report=False, **OPTIONS)
    hf_train(tmp_path / "model", tokenizer, [callback], bf16=True)
    after = offline(tmp_path / "model", tmp_path / "after")
    assert_same(RunFolder.load(tmp_path / "probe"), after)
    assert set(after.read("answers")["dtype"]) == {"float32"}


def test_another_number_format_if_told(tokenizer: Any, tmp_path: Path) -> None:
    ask = ASK.model_copy(update={"dtype": "bfloat16"})
    model = new_model(tokenizer).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.save_pretrained(tmp_path / "series" / "step-000003")
    tokenizer.save_pretrained(tmp_path / "series" / "step-000003")
    probe = Probe(out=tmp_path / "probe", saved=tmp_path / "series", **OPTIONS | {"ask": ask})
    assert probe.step(model, tokenizer, 3, last=True)
    online = probe.finish(report=False)
    assert online is not None
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert_same(online, offline(tmp_path / "series", tmp_path / "after", ask=ask))
    assert set(online.read("answers")["dtype"]) == {"bfloat16"}


def test_the_models_own_number_format_otherwise(tokenizer: Any, tmp_path: Path) -> None:
    with Probe(out=tmp_path / "probe", **OPTIONS) as probe:
        probe.step(new_model(tokenizer).to(torch.bfloat16), tokenizer, 2)
        assert probe.run is not None
        assert probe.run.manifest["config"]["ask"]["dtype"] == "bfloat16"
        assert set(probe.run.read("answers")["dtype"]) == {"bfloat16"}


def test_published_form_has_prompts_of_each_checkpoint(tokenizer: Any, tmp_path: Path) -> None:
    facts = FactsConfig(source="cldr", languages=["en"], limit=40)
    ask = AskConfig(content_free=False, generate=False, n_shot=1)
    changes = {"facts": facts, "ask": ask, "preset": "paper"}
    model = new_model(tokenizer)
    probe = Probe(out=tmp_path / "probe", saved=tmp_path / "series", **OPTIONS | changes)
    for step in STEPS:
        folder = tmp_path / "series" / f"step-{step:06d}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        assert probe.step(model, tokenizer, step)
        with torch.no_grad():
            model.lm_head.weight.add_(0.1)
    probe.finish(report=False)
    after = offline(tmp_path / "series", tmp_path / "after", **changes)
    online = RunFolder.load(tmp_path / "probe")
    assert online.table("asked")["ckpt_id"].n_unique() == 3
    assert online.table("prompts").height > 40
    assert_same(online, after)


@pytest.mark.parametrize("told", [True, False])
def test_wordings_kept_for_the_last_checkpoint(tokenizer: Any, tmp_path: Path, told: bool) -> None:
    """Also where the last step was asked as a due one, before anybody knew that it was the last."""
    ask = ASK.model_copy(update={"final_variants": [1]})
    model = new_model(tokenizer)
    options = OPTIONS | {"ask": ask}
    probe = Probe(out=tmp_path / "probe", saved=tmp_path / "series", **options)
    for step in STEPS:
        folder = tmp_path / "series" / f"step-{step:06d}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        assert probe.step(model, tokenizer, step, last=told and step == 6)
        if step < 6:
            with torch.no_grad():
                model.lm_head.weight.add_(0.1)
    online = probe.finish(report=False)
    assert online is not None
    after = offline(tmp_path / "series", tmp_path / "after", ask=ask)
    last = after.read("answers").filter(variant=1)
    assert set(last["ckpt_id"]) == {"step-000006"}
    assert_same(online, after)


# Resume --------------------------------------------------------------------------------------


class _Stop(tf.TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_resumed_training_asks_nothing_twice_and_ends_equal(
    run: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    # Killed at step 5: step 4 was asked and saved; then steps 3..6 are done again from step 2.
    first = ProbeCallback(out=tmp_path / "probe", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        hf_train(tmp_path / "model", tokenizer, [first, _Stop(5)])
    first.probe.close()
    found = RunFolder.load(tmp_path / "probe")
    assert len(found.units()) == 4
    stamps = {u: (found.unit_path(u) / "done.json").stat().st_mtime_ns for u in found.units()}
    second = ProbeCallback(out=tmp_path / "probe", report=False, **OPTIONS)
    hf_train(tmp_path / "model", tokenizer, [second], str(tmp_path / "model" / "checkpoint-2"))
    found = RunFolder.load(tmp_path / "probe")
    for unit, stamp in stamps.items():
        assert (found.unit_path(unit) / "done.json").stat().st_mtime_ns == stamp
    assert [probe["step"] for probe in found.manifest["probing"]["probes"]] == STEPS
    whole = run["run"]
    for name in ("answers", "candidate_scores"):
        assert found.read(name).equals(whole.read(name))
    assert found.table("recall").drop("step").equals(whole.table("recall").drop("step"))


class _Enough(tf.TrainerCallback):
    """Stops as early stopping does: after the callbacks of the step were called."""

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        control.should_training_stop = state.global_step == 4


def test_the_last_step_is_asked_wherever_training_stops(tokenizer: Any, tmp_path: Path) -> None:
    options = OPTIONS | {"at": [2], "max_share": 1e-9}
    early = ProbeCallback(out=tmp_path / "early", report=False, **options)
    hf_train(tmp_path / "a", tokenizer, [early, _Enough()])
    assert RunFolder.load(tmp_path / "early").table("checkpoints")["step"].to_list() == [2, 4]
    late = ProbeCallback(out=tmp_path / "late", report=False, **options)
    hf_train(tmp_path / "b", tokenizer, [late], max_steps=5)
    assert RunFolder.load(tmp_path / "late").table("checkpoints")["step"].to_list() == [2, 5]


def test_a_lost_unit_is_asked_again_when_the_step_comes_again(
    tokenizer: Any, tmp_path: Path
) -> None:
    model = new_model(tokenizer)
    first = Probe(out=tmp_path / "probe", **OPTIONS)
    first.step(model, tokenizer, 2)
    first.close()
    found = RunFolder.load(tmp_path / "probe")
    whole = found.read("answers")
    shutil.rmtree(found.unit_path("step-000002/zh"))
    second = Probe(out=tmp_path / "probe", **OPTIONS)
    assert second.step(model, tokenizer, 2)
    second.close()
    assert found.read("answers").equals(whole)


def test_a_step_with_other_weights_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    model = new_model(tokenizer)
    first = Probe(out=tmp_path / "probe", **OPTIONS)
    first.step(model, tokenizer, 2)
    first.close()
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    second = Probe(out=tmp_path / "probe", **OPTIONS)
    with pytest.raises(RunError, match="Step 2 was asked before with other weights"):
        second.step(model, tokenizer, 2)
    second.close()


def test_equal_weights_are_suspect_as_offline(tokenizer: Any, tmp_path: Path) -> None:
    model = new_model(tokenizer)
    with Probe(out=tmp_path / "probe", **OPTIONS) as probe:
        for step in STEPS:
            probe.step(model, tokenizer, step)
    table = RunFolder.load(tmp_path / "probe").table("checkpoints")
    assert table["suspect"].all()
    assert table["duplicate_of"].to_list() == [None, "step-000002", "step-000002"]


# Cost ----------------------------------------------------------------------------------------


def test_dear_probes_are_put_off_and_reported(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = new_model(tokenizer)
    options = OPTIONS | {"at": lambda step: True, "max_share": 1e-9}
    with Probe(out=tmp_path / "probe", **options) as probe:
        asked = []
        for step in range(5):
            with torch.no_grad():
                model.lm_head.weight.add_(0.1)
            asked.append(probe.step(model, tokenizer, step))
    # The first shows what a probe costs, the last is always asked; in between nothing fits.
    assert asked == [True, False, False, False, False]
    found = RunFolder.load(tmp_path / "probe")
    assert found.table("checkpoints")["step"].to_list() == [0, 4]
    noted = found.manifest["probing"]
    assert noted["put_off"] == [1, 2, 3]
    assert noted["share"] == pytest.approx(noted["seconds"] / noted["training_seconds"])
    assert [probe["step"] for probe in noted["probes"]] == [0, 4]
    html = (found.path / "report.html").read_text(encoding="utf-8")
    assert "Put off to the next due step to keep within the limit: steps 1, 2, 3." in html


def test_the_share_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    cost = Cost(0.1)
    asked = []
    for step in range(1, 101):
        now += 1.0  # one second of training
        if cost.allows():
            begin, now = now, now + 2.0  # two seconds of asking
            cost.add(step, begin)
            asked.append(step)
        else:
            cost.defer(step)
    # After the first, the k-th is due when 2 k seconds are a tenth of the training seconds.
    assert asked == [1, 40, 60, 80, 100]
    noted = cost.plain()
    assert noted["training_seconds"] == pytest.approx(100)
    assert noted["share"] == pytest.approx(0.1)
    assert len(noted["put_off"]) == 95
    assert "a share of 10.0% (limit 10.0%)" in sentences(noted)[0]
    again = Cost(0.1)
    again.resume(noted)
    assert again.plain() == noted


def test_log_spaced_steps() -> None:
    from polylore.training.config import ScheduleConfig
    from polylore.training.schedule import checkpoint_steps

    for per_decade in (1, 4, 20):
        due = schedule(f"log:{per_decade}")
        expected = checkpoint_steps(10_000, ScheduleConfig(per_decade=per_decade))
        assert [step for step in range(10_001) if due(step)] == expected
    jumping = schedule("log:2")
    assert [jumping(step) for step in (1000, 1001, 3162)] == [True, False, True]
    assert [schedule([3, 5])(step) for step in (3, 4, 5)] == [True, False, True]


# Loops ---------------------------------------------------------------------------------------


def test_plain_loop_asks_in_passing(tokenizer: Any, tmp_path: Path) -> None:
    """In a loop of one's own, compiled name and all: modes, generators and gradients stay."""
    model = new_model(tokenizer).train()
    model.model.layers[0].eval()  # a part that is not to be trained
    probe = Probe(out=tmp_path / "probe", **OPTIONS)
    modes = [part.training for part in model.modules()]
    assert probe.step(model, tokenizer, 0) is False
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    torch.manual_seed(1)
    gradients = [weight.grad.clone() for weight in model.parameters()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert probe.step(model, tokenizer, 2, tokens=17)
        assert torch.is_autocast_enabled("cpu")
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert after == states
    assert [part.training for part in model.modules()] == modes
    assert torch.is_grad_enabled()
    pairs = zip(gradients, model.parameters(), strict=True)
    assert all(torch.equal(gradient, weight.grad) for gradient, weight in pairs)
    assert probe.step(model, tokenizer, 2, tokens=17) is False
    assert probe.step(model, tokenizer, 3, tokens=20) is False
    found = probe.finish(report=False)
    assert found is not None
    # The last step told is asked at the end.
    assert found.table("checkpoints").select("step", "tokens").rows() == [(2, 17), (3, 20)]
    assert probe.finish() is None


def test_polylores_own_training_takes_it_as_a_hook(
    trained: Path, factset: FactSet, tmp_path: Path
) -> None:
    from polylore.training.config import TrainConfig
    from polylore.training.loop import train
    from polylore.training.tokenizer import open_tokenizer

    manifest = json.loads((trained / "manifest.json").read_text())
    # A checkpoint is loaded with this attention, so only then are scores equal to the last bit.
    config = TrainConfig.parse(manifest["config"] | {"attention": "sdpa"})
    out = tmp_path / "model"
    saved = {int(p.name[5:]) for p in (trained / "checkpoints").iterdir()} - {0}
    probe = Probe(
        out=tmp_path / "probe",
        saved=out / "checkpoints",
        exposure=trained,
        **OPTIONS | {"facts": factset, "at": sorted(saved)},
    )

    def on_step(step: int, tokens: int, model: Any) -> None:
        probe.step(model, open_tokenizer(out / "tokenizer"), step, tokens)

    train(trained.parent / "corpus", out, config, on_step=[on_step])
    online = probe.finish(report=False)
    assert online is not None
    shutil.rmtree(out / "checkpoints" / "step-000000")  # hooks are called after updates
    facts = {"source": factset.name, "languages": ["en", "ar", "zh"], "limit": 14}
    after = offline(out / "checkpoints", tmp_path / "after", facts=facts, exposure=str(trained))
    assert after.table("exposure").height > 0
    for name in ("answers", "candidate_scores"):
        assert online.read(name).equals(after.read(name)), name
    assert online.table_names() == after.table_names()
    for name in online.table_names():
        assert online.table(name).equals(after.table(name)), name
    plain = train(trained.parent / "corpus", tmp_path / "plain", config) / "checkpoints"
    last = f"step-{max(saved):06d}/model.safetensors"
    assert (out / "checkpoints" / last).read_bytes() == (plain / last).read_bytes()


# Trackers ------------------------------------------------------------------------------------


def probe_once(tokenizer: Any, out: Path, forward: str) -> dict[str, float]:
    """Ask once with a tracker; returns what a function would have been given."""
    model = new_model(tokenizer)
    probe = Probe(out=out, forward=forward, **OPTIONS)
    probe.step(model, tokenizer, 2, tokens=96)
    probe.close()
    sent: list[dict[str, float]] = []
    other = Probe(out=out / "function", forward=lambda values, *_: sent.append(values), **OPTIONS)
    other.step(model, tokenizer, 2, tokens=96)
    other.close()
    return sent[0]


def test_wandb(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    fake = types.ModuleType("wandb")
    fake.run = None  # type: ignore[attr-defined]
    fake.log = lambda values: calls.append(values)  # type: ignore[attr-defined]
    fake.define_metric = lambda name, **more: calls.append((name, more))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with pytest.raises(ConfigError, match=r"wandb\.init"):
        probe_once(tokenizer, tmp_path / "none", "wandb")
    fake.run = object()  # type: ignore[attr-defined]
    values = probe_once(tokenizer, tmp_path / "one", "wandb")
    assert calls == [
        ("polylore/step", {}),
        ("polylore/*", {"step_metric": "polylore/step"}),
        values | {"polylore/step": 2, "polylore/tokens": 96},
    ]


def test_trackio(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    fake = types.ModuleType("trackio")
    fake.log = calls.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", fake)
    values = probe_once(tokenizer, tmp_path / "one", "trackio")
    assert calls == [values | {"polylore/step": 2, "polylore/tokens": 96}]

    def refuse(values: object) -> None:
        raise RuntimeError("Call trackio.init() before trackio.log().")

    fake.log = refuse  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"trackio\.init"):
        probe_once(tokenizer, tmp_path / "none", "trackio")


def test_tensorboard(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, tuple[float, int]] = {}
    folders: list[str] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            folders.append(folder)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            calls[name] = (value, step)

        def flush(self) -> None:
            pass

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    values = probe_once(tokenizer, tmp_path / "one", "tensorboard")
    assert folders == [str(tmp_path / "one" / "tensorboard")]
    assert calls == {k: (v, 2) for k, v in (values | {"polylore/tokens": 96}).items()}


# Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": "often"}, "no schedule"),
        ({"at": "log:0"}, "no schedule"),
        ({"at": [1, -2]}, "-2, which is not a step"),
        ({"at": []}, "no step"),
        ({"max_share": 0}, "max_share must be above 0"),
        ({"forward": "paper"}, "trackio, wandb, tensorboard"),
        ({"name": "latest"}, "does not say the step"),
        ({"preset": "other"}, "preset"),
        ({"facts": "no/such.jsonl"}, "no/such.jsonl"),
        ({"exposure": "no/such.parquet"}, "no/such.parquet"),
    ],
)
def test_bad_settings_are_one_sentence(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(polylore.PolyloreError, match=message) as caught:
        Probe(out=tmp_path / "probe", **OPTIONS | change)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "probe").exists()


@pytest.mark.parametrize("name", ["trackio", "wandb", "tensorboard"])
def test_a_tracker_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    module = "torch.utils.tensorboard" if name == "tensorboard" else name
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"pip install {name}"):
        Probe(out=tmp_path / "probe", forward=name, **OPTIONS)


def test_steps_only_go_forward(tokenizer: Any, tmp_path: Path) -> None:
    model = new_model(tokenizer)
    probe = Probe(out=tmp_path / "probe", **OPTIONS)
    probe.step(model, tokenizer, 3)
    with pytest.raises(ConfigError, match="step 1 after step 3"):
        probe.step(model, tokenizer, 1)
    with pytest.raises(ConfigError, match="step -1"):
        probe.step(model, tokenizer, -1)
    probe.close()


def test_the_folder_of_another_run(run: dict[str, Any], tokenizer: Any, tmp_path: Path) -> None:
    ask = ASK.model_copy(update={"n_shot": 1})
    probe = Probe(out=run["run"].path, **OPTIONS | {"ask": ask})
    with pytest.raises(RunError, match=r"ask\.n_shot: 0 there, 1 here"):
        probe.step(new_model(tokenizer), tokenizer, 0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not empty"):
        Probe(out=tmp_path / "full", **OPTIONS).step(new_model(tokenizer), tokenizer, 0)


def test_two_trainings_cannot_share_a_folder(tokenizer: Any, tmp_path: Path) -> None:
    model = new_model(tokenizer)
    first = Probe(out=tmp_path / "probe", **OPTIONS)
    first.step(model, tokenizer, 0)
    with pytest.raises(RunError, match="Another process"):
        Probe(out=tmp_path / "probe", **OPTIONS).step(model, tokenizer, 0)
    first.close()


def test_models_and_tokenizers_that_cannot_be_asked(tokenizer: Any, tmp_path: Path) -> None:
    class Slow:
        is_fast = False

    probe = Probe(out=tmp_path / "probe", **OPTIONS)
    with pytest.raises(ModelError, match="Slow reports no character offsets"):
        probe.step(new_model(tokenizer), Slow(), 0)
    with pytest.raises(ModelError, match="no output embeddings"):
        probe.step(new_model(tokenizer).model, tokenizer, 0)
    with pytest.raises(ModelError, match="no output embeddings"):
        probe.step(torch.nn.Linear(2, 2), tokenizer, 0)
    with pytest.raises(ModelError, match="in float64"):
        probe.step(new_model(tokenizer).double(), tokenizer, 0)
    with pytest.raises(ConfigError, match="99"):
        Probe(out=tmp_path / "probe", **OPTIONS | {"ask": AskConfig(variants=[99])}).step(
            new_model(tokenizer), tokenizer, 0
        )
    assert not (tmp_path / "probe").exists()


def test_spread_weights_are_refused(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """FSDP in both generations, on the one process that a test has, and DeepSpeed's mark."""
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    zero = new_model(tokenizer)
    zero.lm_head.weight.ds_id = 0
    with pytest.raises(ModelError, match="spread over processes"):
        check_live(zero, tokenizer)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        check_live(new_model(tokenizer), tokenizer)
        whole = new_model(tokenizer)
        assert unwrap(torch.nn.parallel.DistributedDataParallel(whole)) is whole
        compiled = torch.compile(whole, backend="eager")
        assert unwrap(compiled) is whole
        sharded = new_model(tokenizer)
        fully_shard(sharded)
        with pytest.raises(ModelError, match="spread over processes"):
            check_live(sharded, tokenizer)
    finally:
        dist.destroy_process_group()


def test_only_the_first_process_writes(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polylore.studies.trace import probe as module

    monkeypatch.setattr(module, "_first_process", lambda: False)
    with Probe(out=tmp_path / "probe", **OPTIONS) as probe:
        assert probe.step(new_model(tokenizer), tokenizer, 2) is False
    assert not (tmp_path / "probe").exists()


def test_a_trainer_without_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    callback = ProbeCallback(out=tmp_path / "probe", **OPTIONS)
    with pytest.raises(ConfigError, match="no processing_class"):
        hf_train(tmp_path / "model", None, [callback], model=new_model(tokenizer))


# Traces left behind ----------------------------------------------------------------------------


def test_undisturbed_puts_everything_back(tokenizer: Any) -> None:
    model = new_model(tokenizer)
    rotary = model.model.rotary_emb
    buffer, value = rotary.inv_freq, rotary.inv_freq.clone()
    weight = model.lm_head.weight
    place, numbers = weight.data_ptr(), weight.detach().clone()

    def meddle() -> None:
        assert weight.dtype == torch.bfloat16
        rotary.inv_freq.mul_(2)
        rotary.register_buffer("inv_freq", torch.ones(3))
        rotary.max_seq_len_cached = 10**6
        model.eval()
        torch.rand(3)
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), undisturbed(model, torch.bfloat16):
        meddle()
    assert rotary.inv_freq is buffer
    assert torch.equal(buffer, value)
    assert rotary.max_seq_len_cached == 512
    assert model.training
    assert weight is model.lm_head.weight is model.get_output_embeddings().weight
    assert weight.data_ptr() == place
    assert torch.equal(weight, numbers)
