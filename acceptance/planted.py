"""Are planted homographs and colexified words found by the automatic classes of answers?

One more arm of the experiment on concepts: all pairs of eight made-up languages are translated, and
in three of them, those that are asked, words are planted that make answers ambiguous. Some of what
the documents say there is wrong on purpose: false friends are copied, and a word of two concepts is
always translated in its main sense. So what a model answers, and why, is known from the design.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from acceptance.translator import (
    BATCH,
    LINES,
    Words,
    document,
    make_tokenizer,
    patch,
    train,
    vocabulary,
)

CONCEPTS = 48
STEPS = 1200
CHECKPOINTS = (0, 300, 600, STEPS)
ASKED = ((2, 3), (4, 5), (6, 7))
OFTEN = 4
"""How much more often a document is of an asked pair than of another."""
SETTINGS = ["src_unpatched", "tgt_unpatched", "tgt", "seen", "en_en", "self", "random_concept"]

SIZES = {
    "homograph": 8,
    "false_friend": 8,
    "lesser_sense": 8,
    "main_sense": 8,
    "one_word_in_b": 8,
    "copied": 4,
    "plain": 4,
}
"""Concepts of each kind in every asked pair a → b; which ones, the seed draws for each pair."""
MEANING = {
    "homograph": "a and b write its word alike, half of them but for a capital letter",
    "false_friend": "its word in a is the word of another concept in b; documents copy it",
    "lesser_sense": "shares its word in a with another concept; documents translate the other",
    "main_sense": "that other concept",
    "one_word_in_b": "shares its word in b with another concept",
    "copied": "nothing is shared, but documents copy its word",
    "plain": "nothing is shared",
}
TAUGHT = {
    "homograph": "correct_homograph",
    "false_friend": "copy",
    "lesser_sense": "other_sense",
    "main_sense": "correct_first",
    "one_word_in_b": "correct_first",
    "copied": "copy",
    "plain": "correct_first",
}
"""The class of what the documents teach."""
FLAGS = {
    "homograph": "hom_same",
    "false_friend": "hom_false",
    "lesser_sense": "colex_a",
    "main_sense": "colex_a",
    "one_word_in_b": "colex_b",
    "copied": "clean",
    "plain": "clean",
}
"""The one flag that the classifier's lexicon should raise."""


@dataclass(frozen=True)
class Design:
    """What was planted."""

    words: Words
    kind: dict[tuple[int, int, int], str]
    """Kind of a concept by a, b and concept."""
    partner: dict[tuple[int, int, int], int]
    """The other concept of a shared word, by a, b and concept."""

    def taught(self, a: int, b: int, concept: int) -> str:
        """What documents answer when the concept's word is shown in a and asked for in b."""
        kind = self.kind.get((a, b, concept))
        if kind in ("false_friend", "copied"):
            return self.words[concept, a]
        if kind == "lesser_sense":
            return self.words[self.partner[a, b, concept], b]
        return self.words[concept, b]


def make_design(seed: int) -> Design:
    """Draw words, and plant them in the asked pairs."""
    draw = random.Random(f"planted {seed}")
    syllables = [x + y for x in "bdfghklmnprstvz" for y in "aeiou"]
    fresh = [x + y for x in syllables for y in syllables]
    draw.shuffle(fresh)
    cells = [(c, n) for c in range(CONCEPTS) for n in range(8)]
    words = dict(zip(cells, fresh, strict=False))
    design = Design(words, {}, {})
    for a, b in ASKED:
        order = draw.sample(range(CONCEPTS), CONCEPTS)
        groups = {kind: [order.pop() for _ in range(size)] for kind, size in SIZES.items()}
        for kind, group in groups.items():
            design.kind.update({(a, b, c): kind for c in group})
        for n, c in enumerate(groups["homograph"]):
            words[c, a] = words[c, b].capitalize() if n % 2 else words[c, b]
        strangers = [*groups["copied"], *groups["plain"]]
        for c, other in zip(groups["false_friend"], strangers, strict=True):
            words[c, a] = words[other, b]
        for c, other in zip(groups["lesser_sense"], groups["main_sense"], strict=True):
            words[c, a] = words[other, a]
            design.partner[a, b, c], design.partner[a, b, other] = other, c
        halves = groups["one_word_in_b"]
        for c, other in zip(halves[::2], halves[1::2], strict=True):
            words[c, b] = words[other, b]
    return design


def documents(design: Design, known: dict[str, int], seed: int) -> Iterator[torch.Tensor]:
    """Endless batches (48, 33) of documents about all concepts."""
    draw = random.Random(f"planted {seed}, documents")
    pairs = [(a, b) for a in range(8) for b in range(8)]
    pairs += [pair for pair in ASKED for _ in range(OFTEN - 1)]
    while True:
        rows = []
        for _ in range(BATCH):
            a, b = draw.choice(pairs)
            told = draw.sample(range(CONCEPTS), LINES)
            lines = [(design.words[c, a], design.taught(a, b, c)) for c in told]
            rows.append(document(known, a, b, lines))
        yield torch.tensor(rows)


def make(seed: int, folder: Path, *, train_only: bool = False) -> Design:
    """Train and patch one model; its run is in `folder`."""
    design = make_design(seed)
    known = vocabulary(design.words)
    tokenizer = make_tokenizer(known, "[A-Za-z]+")
    train(
        folder / "model", tokenizer, documents(design, known, seed),
        seed=seed, steps=STEPS, checkpoints=CHECKPOINTS, what=folder.name,
    )  # fmt: skip
    if not train_only:
        pairs = [f"l{a}-l{b}" for a, b in ASKED]
        plan = {"pairs": pairs, "n_pairs": CONCEPTS, "settings": SETTINGS}
        patch(folder, tokenizer, design.words, plan, folder.name)
    return design
