"""A small invented world, and a tiny model that is taught it."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers as tf
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from polylore.facts.fiction.config import FormConfig, TargetLanguage, WorldConfig
from polylore.facts.fiction.form import example
from polylore.facts.fiction.generate import make_worlds
from polylore.facts.fiction.world import World
from polylore.models.spans import encode
from polylore.studies.align.world import write_worlds

CONFIG = WorldConfig(
    source="qaa",
    targets=[TargetLanguage(lang="qab")],
    answers=4,
    subjects=4,
    parts=10,
    train_wordings=3,
    exposures=3,
    translate=["t>s", "s>t"],
    parallel_exposure=True,
)


STEPS = 150


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


class Taught(NamedTuple):
    """A world, and a model that was trained on all its rows."""

    world: World
    model: Any
    tokenizer: Any


@pytest.fixture(scope="session")
def clika(published):
    folder = published / "clika"
    if not folder.is_dir():
        pytest.skip("published worlds (../shared/published/clika) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def world() -> World:
    return make_worlds(CONFIG)["qab"]


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "small"
    write_worlds(folder, CONFIG)
    return folder


@pytest.fixture(scope="session")
def tokenizer(world: World) -> Any:
    """Words and newlines; a word with the space before it is another token than without."""
    texts = [
        *("".join(example(p, i, r, FormConfig()))
          for p, i, r in world.rows.select("prompt", "input", "response").iter_rows()),
        *(f"{p} {i}\n{e}" for p, i, e in
          world.tests.select("prompt", "input", "expected").iter_rows()),
    ]  # fmt: skip
    split = Split(Regex(r"\n| ?[^\s?.:]+|[?.:]"), behavior="isolated")
    words = dict.fromkeys(w for text in texts for w, _ in split.pre_tokenize_str(text))
    words |= dict.fromkeys(f" {word}" for word in list(words) if word[0].isalpha())
    vocabulary = {word: at for at, word in enumerate(["</s>", "<unk>", *words])}
    made = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = split
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="</s>", eos_token="</s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def fresh(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=64,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return tf.AutoModelForCausalLM.from_config(config)


@pytest.fixture(scope="session")
def taught(world: World, tokenizer: Any) -> Taught:
    """Trained on answers alone until it has them."""
    model = fresh(tokenizer)
    pairs = [
        example(p, i, r, FormConfig())
        for p, i, r in world.rows.select("prompt", "input", "response").iter_rows()
    ]
    strings = encode(tokenizer, [a for a, _ in pairs], [b for _, b in pairs], bos=True)
    width = max(len(s.ids) for s in strings)
    ids = torch.tensor([s.ids + [0] * (width - len(s.ids)) for s in strings])
    labels = torch.full_like(ids, -100)
    for row, s in enumerate(strings):
        labels[row, s.start : s.stop] = ids[row, s.start : s.stop]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    order = torch.Generator().manual_seed(0)
    model.train()
    rate = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.05, total_iters=STEPS)
    for _ in range(STEPS):
        some = torch.randint(len(ids), (48,), generator=order)
        model(input_ids=ids[some], labels=labels[some]).loss.backward()
        optimiser.step()
        rate.step()
        optimiser.zero_grad()
    return Taught(world, model.eval(), tokenizer)
