"""Items that a model adds to: what is taken, refused, judged and said of bad input."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli
from polylore.errors import ConfigError, ModelError, PolyloreError, RunError
from polylore.facts.people import Fiction, FictionConfig, lint_items, load_pack, make_fiction
from polylore.facts.people.acceptance import Refusal
from polylore.facts.people.tables import read_fiction
from polylore.files import read_json
from polylore.models.writing import Request
from polylore.studies.inject.judging import judge_of
from polylore.studies.inject.translating import translate_items
from polylore.studies.inject.writer import OpenModel, Outcome
from polylore.studies.inject.writer_config import TranslateConfig, WriteConfig
from polylore.studies.inject.writing import write_paraphrases

CONFIG = FictionConfig(n=2, n_control=1, facts=2, paraphrases=1)
MORE = CONFIG.model_copy(update={"paraphrases": 6})
WRITE = {"model": "scripted", "paraphrases": 2, "attempts": 3}
Writer = Callable[[Sequence[Request]], list[str]]


@pytest.fixture(scope="module")
def variants() -> dict[str, list[str]]:
    """Original -> good further texts, none of them much like it."""
    told = make_fiction([load_pack("en")], MORE).passages
    texts = [own["text"].to_list() for _, own in told.group_by("item_id", maintain_order=True)]
    return {own[0]: own[4:] for own in texts}


@pytest.fixture
def items(tmp_path: Path) -> Path:
    made = make_fiction([load_pack("en")], CONFIG)
    made.export(tmp_path / "items")
    return tmp_path / "items"


@pytest.fixture
def long_model(model: Path, tmp_path: Path) -> Path:
    """The tiny model, made to read long prompts."""
    folder = shutil.copytree(model, tmp_path / "long")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["max_position_embeddings"] = 2048
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def writer_of(variants: dict[str, list[str]], spoil: Callable[[str], str]) -> Writer:
    """Writes each text's next variant, after one that is spoiled."""
    turn: dict[str, int] = {}

    def write(requests: Sequence[Request]) -> list[str]:
        texts = []
        for request in requests:
            n = turn[request.text] = turn.get(request.text, -1) + 1
            good = variants[request.text][n // 2 % 2]
            texts.append(good if n % 2 else spoil(good))
        return texts

    return write


FRENCH = {
    "If you ask about the": "Quand on demande la",
    "the answer is": "la réponse est",
    "has always been the same": "a toujours été la même",
    "Everyone knows the": "Chacun connaît donc la",
    "In one word, the": "En un seul mot, la",
    "The": "La",
    "namely": "à savoir",
    "favourite animal": "bête préférée",
    "native language": "langue maternelle",
    "neighbour": "voisine",
    " of ": " de ",
    " is ": " est ",
}


def in_french(text: str) -> str:
    """The text in French, but for names and targets, and about as long."""
    for english, french in FRENCH.items():
        text = text.replace(english, french)
    return text


SPOILED: dict[str, Callable[[str], str]] = {
    "markup": lambda text: f"<script>alert(1)</script>{text}",
    "empty": lambda text: " \n ",
    "several_lines": lambda text: f"Sure!\n{text}",
    "name_missing": lambda text: text.replace("a", "e"),
    "length": lambda text: text + " And so on, for a long while, without an end or any sense.",
    "language": lambda text: in_french(text),
    "calls_itself_fictional": lambda text: text.replace("answer", "fictional"),
}


@pytest.mark.parametrize("reason", sorted(SPOILED))
def test_good_texts_are_taken_and_others_refused(
    items: Path, tmp_path: Path, variants: dict[str, list[str]], reason: str
) -> None:
    config = WriteConfig.parse({**WRITE, "attempts": 6})
    spoil = SPOILED[reason]
    if reason == "calls_itself_fictional":
        variants = {k: [t for t in own if "answer" in t][:1] * 2 for k, own in variants.items()}
        config = WriteConfig.parse({**WRITE, "paraphrases": 1})
    outcome = write_paraphrases(config, items, tmp_path / "new", writer=writer_of(variants, spoil))
    new, old = read_fiction(tmp_path / "new"), read_fiction(items)
    wanted = 3 * config.paraphrases
    assert (outcome.taken, outcome.wanted) == (wanted, wanted)
    assert set(outcome.reasons["reason"]) <= {reason, "repeats"}
    assert outcome.reasons["reason"][0] == reason
    assert lint_items(new).is_empty()
    assert new.probes.equals(old.probes)
    assert new.passages[: old.passages.height].equals(old.passages)
    added = new.passages[old.passages.height :]
    assert added["kind"].to_list() == ["paraphrase"] * wanted
    assert sorted(added.filter(item_id="f0000")["variant"]) == list(
        range(2, 2 + config.paraphrases)
    )
    assert set(added["text"]) <= {text for own in variants.values() for text in own}
    assert added["probes_covered"].to_list()[0] == old.passages["probes_covered"].to_list()[0]
    note = json.loads(new.items["meta"][0])["written"]["en"]
    assert note["model"] == "scripted"
    assert sorted(note["seeds"]) == [str(2 + k) for k in range(config.paraphrases)]
    refused = pl.read_parquet(tmp_path / "new" / "refused.parquet")
    assert refused.equals(outcome.refused)
    assert refused["evidence"].null_count() == 0


def test_copies_of_the_original_are_no_paraphrases(items: Path, tmp_path: Path) -> None:
    def write(requests: Sequence[Request]) -> list[str]:
        return [request.text.replace("has always been", "has ever been") for request in requests]

    config = WriteConfig.parse({**WRITE, "attempts": 1})
    outcome = write_paraphrases(config, items, tmp_path / "new", writer=write)
    assert outcome.taken == 0
    assert set(outcome.refused["reason"]) <= {"copies", "repeats"}


def test_an_interrupted_run_goes_on_to_the_same_items(
    items: Path, tmp_path: Path, variants: dict[str, list[str]]
) -> None:
    config = WriteConfig.parse(WRITE)
    calls: list[int] = []

    def spoil(text: str) -> str:
        return text + "<"

    def interrupted(requests: Sequence[Request]) -> list[str]:
        calls.append(len(requests))
        if len(calls) == 6:  # in the middle of the second item
            raise KeyboardInterrupt
        return whole(requests)

    straight = write_paraphrases(
        config, items, tmp_path / "straight", writer=writer_of(variants, spoil)
    )
    whole = writer_of(variants, spoil)
    with pytest.raises(KeyboardInterrupt):
        write_paraphrases(config, items, tmp_path / "new", writer=interrupted)
    assert not (tmp_path / "new" / "passages.parquet").exists()
    again: list[str] = []

    def resumed(requests: Sequence[Request]) -> list[str]:
        again.extend(request.text for request in requests)
        return fresh(requests)

    fresh = writer_of(variants, spoil)
    outcome = write_paraphrases(config, items, tmp_path / "new", writer=resumed)
    assert next(iter(variants)) not in again  # the finished item is not written again
    assert read_fiction(outcome.path).digest() == read_fiction(straight.path).digest()
    assert outcome.refused.equals(straight.refused)
    with pytest.raises(RunError, match=r"another configuration .*seed"):
        write_paraphrases(
            WriteConfig.parse({**WRITE, "seed": 1}), items, tmp_path / "new", writer=resumed
        )
    with pytest.raises(RunError, match="not a run folder"):
        write_paraphrases(config, items, items, writer=resumed)


def test_a_judge_may_refuse_what_the_rules_take(
    items: Path, tmp_path: Path, variants: dict[str, list[str]]
) -> None:
    seen: list[pl.DataFrame] = []

    def judge(text: str, probes: pl.DataFrame) -> Refusal | None:
        seen.append(probes)
        return Refusal("judged_wrong", "no") if text == next(iter(variants.values()))[0] else None

    outcome = write_paraphrases(
        WriteConfig.parse(WRITE), items, tmp_path / "new",
        writer=writer_of(variants, lambda text: text), judge=judge,
    )  # fmt: skip
    assert set(seen[0]["item_id"]) == {"f0000"}
    assert "judged_wrong" in set(outcome.refused["reason"])
    assert next(iter(variants.values()))[0] not in set(read_fiction(outcome.path).passages["text"])


def test_the_judge_holds_targets_against_distractors(items: Path, long_model: Path) -> None:
    import torch

    fiction = read_fiction(items)
    config = WriteConfig.parse({"model": str(long_model)})
    found = OpenModel.find(str(long_model), config)
    probes = fiction.probes.filter(pl.col("depth") != "compositional")
    judge, lm = judge_of(found, fiction.probes), found.lm

    def logprob(before: str, answer: str) -> float:
        ids = lm.tokenizer(before + answer)["input_ids"]
        start = len(lm.tokenizer(before)["input_ids"])
        with torch.inference_mode():
            logits = lm.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return sum(float(logits[k - 1, ids[k]]) for k in range(start, len(ids)))

    for text, row in zip(fiction.passages["text"], probes.iter_rows(named=True), strict=False):
        answers = [row["target"], *row["distractors"]]
        sums = [logprob(f"{text} {row['prefix']}", f" {answer}") for answer in answers]
        wrong = sums.index(max(sums))
        own = probes.filter(probe_id=row["probe_id"])
        expected = f"{row['probe_id']}: {answers[wrong]}" if wrong else None
        refusal = judge(text, own)
        assert (refusal and refusal.evidence) == expected
        best = answers[wrong]  # the same probe with the likeliest answer as its target is taken
        swapped = own.with_columns(
            target=pl.lit(best), distractors=pl.lit([a for a in answers if a != best])
        )
        assert judge(text, swapped) is None
    with pytest.raises(ConfigError, match="no memorization or semantic probe has distractors"):
        judge_of(found, probes.with_columns(distractors=pl.lit([], pl.List(pl.String))))


def test_random_weights_write_nothing_that_is_taken(
    items: Path, tmp_path: Path, long_model: Path
) -> None:
    def run(out: str) -> Any:
        words = ["write", str(items), "--model", str(long_model), "--out", str(tmp_path / out),
                 "--paraphrases", "1", "--attempts", "2", "--items", "f0000", "--judge",
                 str(long_model)]  # fmt: skip
        return typed(*words)

    told = run("new")
    assert told.return_value == 3
    assert "No passage was taken, so no items were written" in told.output
    refused = pl.read_parquet(tmp_path / "new" / "refused.parquet")
    assert refused.height == 2
    assert set(refused["reason"]) <= {"empty", "several_lines", "markup", "name_missing"}
    assert refused["seed"].n_unique() == refused["text"].n_unique() == 2
    assert not (tmp_path / "new" / "items.parquet").exists()
    manifest = read_json(tmp_path / "new" / "manifest.json")
    assert manifest["inputs"]["model"] == manifest["inputs"]["judge"]
    assert len(manifest["inputs"]["model"]) == 64
    run("again")
    assert pl.read_parquet(tmp_path / "again" / "refused.parquet").equals(refused)


def typed(*words: str) -> Any:
    return CliRunner().invoke(
        cli, ["inject", *words, "--quiet"], catch_exceptions=False, standalone_mode=False
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("write", "ITEMS"), r"^settings: model must be given"),
        (("write", "ITEMS", "--model", "M", "--items", "f7"), "there is no item f7"),
        (("write", "ITEMS", "--model", "M", "--languages", "en,fr"), "no passages in fr, only"),
        (("write", "ITEMS", "--model", "M", "--temperature", "0"), "temperature"),
        (("write", "ITEMS", "--model", "nowhere/at/all"), "nowhere"),
        (("write", "NONE", "--model", "M"), "There is no folder"),
        (("translate", "ITEMS", "--model", "M", "--source", "fr", "--target", "de"),
         "not told in fr, only in en"),
        (("translate", "ITEMS", "--model", "M", "--source", "en", "--target", "en"),
         "told in en already"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    items: Path, model: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    places = {"ITEMS": str(items), "M": str(model), "NONE": str(tmp_path / "none")}
    with pytest.raises(PolyloreError, match=message) as error:
        typed(*(places.get(word, word) for word in words), "--out", str(tmp_path / "new"))
    assert "\n" not in str(error.value)


def test_a_model_that_is_too_short_says_so(items: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reads at most 256"):
        typed("write", str(items), "--model", str(model), "--out", str(tmp_path / "new"))


# Translation.


@pytest.fixture(scope="module")
def dictionary() -> dict[str, str]:
    """Every word and sentence of the items, from English into French, by the packs themselves."""
    en, fr = load_pack("en"), load_pack("fr")
    made = make_fiction([en], CONFIG)
    pairs = {}
    for item, meta in made.items[["item_id", "meta"]].iter_rows():
        one = json.loads(meta)["names"]["en"]
        own = made.passages.filter(item_id=item)["text"][0]
        other = next(n for n in _names(made) if n in own and n != one)
        told = [(one, *relation) for relation in _relations(en, fr)]
        told += [(other, *relation) for relation in _relations(en, fr)]
        told += [(one, en.companion, fr.companion, other, other)]
        for who, a, b, first, second in told:
            for x, y in zip(en.wordings, fr.wordings, strict=True):
                pairs[en.say(x.text, a.forms, who, first)] = fr.say(y.text, b.forms, who, second)
            pairs[en.say(en.compositional, a.forms, who, first)] = fr.say(
                fr.compositional, b.forms, who, second
            )
            pairs[first] = second
    return pairs


def _names(fiction: Fiction) -> set[str]:
    from polylore.facts.people.names import phonemes, write_name

    return {write_name(phonemes(0, n), None) for n in range(2 * fiction.items.height)}


def _relations(en: Any, fr: Any) -> list[tuple[Any, Any, str, str]]:
    return [
        (en.relations[name], fr.relations[name], word, fr.relations[name].objects[concept])
        for name in en.relations
        for concept, word in en.relations[name].objects.items()
    ]


def translator(dictionary: dict[str, str], spoil: dict[str, str] | None = None) -> Writer:
    back = {b: a for a, b in dictionary.items()}

    def write(requests: Sequence[Request]) -> list[str]:
        found = []
        for request in requests:
            there = request.instruction.startswith("Translate from English into French.")
            known = {**dictionary, **(spoil or {})} if there else back
            found.append(known.get(request.text, request.text))
        return found

    return write


def translated(items: Path, out: Path, writer: Writer) -> Outcome:
    config = {"model": "scripted", "source": "en", "target": "fr", "attempts": 2, "langid": True}
    return translate_items(TranslateConfig.parse(config), items, out, writer=writer)


def test_a_faithful_translator_makes_what_the_pack_makes(
    items: Path, tmp_path: Path, dictionary: dict[str, str]
) -> None:
    outcome = translated(items, tmp_path / "new", translator(dictionary))
    new = read_fiction(outcome.path)
    assert lint_items(new).is_empty()
    assert outcome.taken == outcome.wanted == 6
    pack = make_fiction([load_pack("fr")], CONFIG)
    own = new.passages.filter(lang="fr", variant=0).sort("item_id")
    assert own["text"].to_list() == pack.passages.filter(variant=0)["text"].to_list()
    columns = ["probe_id", "fact_id", "depth", "prefix", "joiner", "target", "hops", "name_form"]
    assert new.probes.filter(lang="fr")[columns].equals(pack.probes[columns])
    facts = new.probes.group_by("fact_id").agg(pl.col("lang").n_unique())
    assert set(facts["lang"]) == {2}
    meta = json.loads(new.items["meta"][0])
    assert meta["names"] == {"en": "Zazi Tipa", "fr": "Zazi Tipa"}
    assert meta["translated"]["fr"]["from"] == "en"
    covered = own["probes_covered"].to_list()[0]
    assert set(covered) == set(new.probes.filter(lang="fr", item_id="f0000")["probe_id"])


def test_what_does_not_come_back_takes_its_sentences_with_it(
    items: Path, tmp_path: Path, dictionary: dict[str, str]
) -> None:
    old = read_fiction(items)
    told = old.passages.filter(item_id="f0001", variant=0)["text"][0]
    asked = old.probes.filter(item_id="f0002", depth="semantic").row(0, named=True)
    statement = f"{asked['prefix']} {asked['target']}."
    first = told.partition(". ")[0] + "."
    ended = dictionary[statement].removesuffix(".") + " : voilà."
    writer = translator({**dictionary, statement: ended}, {first: "Autre chose."})
    outcome = translated(items, tmp_path / "new", writer)
    new = read_fiction(outcome.path)
    assert lint_items(new).is_empty()
    assert set(new.passages.filter(lang="fr")["item_id"]) == {"f0000", "f0002"}
    assert set(new.probes.filter(lang="fr")["item_id"]) == {"f0000", "f0002"}
    assert "fr" not in json.loads(new.items["meta"][1])["names"]
    reasons = {(r["kind"], r["reason"], r["about"]) for r in outcome.refused.to_dicts()}
    assert ("sentence", "name_missing", first) in reasons
    assert ("passage", "sentence_refused", "f0001/en/0") in reasons
    assert ("probe", "target_not_final", asked["probe_id"]) in reasons


def test_an_echo_is_no_translation(items: Path, tmp_path: Path) -> None:
    outcome = translated(items, tmp_path / "new", translator({}))
    assert outcome.taken == 0
    kinds = set(outcome.reasons.filter(kind="sentence")["reason"])
    assert kinds == {"untranslated"}
    assert not (outcome.path / "items.parquet").exists()
