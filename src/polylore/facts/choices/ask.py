"""How a multiple-choice question is put before a model (specification of `align`, section 4.2).

Demonstrations are other items of the same set, the same ones in all languages. Their letters are
balanced over items and stay as they are while an item's options turn: a model that copies the
demonstrated letter then chooses every option once, so the habit cancels in the mean over rotations.
Letters that turned together with the options would choose the same option again and again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylore.errors import ConfigError
from polylore.facts.choices.wording import LETTERS, Wording, wording
from polylore.tables.align import ALIGN_PROMPTS
from polylore.text import language

CLOZE = "cloze"
"""Kind of a question that is the beginning of a sentence; its answer goes on with it."""
GAP = "___"
TEXTS = ("text_ll", "rank")
"""Modes that score the words of an answer after a question without options."""
_PAPER = {
    2: ("It began to rain.", "effect", ("The street got wet.", "The street got dry."), 0),
    4: ("What is 2+3?", None, ("1", "2", "3", "5"), 3),
    5: ("What is 2+3?", None, ("1", "2", "3", "5", "6"), 3),
}
"""The published demonstration by number of options (the wording is ours)."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Manner:
    """One way of putting questions."""

    layout: str = "default"
    """`paper`: English around everything, one English demonstration, its answer always the same."""
    instruction: str = "item"
    """Language of the words around a question: `item`, or `pivot`."""
    n_shot: int = 1
    rotate: bool = True
    """Score letters under every rotation of the options."""
    seed: int = 0

    @property
    def paper(self) -> bool:
        """Whether this is the published form."""
        return self.layout == "paper"

    @property
    def variant(self) -> str:
        """Its name in tables, without the chat template."""
        return "paper" if self.paper else f"{self.instruction}-{self.n_shot}shot"


def build_prompts(
    questions: pl.DataFrame,
    items: pl.DataFrame,
    modes: Sequence[str],
    manner: Manner,
    pivot: str = "en",
) -> pl.DataFrame:
    """Every prompt of some sets; contract ALIGN_PROMPTS.

    Items with fewer than two options are not asked for a choice.

    Args:
        questions: table ALIGN_QUESTIONS.
        items: table ALIGN_ITEMS; sets without options are asked for words only.
        modes: letter_ll, text_ll and generate for sets with options, rank and generate for others.
        manner: how.
        pivot: language of the words around questions if the manner says so.

    Raises:
        ConfigError: more options than letters, too few items for the demonstrations, or a number of
            options that the published form does not have.
    """
    rows: list[Row] = []
    for (dataset,), own in questions.group_by(["dataset"], maintain_order=True):
        mine = items.filter(pl.col("dataset") == dataset)
        book = _Book(str(dataset), own, mine, manner, pivot)
        for mode in modes:
            if mode in (("letter_ll", "text_ll", "generate") if book.k else ("rank", "generate")):
                rows += book.prompts(mode)
    return ALIGN_PROMPTS.build(rows)


