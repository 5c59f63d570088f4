"""A world on disk, and as food for the other studies."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import DataError, RunError
from polylore.facts import build_prompts, lint, load_facts
from polylore.facts.worlds import (
    World,
    WorldConfig,
    design_table,
    dump_stream,
    load_world,
    make_card,
    make_world,
    save_world,
    to_factset,
)
from polylore.text.languages import language

KNOBS = {"entities": 40, "relations": 3, "values": 6, "never_seen": 4, "p": 0.25}


def world(**knobs) -> World:
    return make_world(WorldConfig.parse({**KNOBS, **knobs}))


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"cue": "xor(.5)", "share": {"names": 1, "relations": 1, "values": 1}, "lam": 0.9},
        {"templates": 3, "value_len": 2, "name_len": 2, "languages": 3, "cue": "syn(20)"},
        {"curriculum": [{"steps": 5, "show": "parallel"}, {"steps": 5}], "zipf_alpha": 0.7},
    ],
)
def test_a_world_comes_back_as_it_was(tmp_path: Path, knobs: dict) -> None:
    made = world(**knobs)
    save_world(made, tmp_path / "w")
    back = load_world(tmp_path / "w")
    assert back.world_hash == made.world_hash
    assert back.words == made.words
    assert back.config == made.config
    assert back.facts.equals(made.facts)
    for step in (1, 7):
        assert (back.stream(16).batch(step).tokens == made.stream(16).batch(step).tokens).all()
    cells = np.arange(len(made.fact))
    assert (back.evaluation(cells).tokens == made.evaluation(cells).tokens).all()
    save_world(made, tmp_path / "w")
    with pytest.raises(RunError, match="holds another world"):
        save_world(world(**knobs, seed=1), tmp_path / "w")


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    made = world()
    save_world(made, tmp_path / "w")
    changed = made.facts.with_columns(value_index=pl.col("value_index") + 1)
    shutil.copytree(tmp_path / "w", tmp_path / "v")
    changed.write_parquet(tmp_path / "v" / "facts.parquet")
    with pytest.raises(DataError, match="not those of world"):
        load_world(tmp_path / "v")
    (tmp_path / "w" / "forms.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="not a readable Parquet"):
        load_world(tmp_path / "w")
    with pytest.raises(DataError, match="There is no file"):
        load_world(tmp_path / "nowhere")


def test_hashes_are_stable() -> None:
    """The same configuration is the same world, today and in the next version."""
    assert world().world_hash[:16] == "de2b98cd2c2d42f3"


def test_the_tokenizer_is_that_of_the_stream(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    made = world(cue="tag", value_len=2)
    tokenizer = AutoTokenizer.from_pretrained(save_world(made, tmp_path / "w"))
    assert len(tokenizer) == len(made.words)
    batch = made.stream(32).batch(1)
    texts = [made.text(row) for row in batch.tokens]
    assert tokenizer(texts)["input_ids"] == batch.tokens.tolist()
    assert tokenizer.decode(batch.tokens[0]) == texts[0]
    assert tokenizer.bos_token is None
    assert tokenizer("unheard of")["input_ids"] == [1, 1]


def test_fact_set_export(tmp_path: Path) -> None:
    made = world(cue="xor(.5)", templates=2, lam=0.5)
    to_factset(made, "toy").export(tmp_path / "facts")
    found = load_facts(tmp_path / "facts")
    assert found.languages == ["qaa", "qab"]
    assert len(found.fact_ids) == 44 * 3
    assert language("qab").delimiter == " "
    fact = found.fact("e0003.r1", "qab")
    assert fact["candidates"][fact["gold_pos"]] == fact["object"]
    assert len(fact["candidates"]) == 6
    assert "error" not in lint(found)["severity"].to_list()
    # Every evaluation prompt of the world is one of the prompts of the fact set.
    prompts = build_prompts(found, variants=range(4), n_shot=0, seed=0)
    texts = set(prompts.select("fact_id", "lang", "text").iter_rows())
    asked = made.evaluation(made.cells("mono_unseen"))
    for row, cell in zip(asked.tokens, asked.cell, strict=True):
        fact = made.facts.row(int(cell), named=True)
        assert (fact["fact_id"], fact["lang"], made.text(row)) in texts


def test_design_table_says_where_facts_are_told() -> None:
    made = world(languages=3, values=6, p=0.5, parallel_langs=2)
    table = design_table(made)
    joined = table.join(
        made.facts.select("fact_id", "lang", "seen", "weight"), on=["fact_id", "lang"]
    )
    told = {(f, lang) for f, lang in joined.filter("seen").select("fact_id", "lang").iter_rows()}
    anywhere = {fact for fact, _ in told}
    for fact, lang, condition, dose, weight in joined.select(
        "fact_id", "lang", "condition", "dose", "weight"
    ).iter_rows():
        here, pivot = (fact, lang) in told, (fact, "qaa") in told
        if lang == "qaa":
            expected = "both" if pivot else "lang_only" if fact in anywhere else "none"
        else:
            without = "lang_only" if here else "none"
            expected = ("both" if here else "pivot_only") if pivot else without
        assert condition == expected
        assert dose == weight


@pytest.mark.parametrize(
    "knobs",
    [
        {"cue": "drop(.3)", "share": {"names": 1, "relations": 1, "values": 1}},
        {"name_len": 2, "value_len": 2, "share": {"names": 0.5}, "templates": 3},
    ],
)
def test_the_exposure_counter_finds_what_the_stream_says(tmp_path: Path, knobs: dict) -> None:
    pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")
    pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")
    from polylore.studies.count.config import CountConfig
    from polylore.studies.count.study import count

    made = world(exposure="fact", **knobs)
    to_factset(made).export(tmp_path / "facts")
    n = dump_stream(made, tmp_path / "stream.jsonl", steps=12, batch_size=32)
    lines = (tmp_path / "stream.jsonl").read_text().splitlines()
    assert n == len(lines) == 12 * 32
    assert set(json.loads(lines[0])) == {"doc_id", "step", "lang", "fact_id", "text"}
    config = CountConfig.parse(
        {
            "documents": {
                "source": str(tmp_path / "stream.jsonl"), "id": "doc_id", "step": "step"
            },
            "facts": {"source": str(tmp_path / "facts"), "languages": ["qaa", "qab"]},
        }
    )  # fmt: skip
    counted = count(config, tmp_path / "run").table("exposure")
    for step in (1, 5, 12):
        found = (
            counted.filter(pl.col("step_lo") <= step)
            .group_by("fact_id", "lang")
            .agg(pl.col("count").sum())
        )
        expected = made.stream(32).exposure([step]).filter(pl.col("count") > 0)
        assert found.filter(pl.col("count") > 0).sort("fact_id", "lang").rows() == (
            expected.select("fact_id", "lang", "count").sort("fact_id", "lang").rows()
        )


def test_the_card_says_what_matters() -> None:
    card = make_card(world(cue="tag", lam=0.5), steps=20, batch_size=32, parameters=10_000)
    assert card["cells"] == {
        "parallel": 60, "mono_seen": 90, "mono_unseen": 90, "never_seen": 24
    }  # fmt: skip
    assert card["presentations"]["total"] == 20 * 32
    assert set(card["association_bits"]["attribute"]) >= {
        "design", "plug_in", "miller_madow", "null_mean"
    }  # fmt: skip
    assert card["name_trained"] == 1
    assert card["token_overlap"]["names"]["same_form"] == 1
    assert card["token_overlap"]["values"]["common_ids"] == 0
    assert card["leakage"]["evaluation_prompts"] == 90
    assert card["leakage"]["training_prompts"] == 150
    assert card["capacity"]["facts"] == 120
    assert card["capacity"]["fact_bits"] == pytest.approx(120 * np.log2(6))
    toy = make_card(make_world(WorldConfig(never_seen=0)))
    assert toy["capacity"]["fact_bits"] == pytest.approx(8851, abs=1)


def test_unreachable_names_are_warned_of() -> None:
    share = {"names": 0, "relations": 0, "values": 1}
    card = make_card(world(share=share))
    assert card["name_trained"] == 0
    assert any("Split by fact" in text for text in card["warnings"])
    by_fact = make_card(world(share=share, split="fact", p=0.5))
    assert by_fact["name_trained"] > 0.8
    assert make_card(world(p=1.0))["name_trained"] is None


BAD = [
    (["--values", "7"], "values must be divisible by the number of languages (2), not 7"),
    (["--p", "1.5"], "p: Input should be less than or equal to 1"),
    (["--lam=-.1"], "lam: Input should be greater than or equal to 0"),
    (["--name-len", "2", "--name-pool", "16"], "name_pool ** name_len must be at least"),
    (["--share.names", ".7", "--false-friends.names", ".5"], "share.names + false_friends.names"),
    (["--set", "cue=xor(0)", "--languages", "3", "--values", "21"], "cue xor needs languages: 2"),
    (["--set", "colour=red"], "colour is not a known setting"),
    (["--set", "cue=flag"], "cue.kind: Input should be 'none', 'tag', 'drop'"),
    (["--set", "cue=tag(1)"], "write none, tag, drop(q)"),
    (["--set", "cue=drop(2)"], "cue.q: Input should be less than or equal to 1"),
    (["--ratio", ".9,.2"], "ratio"),
    (["--exposure", "dup", "--p", ".5"], "p must be 0"),
    (["--delta", ".5"], "delta has a meaning only with exposure dup"),
    (["--templates", "2", "--train-templates", "3"], "train_templates must lie in 1..2"),
    (["--parallel-langs", "3"], "parallel_langs must lie in 2..2"),
    (["--name-map", "scrambled"], "name_map scrambled needs name_len"),
    (["--value-prior", "pareto"], "must be uniform or zipf(a)"),
    (["--set", "curriculum=[{steps: 5, cue: tag}]"], "as many tokens"),
    (["--share.relations", "1"], "The world leaks"),
    (["--preset", "disjoint", "--amount", ".5"], "no amount"),
    (["--facts", "nowhere.csv"], "There is no file"),
    (["--dump-stream", "x.jsonl"], "--dump-stream needs --steps"),
]


@pytest.mark.parametrize(("flags", "message"), BAD)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["unify", "world", "make", "-o", "w", *flags])
    assert done.exit_code != 0
    assert message in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_presets_and_flags_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--preset", "shared", "--cue", "syn(4)", "--entities", "20"]
    done = CliRunner().invoke(cli, ["unify", "world", "make", "-o", "w", *flags])
    assert done.exit_code == 0, done.output
    assert load_world("w").config.cue.label == "syn(4)"


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--preset", "transliterated", "--entities", "40", "--p", ".5", "--steps", "6"]
    flags += ["--batch-size", "16", "--dump-stream", "s.jsonl", "--export", "facts", "-q"]
    done = CliRunner().invoke(cli, ["unify", "world", "make", "-o", "w", *flags])
    assert done.exit_code == 0, done.output
    assert len(Path("s.jsonl").read_text().splitlines()) == 96
    assert (tmp_path / "facts" / "design.parquet").is_file()
    done = CliRunner().invoke(cli, ["unify", "world", "card", "w", "--json"])
    card = json.loads(done.output)
    assert card["world_hash"] == load_world("w").world_hash
    done = CliRunner().invoke(cli, ["unify", "world", "card", "w"])
    assert done.output.startswith("# Data card")
