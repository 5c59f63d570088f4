"""What is asked of each item, in tokens: its prompt, first-token sets, and forms in context.

Specification of `patch`, section 2. Depends on the tokenizer alone, so one sheet serves all
checkpoints.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylore.errors import ModelError
from polylore.models.patching import Form, PatchPrompt
from polylore.studies.patch.planning.plan import PatchPlan
from polylore.studies.patch.planning.tokens import locate

CLOSING = ('"', "”", "»", "」")
_SPACE = "▁"
"""How some tokenizers write a space that their decoding leaves out at the beginning."""
EITHER = "either"
"""Name of the cell that source and target concept share."""
_CONCEPTS = (("src", "fact_id"), ("tgt", "fact_id_target"))
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Marks:
    """Tokens that end a word."""

    ends: tuple[int, ...]
    """Those whose text begins with a closing quote; they end a form that is scored."""
    stops: frozenset[int]
    """Those that hold a closing quote or a newline, and end-of-text; they end an answer."""

    @classmethod
    def of(cls, tokenizer: Any) -> "Marks":
        """Found in the vocabulary.

        Raises:
            ModelError: no token begins with a closing quote.
        """
        ids = sorted(set(tokenizer.get_vocab().values()))
        texts = tokenizer.batch_decode(
            [[one] for one in ids], clean_up_tokenization_spaces=False, skip_special_tokens=False
        )
        pieces = tokenizer.convert_ids_to_tokens(ids)
        known = list(zip(ids, texts, pieces, strict=True))
        ends = tuple(k for k, t, p in known if t.startswith(CLOSING) and not p.startswith(_SPACE))
        if not ends:
            raise ModelError(
                "No token of this tokenizer begins with a closing quote, so words cannot be scored."
            )
        stops = {k for k, text, _ in known if any(sign in text for sign in (*CLOSING, "\n"))}
        if tokenizer.eos_token_id is not None:
            stops.add(tokenizer.eos_token_id)
        return cls(ends, frozenset(stops))


@dataclass(frozen=True)
class Asked:
    """A prompt with its queries, and which of them make up which cell."""

    prompt: PatchPrompt
    cells: tuple[tuple[str, str], ...]
    """(src, tgt or either, language)"""
    sets: tuple[int | None, ...]
    """Of each cell, its set of first tokens."""
    forms: tuple[tuple[int, ...], ...]
    """Of each cell, its forms; none where only first tokens are asked for."""
    n_forms: tuple[int, ...]
    merged: tuple[bool, ...]
    """Of each cell, whether a form merged with the opening quote."""


class Sheet:
    """The items of one language pair, in tokens."""

    def __init__(self, plan: PatchPlan, tokenizer: Any, marks: Marks, a: str, b: str) -> None:
        self.items = plan.items.filter((pl.col("lang_a") == a) & (pl.col("lang_b") == b))
        self.lang_a, self.lang_b = a, b
        self._marks = marks
        used = {*self.items["prompt_id"], *self.items["source_ids"].explode().drop_nulls()}
        rows = plan.prompts.filter(pl.col("prompt_id").is_in(sorted(used)))
        self.prompts: dict[str, dict[str, Any]] = {
            row["prompt_id"]: row for row in rows.iter_rows(named=True)
        }
        cells = plan.cells.filter(pl.col("lang_a") == a)
        self._cells = {(r["fact_id"], r["cell_lang"]): r for r in cells.iter_rows(named=True)}
        self._langs = plan.head.languages
        self._pivot = plan.settings.pivot
        self._whole = {a, b, self._pivot}
        self._forms = self._tokenised(tokenizer, plan)
        self._asked: dict[tuple[Any, ...], Asked] = {}

    def asked(self, item: Row) -> Asked:
        """What is asked of an item. Draws of `samek` are asked in language b alone."""
        langs = (self.lang_b,) if item["setting"] == "samek" else self._langs
        first, last = self.place(item)
        key = (item["prompt_id"], item["fact_id"], item["fact_id_target"], first, last, langs)
        if key not in self._asked:
            self._asked[key] = self._ask(item, first, last, langs)
        return self._asked[key]

    def place(self, item: Row) -> tuple[int, int]:
        """First and last token that are overwritten."""
        prompt = self.prompts[item["prompt_id"]]
        site = item["intervention"].partition(":")[0]
        if site == "last_token":
            last = len(prompt["token_ids"]) - 1
            return last, last
        counts = [self.prompts[one]["n_object_tokens"] for one in item["source_ids"]]
        many = min([prompt["n_object_tokens"], *counts]) if site == "span" else 1
        return prompt["o"] - many + 1, prompt["o"]

    def _ask(self, item: Row, first: int, last: int, langs: Sequence[str]) -> Asked:
        cells = [(name, (item[key],), lang) for name, key in _CONCEPTS for lang in langs]
        if item["intervention"].startswith("last_token"):
            # The published experiment asks whether either concept is thought of in the pivot.
            either = tuple(item[key] for _, key in _CONCEPTS)
            cells.append((EITHER, either, self._pivot))
        sets: list[tuple[int, ...]] = []
        forms: list[Form] = []
        set_of: list[int | None] = []
        forms_of: list[tuple[int, ...]] = []
        merged, counts = [], []
        for _, concepts, lang in cells:
            asked = [self._cells[concept, lang] for concept in concepts]
            ids = tuple(sorted({one for cell in asked for one in cell["first_ids"]}))
            set_of.append(len(sets) if ids else None)
            sets += [ids] if ids else []
            words = list(dict.fromkeys(word for cell in asked for word in cell["forms"]))
            counts.append(len(words))
            scored = words if lang in self._whole else ()
            found = [self._forms[item["prompt_id"], word] for word in scored]
            merged.append(any(early for _, early in found))
            # A form that merges with the patched token itself cannot be told from it.
            kept = [form for form, _ in found if form.after >= last]
            forms_of.append(tuple(range(len(forms), len(forms) + len(kept))))
            forms += kept
        names = tuple((name, lang) for name, _, lang in cells)
        prompt = PatchPrompt(
            tuple(self.prompts[item["prompt_id"]]["token_ids"]),
            first,
            last,
            tuple(sets),
            tuple(forms),
            self._marks.ends,
        )
        return Asked(prompt, names, tuple(set_of), tuple(forms_of), tuple(counts), tuple(merged))

    def _tokenised(
        self, tokenizer: Any, plan: PatchPlan
    ) -> dict[tuple[str, str], tuple[Form, bool]]:
        """Every form behind every prompt, and whether it merged with the opening quote."""
        wanted = dict.fromkeys(
            (prompt, word)
            for prompt, s, t in self.items.select("prompt_id", "fact_id", "fact_id_target")
            .unique(maintain_order=True)
            .iter_rows()
            for concept in (s, t)
            for lang in sorted(self._whole)
            for word in self._cells[concept, lang]["forms"]
        )
        ids = self._behind(tokenizer, plan, wanted, '"')
        ends = set(self._marks.ends)
        fused = [key for key, row in ids.items() if row[-1] not in ends]
        cut = {key: row[:-1] for key, row in ids.items()}
        # The closing quote merged with the word: the word is scored as it stands without it.
        cut |= self._behind(tokenizer, plan, fused, "")
        return {key: _form(self.prompts[key[0]]["token_ids"], row) for key, row in cut.items()}

    def _behind(
        self, tokenizer: Any, plan: PatchPlan, keys: Iterable[tuple[str, str]], sign: str
    ) -> dict[tuple[str, str], list[int]]:
        """Ids of prompt + form + sign, cut where the prompt was cut."""
        found: dict[tuple[str, str], list[int]] = {}
        by_way: dict[bool, list[tuple[str, str]]] = {}
        for key in keys:
            by_way.setdefault(self.prompts[key[0]]["boundary"] == "split", []).append(key)
        for split, some in sorted(by_way.items()):
            texts = [self.prompts[prompt]["text"] + word + sign for prompt, word in some]
            spans = [self._span(plan, self.prompts[prompt]) for prompt, _ in some]
            located = locate(tokenizer, texts, spans, "split" if split else "repair")
            found |= {key: one.ids for key, one in zip(some, located, strict=True)}
        return found

    @staticmethod
    def _span(plan: PatchPlan, prompt: Row) -> tuple[int, int]:
        """Characters of the object of the query line, which its prompt ends with."""
        tail = f'" - {plan.head.names[prompt["lang_b"]]}: "'
        stop = len(prompt["text"]) - len(tail)
        word = plan.lexicon.forms(prompt["fact_id"], prompt["lang_a"])[0].text
        return stop - len(word), stop


def _form(prompt: Sequence[int], whole: Sequence[int]) -> tuple[Form, bool]:
    """The tokens of a form behind what it shares with the prompt."""
    pairs = zip(prompt, whole, strict=False)
    same = next((n for n, (x, y) in enumerate(pairs) if x != y), min(len(prompt), len(whole) - 1))
    return Form(tuple(whole[same:]), same - 1), same < len(prompt)