class _Book:
    """One set, ready to be asked."""

    def __init__(
        self, dataset: str, questions: pl.DataFrame, items: pl.DataFrame, manner: Manner, pivot: str
    ) -> None:
        self.dataset, self.manner, self.pivot = dataset, manner, pivot
        self.k = int(items["n_options"].max() or 0)  # type: ignore[arg-type]
        if self.k > len(LETTERS):
            raise ConfigError(
                f"{dataset} has {self.k} options, but answers have the letters {LETTERS}; use sets "
                f"of at most {len(LETTERS)} options."
            )
        if manner.paper and self.k and self.k not in _PAPER:
            raise ConfigError(
                f"{dataset} has {self.k} options; the published form shows 2, 4 or 5 of them."
            )
        self.rows = questions.to_dicts()
        self.by_key = {(row["item"], row["lang"]): row for row in self.rows}
        self.langs = list(dict.fromkeys(row["lang"] for row in self.rows))
        self.items = {row["item"]: row for row in items.iter_rows(named=True)}
        self.turn: dict[int, int] = {}
        self.demos = self._choose_demos()

    def _choose_demos(self) -> dict[int, tuple[int, ...]]:
        """Demonstrations of every item: those that follow it in an order drawn by hash."""
        order = sorted(self.items, key=lambda item: _draw(self.manner.seed, self.dataset, item))
        self.turn = {item: place for place, item in enumerate(order)}
        wanted = 0 if self.manner.paper else self.manner.n_shot
        if not wanted:
            return dict.fromkeys(order, ())
        told = {item for item in order if all((item, lang) in self.by_key for lang in self.langs)}
        chosen = {}
        for place, item in enumerate(order):
            found: list[int] = []
            for other in order[place + 1 :] + order[:place]:
                if other in told and self._may_show(item, other):
                    found.append(other)
                    if len(found) == wanted:
                        break
            chosen[item] = tuple(found)
        return chosen

    def _may_show(self, item: int, other: int) -> bool:
        """Another cluster, the same relation, another answer in every language."""
        one, two = self.items[item], self.items[other]
        if one["cluster"] == two["cluster"] or one["relation"] != two["relation"]:
            return False
        return all(
            (item, lang) not in self.by_key
            or self.by_key[item, lang]["object"] != self.by_key[other, lang]["object"]
            for lang in self.langs
        )

    def prompts(self, mode: str) -> Iterator[Row]:
        """Rows of one mode."""
        turns: Sequence[int | None] = [None]
        if mode == "letter_ll":
            turns = range(self.k) if self.manner.rotate else [0]
        for row in self.rows:
            if mode in TEXTS and not all(option.strip() for option in row["options"]):
                continue  # nothing to score; the linter names the item
            if len(row["options"]) < 2 and (self.k or mode == "rank"):
                continue  # nothing to choose; `without_choice` counts them
            for turn in turns:
                yield self._prompt(row, mode, turn)

    def _prompt(self, row: Row, mode: str, turn: int | None) -> Row:
        words = self._words(row["lang"])
        lettered = self.k > 0 and mode not in TEXTS
        cloze = row["kind"] == CLOZE and not lettered
        demos = [self.by_key[other, row["lang"]] for other in self.demos[row["item"]]]
        parts, letter = [], None
        if not cloze:
            parts.append(words.letters if lettered else words.plain)
        if self.manner.paper and lettered:
            question, kind, options, gold = _PAPER[self.k]
            shown = {"question": question, "kind": kind, "options": options}
            letter = LETTERS[gold]
            parts.append(f"{_lettered(shown, words, 0)} {letter}")
        between = language(row["lang"] if cloze else words.lang).delimiter
        for number, demo in enumerate(demos):
            place = (self.turn[row["item"]] + number) % max(self.k, 1)
            if lettered:
                letter = LETTERS[place]
                own = _lettered(demo, words, (demo["gold_index"] - place) % self.k)
                parts.append(f"{own}{between}{letter}")
            else:
                parts.append(f"{_open(demo, words)}{between}{demo['object']}")
        asked = _lettered(row, words, turn or 0) if lettered else _open(row, words)
        gap = "\n" if cloze else "\n\n"
        return {
            "mode": mode,
            "variant": self.manner.variant,
            "dataset": self.dataset,
            "item": row["item"],
            "lang": row["lang"],
            "rotation": turn,
            "text": gap.join([*parts, asked]),
            "delimiter": between,
            "null_text": words.answer if mode in TEXTS else None,
            "demo_items": list(self.demos[row["item"]]),
            "demo_letter": letter,
        }

    def _words(self, lang: str) -> Wording:
        if self.manner.paper:
            return wording("en")
        return wording(self.pivot if self.manner.instruction == "pivot" else lang)


def _asked(row: Row, words: Wording, gap: str = "") -> str:
    lines = [f"{words.question} {row['question']}{gap}".replace("： ", "：")]
    if row["kind"] in ("cause", "effect"):
        lines.append(words.cause if row["kind"] == "cause" else words.effect)
    return "\n".join(lines)


def _lettered(row: Row, words: Wording, turn: int) -> str:
    """The question, its options from number `turn` on, and the cue."""
    options = row["options"]
    shown = [options[(place + turn) % len(options)] for place in range(len(options))]
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, shown, strict=False)]
    gap = f" {GAP}" if row["kind"] == CLOZE else ""
    return "\n".join([_asked(row, words, gap), *lines, words.answer])


def _open(row: Row, words: Wording) -> str:
    """The question without options; one that is the beginning of a sentence stands alone."""
    if row["kind"] == CLOZE:
        return str(row["question"])
    return f"{_asked(row, words)}\n{words.answer}"


def _draw(seed: int, dataset: str, item: int) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{dataset}\x1f{item}".encode()).digest()
