"""What else a plan can ask for: other sites, number formats, presets, words and sources."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from polylore.facts.lexicon import Lexicon
from polylore.runs import RunFolder
from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.planning.build import make_plan
from polylore.studies.patch.running.config import PatchRunConfig, PatchScoreConfig
from polylore.studies.patch.running.study import run_patch
from polylore.studies.patch.scoring import report, score

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from hub_fake import FakeHub, cache_revision

toys = sys.modules["toy_lexicons"]
Make = Callable[..., PatchRunConfig]
QUICK = {"generate": False, "init": False}


def planned(folder: Path, words: Lexicon, tokenizer: Any, preset: str = "default", **plan: Any):
    """A plan of few prompts on disk."""
    values = {"pairs": ["fr-en"], "seen": list(toys.LANGS), "n_pairs": 6, "n_shots": 1}
    values |= {"allow_small_k": True} | plan
    config = PatchConfig.parse({"model": "toy", "preset": preset, "plan": values})
    make_plan(config, tokenizer, words).save(folder)
    return str(folder)


def mean(run: RunFolder, setting: str, onset: int | None, cell: str = "src") -> np.ndarray:
    """logp_full of a cell in the language asked for, item by item."""
    scores = run.read("patch_scores").filter(
        (pl.col("setting") == setting)
        & (pl.col("cell_concept") == cell)
        & (pl.col("cell_lang") == pl.col("lang_b"))
        & (pl.col("onset").is_null() if onset is None else pl.col("onset") == onset)
    )
    return scores.sort("ckpt_id", "pair_id")["logp_full"].to_numpy()


@pytest.mark.parametrize("site", ["span:onset", "last_token:onset", "object:single"])
def test_other_sites_are_patched_and_checked(
    site: str, words: Lexicon, tokenizer: Any, config: Make, tmp_path: Path
) -> None:
    settings = ["src_unpatched", "tgt_unpatched", "tgt", "identity", "gauss"]
    plan = planned(tmp_path / "plan", words, tokenizer, intervention=site, settings=settings)
    run = run_patch(config(plan=plan, ask=QUICK), tmp_path / "run")
    assert run.read("patch_selfcheck")["passed"].all()
    clean = mean(run, "tgt_unpatched", None)
    np.testing.assert_allclose(mean(run, "identity", 0), clean, rtol=1e-4, atol=1e-5)
    assert np.abs(mean(run, "tgt", 0) - clean).max() > 1e-3
    last = mean(run, "tgt", 2)
    if site == "last_token:onset":
        # The last token is what is read, so the donor's own prediction appears.
        assert np.abs(last - clean).max() > 1e-3
    else:
        np.testing.assert_allclose(last, clean, rtol=1e-4, atol=1e-5)


def test_a_bfloat16_run_is_checked_and_close_to_float32(
    config: Make, plan_folder: Path, tmp_path: Path
) -> None:
    runs = {
        dtype: run_patch(config(ask=QUICK | {"dtype": dtype}), tmp_path / dtype)
        for dtype in ("float32", "bfloat16")
    }
    found = {dtype: run.read("patch_scores") for dtype, run in runs.items()}
    assert found["bfloat16"]["dtype"].unique().to_list() == ["bfloat16"]
    assert all(run.read("patch_selfcheck")["passed"].all() for run in runs.values())
    clean = [mean(run, "src_unpatched", None) for run in runs.values()]
    # Weights of these toys are large, so eight bits of mantissa show.
    assert 0 < np.abs(clean[0] - clean[1]).max() < 1.0


def test_words_of_several_words_and_tokens(config: Make, save: Any, tmp_path: Path) -> None:
    words = toys.lexicon_of(
        {
            (f"c{n:02d}", lang): [f"{chr(0x4E00 + n)}{lang} {lang}"]
            for lang in toys.LANGS
            for n in range(20)
        }
    )
    tokenizer = toys.tokenizer_of(words, merged=toys.LANGS)
    save(tmp_path / "model" / "step1", tokenizer, 0)
    plan = planned(tmp_path / "plan", words, tokenizer)
    run = run_patch(config(model=str(tmp_path / "model"), plan=plan), tmp_path / "run")
    prompts = pl.read_parquet(tmp_path / "plan" / "patch_prompts.parquet")
    assert prompts["n_object_tokens"].min() == 2
    assert run.read("patch_selfcheck")["passed"].all()
    flags = pl.read_parquet(tmp_path / "plan" / "lexicon_flags.parquet")
    assert flags["multi_word"].all()
    made = score(run, PatchScoreConfig(draws=10))
    assert made["patch_curves"].height


def test_the_published_last_token_experiment(save: Any, tmp_path: Path) -> None:
    langs = ["en", "de", "it", "fr", "zh", "nl", "fi", "es", "ru", "ko", "et", "hi"]
    words = toys.lexicon_of(
        {(f"c{n:02d}", lang): [toys.word(n, lang)] for lang in langs for n in range(40)}
    )
    tokenizer = toys.tokenizer_of(
        words, merged=[toys.word(n, lang) for n in range(40) for lang in langs]
    )
    save(tmp_path / "model" / "step1", tokenizer, 0)
    config = PatchConfig.parse(
        {"model": "toy", "preset": "dumas", "plan": {"n_pairs": 30, "n_shots": 1}}
    )
    make_plan(config, tokenizer, words).save(tmp_path / "plan")
    run = run_patch(
        PatchRunConfig.parse(
            {"model": str(tmp_path / "model"), "plan": str(tmp_path / "plan"), "ask": QUICK}
        ),
        tmp_path / "run",
    )
    scores = run.read("patch_scores")
    last = scores.filter(pl.col("setting") == "dumas_last_token")
    assert last["lang_b"].unique().to_list() == ["zh"]
    wide = last.filter(pl.col("cell_lang") == "en").pivot(
        "cell_concept", index=["pair_id", "onset"], values=["p_first", "logp_full"]
    )
    both, one, other = (wide[f"p_first_{c}"].to_numpy() for c in ("either", "src", "tgt"))
    # Words are disjoint here, so either concept is as likely as both together.
    np.testing.assert_allclose(both, one + other, rtol=1e-4, atol=1e-7)
    both, one, other = (np.exp(wide[f"logp_full_{c}"].to_numpy()) for c in ("either", "src", "tgt"))
    np.testing.assert_allclose(both, one + other, rtol=1e-4, atol=1e-9)
    assert "either" not in scores.filter(pl.col("setting") == "dumas_mean")["cell_concept"]
    made = score(run, PatchScoreConfig(draws=10))
    cells = made["patch_curves"].filter(pl.col("setting") == "dumas_last_token")["cell"].unique()
    assert {"src_b", "tgt_b", "src_it", "tgt_it", "either_en"} <= set(cells)
    page = report(run).read_text(encoding="utf-8")
    assert "either concept in English" in page


def test_checkpoints_of_the_hub_are_fetched_and_patched(
    series: Path, config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(tmp_path / "hub")
    (hub.root / "lab" / "toy").mkdir(parents=True)
    for folder in series.iterdir():
        (hub.root / "lab" / "toy" / folder.name).symlink_to(folder)
    hub.install(monkeypatch)
    told = config(model="lab/toy", series={"cache_dir": str(tmp_path / "cache")}, ask=QUICK)
    run = run_patch(told, tmp_path / "run")
    fetched = list(hub.downloads)
    assert set(fetched) == {"step10", "step100"}
    local = run_patch(config(ask=QUICK), tmp_path / "local")
    assert run.read("patch_scores").equals(local.read("patch_scores"))
    run_patch(told, tmp_path / "run")
    # What is done is not fetched again: only the tokenizer is held against the plan once more.
    assert hub.downloads == [*fetched, "step10"]


def test_a_series_in_the_cache_needs_no_network(
    series: Path, config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeHub(tmp_path / "hub").install(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for folder in series.iterdir():
        cache_revision(tmp_path / "cache", "lab/toy", folder.name, folder)
    told = config(model="lab/toy", series={"cache_dir": str(tmp_path / "cache")}, ask=QUICK)
    run = run_patch(told, tmp_path / "run")
    assert run.table("checkpoints")["step"].to_list() == [10, 100]
