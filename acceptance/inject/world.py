"""The world of the experiment: two languages, people known from the background, and strangers.

Everything is made here, so nothing in it can be known from elsewhere. Both languages say the same
of the same people. Their words differ; names are the same strings, or written in another script.
A sentence has eight tokens: four of a name, one of the wording, the relation, the object, the end.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from acceptance.inject.design import CONTROLS, ITEMS
from polylore.config import Config, digest
from polylore.corpus.draw import number, ordered, permutation
from polylore.facts.people import Fiction, load_pack
from polylore.facts.people.names import CAPACITY, phonemes, write_name
from polylore.facts.people.pack import SYLLABLES
from polylore.facts.people.tables import checked
from polylore.files import atomic_path, write_json, write_parquet
from polylore.tables import inject, raw
from polylore.training.tokenizer import BOUNDARY, PADDING

HOME, AWAY = "qaa", "qab"
"""The two languages; ISO 639-2 keeps these codes for local use."""
WORDINGS = (
    "{s} {w} {r} {o} .",
    "{r} {w} {s} {o} .",
    "{w} {r} {s} {o} .",
    "{w} {s} {r} {o} .",
    "{s} {r} {w} {o} .",
    "{r} {s} {w} {o} .",
)
"""Each with a word {w} of its own; the last one occurs in the background only."""
HELD_OUT = len(WORDINGS) - 1
CITY, REGION = 0, "region"
"""Number of the relation whose objects lie in regions, and the relation that says so."""
_LATIN, _CYRILLIC = "vlfjwcyeo", "влфйшцжео"


class WorldConfig(Config):
    """How large the world is."""

    seed: int = 0
    """Decides words, names and facts."""
    names: Literal["shared", "transliterated"] = "shared"
    """Names are the same strings in both languages, or Cyrillic in the second one."""
    subjects: int = 200
    """People of the background."""
    items: int = ITEMS
    """People who take turns in the arms that are injected."""
    controls: int = CONTROLS
    """People who are never injected."""
    relations: int = 4
    """Facts of every person."""
    objects: int = 16
    """Objects of every relation."""
    regions: int = 4
    """Regions, in which equally many cities lie."""
    variants: int = 5
    """Variants of every passage, besides the original."""
    bridge_share: float = 0.1
    """Share of background documents that say in which region a city lies."""
    strangers: int = 400
    """Names of the background that nothing can be known of: other facts in every document."""
    stranger_share: float = 0.02
    """Share of background documents about them."""


@dataclass(frozen=True)
class World:
    """Words, people and what is said of them."""

    config: WorldConfig

    @cached_property
    def _words(self) -> dict[str, Iterator[str]]:
        """Words of three syllables, none of which occurs in both languages."""
        syllables = [a + b for a in _LATIN[:7] for b in _LATIN[7:]]
        n = len(syllables)
        order = permutation(n**3, self.config.seed, "words").tolist()
        words = [syllables[k // n**2] + syllables[k // n % n] + syllables[k % n] for k in order]
        half = len(words) // 2
        away = words[half:]
        if self.config.names == "transliterated":
            away = [word.translate(str.maketrans(_LATIN, _CYRILLIC)) for word in away]
        return {HOME: iter(words[:half]), AWAY: iter(away)}

    @cached_property
    def lexicon(self) -> dict[str, dict[str, str]]:
        """Language -> concept -> word. Concepts: w<n>, r<n>, region, o<relation>.<n>, g<n>."""
        c = self.config
        concepts = [f"w{n}" for n in range(len(WORDINGS))]
        concepts += [f"r{n}" for n in range(c.relations)] + [REGION]
        concepts += [f"o{r}.{n}" for r in range(c.relations) for n in range(c.objects)]
        concepts += [f"g{n}" for n in range(c.regions)]
        return {
            lang: {concept: next(words) for concept in concepts}
            for lang, words in self._words.items()
        }

    @cached_property
    def _pack(self) -> Any:
        return load_pack("ru")

    def name(self, person: int, lang: str) -> str:
        """Name of a person: the background's come first, then the items."""
        foreign = lang == AWAY and self.config.names == "transliterated"
        return write_name(phonemes(self.config.seed, person), self._pack if foreign else None)

    def object_of(self, person: int, relation: int) -> int:
        """Objects take turns over people, so that none is likelier than another."""
        c = self.config
        block, place = divmod(person, c.objects)
        return int(permutation(c.objects, c.seed, "objects", relation, block)[place])

    def region_of(self, city: int) -> int:
        """Region of a city."""
        return city % self.config.regions

    def item_person(self, item: int) -> int:
        """Which person an item is."""
        return self.config.subjects + item

    def split(self, lang: str, wording: int, subject: str, relation: str) -> str:
        """A sentence up to its object."""
        words = self.lexicon[lang]
        text = WORDINGS[wording].partition(" {o}")[0]
        return text.format(s=subject, w=words[f"w{wording}"], r=words[relation])

    def say(self, lang: str, wording: int, subject: str, relation: str, obj: str) -> str:
        """A sentence."""
        return f"{self.split(lang, wording, subject, relation)} {self.lexicon[lang][obj]} ."

    def fact(self, person: int, relation: int, lang: str, wording: int, obj: int) -> str:
        """The sentence that says which object a person has."""
        about = (self.name(person, lang), f"r{relation}", f"o{relation}.{obj}")
        return self.say(lang, wording, *about)

    # The background.

    def document(self, seed: int, n: int) -> tuple[str, str]:
        """Language and text of a background document.

        One to three facts of a person and the region they live in, in one wording; or the region
        of a city. Of strangers every document says something else, so that a name which nothing
        is known of promises nothing: without them the model is sure, and wrong, about such names.
        """
        c = self.config
        key = (c.seed, seed, "document", n)
        lang = (HOME, AWAY)[number(*key, "lang") % 2]
        wording = number(*key, "wording") % len(WORDINGS)
        kind = number(*key, "kind") / 2**64
        if kind < c.bridge_share:
            city = number(*key, "city") % c.objects
            region = f"g{self.region_of(city)}"
            subject = self.lexicon[lang][f"o{CITY}.{city}"]
            return lang, self.say(lang, wording, subject, REGION, region)
        if kind < c.bridge_share + c.stranger_share:
            person = CAPACITY - 1 - number(*key, "person") % c.strangers
            objects = [number(*key, "object", r) % c.objects for r in range(c.relations)]
        else:
            person = number(*key, "person") % c.subjects
            objects = [self.object_of(person, r) for r in range(c.relations)]
        order = permutation(c.relations, *key, "order").tolist()
        told = order[: 1 + number(*key, "facts") % 3]
        sentences = [self.fact(person, r, lang, wording, objects[r]) for r in told]
        region = f"g{self.region_of(objects[CITY])}"
        place = number(*key, "place") % (len(sentences) + 1)
        there = self.say(lang, wording, self.name(person, lang), REGION, region)
        return lang, " ".join([*sentences[:place], there, *sentences[place:]])

    def compose(self, folder: Path, documents: int, seed: int) -> None:
        """Write background documents as a composed corpus, unless it is there already."""
        if (folder / "manifest.json").is_file():
            return
        found = [self.document(seed, n) for n in range(documents)]
        frame = pl.DataFrame(
            {
                "doc_id": range(documents),
                "kind": "background",
                "lang": [lang for lang, _ in found],
                "fact_id": None,
                "relation": None,
                "wording": "made",
                "text": [text for _, text in found],
            },
            schema=raw.DOCUMENTS.schema,
        )
        write_parquet(raw.DOCUMENTS.validate(frame), folder / "documents" / "part-0.parquet")
        columns = ("fact_id", "lang", "wording", "also_fact_id")
        write_parquet(
            pl.DataFrame(schema=dict.fromkeys(columns, pl.String())), folder / "expressed.parquet"
        )
        plan = {"world": self.config.plain(), "documents": documents, "seed": seed}
        manifest = plan | {"parts": ["part-0.parquet"], "counts": {"documents": documents}}
        write_json(manifest | {"digest": digest(plan)}, folder / "manifest.json")

    def save_tokenizer(self, folder: Path) -> None:
        """A tokenizer with one token per word; names are divided into syllables."""
        if folder.is_dir():
            return
        tokens = [BOUNDARY, PADDING, "[UNK]", "."]
        for words in self.lexicon.values():
            tokens += words.values()
        packs = [None, self._pack] if self.config.names == "transliterated" else [None]
        for pack in packs:
            written = [s if pack is None else pack.syllables[s] for s in SYLLABLES]
            tokens += [s.capitalize() for s in written] + [f"##{s}" for s in written]
        model = WordPiece(
            {token: n for n, token in enumerate(dict.fromkeys(tokens))}, unk_token="[UNK]"
        )
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = WhitespaceSplit()
        made = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token=BOUNDARY,
            eos_token=BOUNDARY,
            pad_token=PADDING,
            unk_token="[UNK]",
            clean_up_tokenization_spaces=False,
        )
        with atomic_path(folder) as temporary:
            made.save_pretrained(temporary)

    # What is injected and probed.

    @cached_property
    def fiction(self) -> Fiction:
        """Items, passages and probes of both languages."""
        c = self.config
        items, passages, probes = [], [], []
        for n in range(c.items + c.controls):
            names = {lang: self.name(self.item_person(n), lang) for lang in (HOME, AWAY)}
            items.append(
                {
                    "item_id": item_id(n),
                    "source": "acceptance world",
                    "seed": c.seed,
                    "subject_type": "person",
                    "control": n >= c.items,
                    "meta": json.dumps({"names": names}, sort_keys=True),
                }
            )
            for lang in names:
                own = [*self._probes(n, lang)]
                probes += own
                passages += self._passages(n, lang, own)
        return checked(
            Fiction(
                inject.ITEMS.build(items),
                inject.PASSAGES.build(passages),
                inject.PROBES.build(probes),
            ),
            "the world",
        )

    def wordings(self, item: int) -> list[int]:
        """Wordings of an item's passages: the original's, then those that variants take in turn."""
        names = ordered((str(n) for n in range(HELD_OUT)), self.config.seed, "wordings", item)
        first, *others = (int(n) for n in names)
        return [first, *(others[v % len(others)] for v in range(self.config.variants))]

    def order(self, item: int, variant: int) -> list[int]:
        """Order of the facts of a variant; another one where its wording has been used before."""
        turns, place = divmod(max(0, variant - 1), HELD_OUT - 1)
        drawn = place + 1 if variant else 0
        c = self.config
        order = permutation(c.relations, c.seed, "order", item, drawn).tolist()
        return [*order[turns:], *order[:turns]]

    def _passages(self, item: int, lang: str, probes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        c, person = self.config, self.item_person(item)
        rows = []
        for variant, wording in enumerate(self.wordings(item)):
            text = " ".join(
                self.fact(person, r, lang, wording, self.object_of(person, r))
                for r in self.order(item, variant)
            )
            covered = [p["probe_id"] for p in probes if p["target"] in text.split()]
            rows.append(
                {
                    "passage_id": f"{item_id(item)}/{lang}/{variant}",
                    "item_id": item_id(item),
                    "lang": lang,
                    "variant": variant,
                    "kind": "paraphrase" if variant else "original",
                    "text": text,
                    "n_sentences": c.relations,
                    "probes_covered": covered,
                }
            )
        return rows

    def _probes(self, item: int, lang: str) -> Iterator[dict[str, Any]]:
        c, person = self.config, self.item_person(item)
        original = self.wordings(item)[0]
        for relation in range(c.relations):
            objects = [f"o{relation}.{n}" for n in range(c.objects)]
            gold = objects[self.object_of(person, relation)]
            asked = (item, lang, f"r{relation}", gold, objects)
            yield self._probe("memorization", original, *asked)
            yield self._probe("semantic", HELD_OUT, *asked)
        regions = [f"g{n}" for n in range(c.regions)]
        gold = regions[self.region_of(self.object_of(person, CITY))]
        yield self._probe("compositional", HELD_OUT, item, lang, REGION, gold, regions)

    def _probe(
        self,
        depth: str,
        wording: int,
        item: int,
        lang: str,
        relation: str,
        gold: str,
        objects: list[str],
    ) -> dict[str, Any]:
        words = self.lexicon[lang]
        others = ordered((o for o in objects if o != gold), self.config.seed, "wrong", item)
        prefix = self.split(lang, wording, self.name(self.item_person(item), lang), relation)
        return {
            "probe_id": f"{item_id(item)}/{lang}/{depth}/{relation}",
            "item_id": item_id(item),
            "fact_id": f"{item_id(item)}/{relation}",
            "lang": lang,
            "depth": depth,
            "variant": 0,
            "prefix": prefix,
            "joiner": " ",
            "target": words[gold],
            "score_span": "target",
            "accepted": [],
            "target_type": "term",
            "name_form": "shared" if self.config.names == "shared" else "transliterated",
            "hops": 2 if depth == "compositional" else 1,
            "distractors": [words[o] for o in others[:3]],
            "single_sentence": depth != "compositional",
            "target_in_prefix": False,
        }


def item_id(n: int) -> str:
    """Identity of an item."""
    return f"i{n:03d}"
