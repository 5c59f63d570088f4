"""Words that are written from right to left, or without spaces, in a tokenizer of bytes."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from polylore.facts.lexicon import load_lexicon
from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.planning.build import make_plan
from polylore.studies.patch.running.config import PatchRunConfig, PatchScoreConfig
from polylore.studies.patch.running.study import run_patch
from polylore.studies.patch.scoring import report, score

LANGS = ["en", "ar", "he", "zh", "fr", "hi"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    words = load_lexicon("cldr", LANGS)
    raw = ByteLevelBPETokenizer()
    raw.train_from_iterator(words.frame["form"].to_list(), vocab_size=2500, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=raw._tokenizer)


@pytest.mark.parametrize(("pair", "head"), [("ar-he", "العربية"), ("zh-ar", "中文")])
def test_other_scripts_go_all_the_way(
    tokenizer: Any, save: Any, tmp_path: Path, pair: str, head: str
) -> None:
    save(tmp_path / "model" / "step1", tokenizer, 0)
    settings = ["src_unpatched", "tgt_unpatched", "seen", "tgt", "identity", "random_concept"]
    plan = {"pairs": [pair], "seen": LANGS, "n_pairs": 6, "n_shots": 1, "settings": settings}
    config = PatchConfig.parse({"model": "toy", "plan": plan})
    made = make_plan(config, tokenizer)
    made.save(tmp_path / "plan")
    a, b = pair.split("-")
    for row in made.prompts.filter(lang_a=a, lang_b=b, role="target").iter_rows(named=True):
        word = made.lexicon.forms(row["fact_id"], a)[0].text
        # Logical order, whatever the direction: the word, its closing quote, the question.
        assert row["text"].endswith(f'{head}: "{word}" - {made.head.names[b]}: "')
        assert tokenizer.decode(row["token_ids"]) == row["text"]
    told = {"model": str(tmp_path / "model"), "plan": str(tmp_path / "plan")}
    run = run_patch(
        PatchRunConfig.parse(told | {"ask": {"init": False, "max_new_tokens": 4}}), tmp_path / "run"
    )
    assert run.read("patch_selfcheck")["passed"].all()
    assert run.read("patch_scores")["logp_full"].drop_nulls().is_finite().all()
    score(run, PatchScoreConfig(draws=10))
    page = report(run).read_text(encoding="utf-8")
    assert "Arabic" in page
