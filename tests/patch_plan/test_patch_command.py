"""`polylore patch plan` on a model folder."""

import pytest
from click.testing import CliRunner
from toy_lexicons import tokenizer_of
from transformers import LlamaConfig, LlamaForCausalLM

from polylore.cli.main import cli
from polylore.errors import DataError, ModelError
from polylore.facts.lexicon import Lexicon
from polylore.studies.patch.planning.plan import PatchPlan

FLAGS = [
    "--plan.pairs",
    "fr-en",
    "--plan.seen",
    "en,de,es,it",
    "--plan.n-pairs",
    "30",
    "--plan.n-shots",
    "3",
]


@pytest.fixture
def command(toy: Lexicon, tmp_path):
    toy.export(tmp_path / "words")

    def run(positions: int, *flags: str):
        tokenizer = tokenizer_of(toy)
        folder = tmp_path / f"model-{positions}"
        sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2}
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            num_attention_heads=2,
            max_position_embeddings=positions,
            **sizes,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        given = ["--lexicon.source", str(tmp_path / "words"), *FLAGS, *flags, "--quiet"]
        return CliRunner().invoke(cli, ["patch", "plan", str(folder), *given])

    return run


def test_a_plan_is_written_unless_it_is_only_asked_for(command, tmp_path) -> None:
    out = tmp_path / "plan"
    asked = command(128, "--out", str(out), "--dry-run")
    assert asked.exit_code == 0, asked.output
    assert "Nothing was written." in asked.output
    assert "sweep of suffixes" in asked.output
    assert not out.exists()
    written = command(128, "--out", str(out))
    assert written.exit_code == 0, written.output
    plan = PatchPlan.load(out)
    assert f"Plan: {out} ({plan.hash[:12]})" in written.output
    assert plan.items.filter(setting="seen")["k"].unique().to_list() == [6]
    again = command(128, "--out", str(tmp_path / "again"), "--retokenise", str(out))
    assert again.exit_code == 0, again.output
    assert PatchPlan.load(tmp_path / "again").hash == plan.hash


def test_a_model_with_too_few_positions_is_refused_before_anything_is_written(
    command, tmp_path
) -> None:
    refused = command(16, "--out", str(tmp_path / "plan"))
    assert isinstance(refused.exception, ModelError)
    assert "the model reads 16" in str(refused.exception)
    assert not (tmp_path / "plan").exists()


def test_a_missing_plan_is_named(command, tmp_path) -> None:
    refused = command(128, "--retokenise", str(tmp_path / "none"))
    assert isinstance(refused.exception, DataError)
    assert "There is no file" in str(refused.exception)
