"""Prompts: a template cut at <mask>, its subject put in, demonstrations in front.

Source: specification of `trace`, sections 2.1 and 2.2.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Literal

import polars as pl

from polylore.errors import ConfigError, DataError
from polylore.facts.demos import paper_demos, parallel_demos
from polylore.facts.factset import FactSet
from polylore.facts.rows import list_column
from polylore.tables import raw
from polylore.text import language

Demos = Literal["parallel", "shared", "paper"]

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Subjects that carry no content (Zhao et al. 2021, *Calibrate Before Use*)."""


def build_prompts(
    factset: FactSet,
    *,
    variants: Sequence[int],
    n_shot: int,
    seed: int,
    demos: Demos = "parallel",
    delimiter: str | None = None,
    bos: bool = False,
    rng: random.Random | None = None,
) -> pl.DataFrame:
    """All prompts of a fact set; contract `tables.raw.PROMPTS`.

    A question is the template cut at its first <mask>, with the subject put in and white space
    stripped at both ends. Each demonstration is `question + delimiter + object + newline`.

    Args:
        factset: facts in the languages that will be asked; `parallel` demonstrations depend on
            this choice, since they must fit in every language.
        variants: numbers of the prompt templates to use.
        n_shot: demonstrations per prompt; fewer where fewer are eligible (column `n_shot`).
        seed: seed of the demonstrations.
        demos: `parallel`, the same facts in every language and at every checkpoint
            (`demos.parallel_demos`), `shared`, these also the same for all facts of a relation as
            far as they are eligible, or `paper`, random draws (`demos.paper_demos`).
        delimiter: string between question and answer; None for each language's own (a space, or
            nothing where words are not spaced). The published runs used a space everywhere.
        bos: whether a begin-of-text token will be put in front; recorded only.
        rng: generator for `paper`; pass the same one again for the next checkpoint to repeat the
            published behaviour, in which one generator runs through everything. None starts
            afresh from the seed.

    Raises:
        ConfigError: a negative number of demonstrations, or a template number that some relation
            lacks.
        DataError: a template that names its subject only after <mask>.
    """
    chosen = _choose(factset, variants, n_shot, seed, demos, rng)
    return _build(factset, variants, chosen, delimiter, bos)


def content_free_prompts(
    factset: FactSet, prompts: pl.DataFrame, *, subjects: Sequence[str] = CONTENT_FREE
) -> dict[str, pl.DataFrame]:
    """Given prompts with the subject of the question (not of the demonstrations) replaced.

    Demonstrations stay those that were shown, so a difference between the two answers is due to the
    subject alone. Prompts with equal `sha256` need asking only once.

    Args:
        factset: the facts that the prompts ask for.
        prompts: table PROMPTS, one prompt per fact, language and variant.
        subjects: content-free subjects.

    Returns:
        One frame of contract `tables.raw.PROMPTS` per content-free subject.
    """
    shown = {
        (variant, lang, fact_id): tuple(ids)
        for variant, lang, fact_id, ids in prompts.select(
            "variant", "lang", "fact_id", "demo_fact_ids"
        ).iter_rows()
    }

    def chosen(variant: int, lang: str, fact_id: str) -> tuple[str, ...]:
        return shown[variant, lang, fact_id]

    keys = ["lang", "variant", "delimiter", "bos"]
    groups = prompts.select(keys).unique(maintain_order=True).rows()
    heads = template_heads(factset, sorted({variant for _, variant, _, _ in groups}))
    free = {}
    for subject in subjects:
        frames = [
            _asked(factset, heads, lang, variant, between, bos, chosen, subject)
            for lang, variant, between, bos in groups
        ]
        free[subject] = raw.PROMPTS.validate(pl.concat(frames))
    return free


Choice = Callable[[int, str, str], tuple[str, ...]]
Heads = dict[tuple[str, str, int], str]
"""Templates up to <mask>, by relation, language and variant."""


def _choose(
    factset: FactSet,
    variants: Sequence[int],
    n_shot: int,
    seed: int,
    demos: Demos,
    rng: random.Random | None,
) -> Choice:
    """A function (variant, lang, fact_id) -> ids of its demonstrations."""
    if n_shot < 0:
        raise ConfigError(f"n_shot is {n_shot}; it must be 0 or more.")
    if n_shot == 0:
        return lambda variant, lang, fact_id: ()
    if demos in ("parallel", "shared"):
        parallel = parallel_demos(factset, n_shot, seed, shared=demos == "shared")
        return lambda variant, lang, fact_id: parallel[fact_id]
    if demos != "paper":
        raise ConfigError(f"demos is {demos!r}; it must be 'parallel', 'shared' or 'paper'.")
    generator = rng or random.Random(seed)
    drawn = {variant: paper_demos(factset, n_shot, generator) for variant in variants}
    return lambda variant, lang, fact_id: drawn[variant][lang, fact_id]


def _build(
    factset: FactSet, variants: Sequence[int], chosen: Choice, delimiter: str | None, bos: bool
) -> pl.DataFrame:
    heads = template_heads(factset, variants)
    frames = []
    for lang in factset.languages:
        between = language(lang).delimiter if delimiter is None else delimiter
        frames += [_asked(factset, heads, lang, v, between, bos, chosen) for v in variants]
    return raw.PROMPTS.validate(pl.concat(frames))


def _asked(
    factset: FactSet,
    heads: Heads,
    lang: str,
    variant: int,
    between: str,
    bos: bool,
    chosen: Choice,
    subject: str | None = None,
) -> pl.DataFrame:
    """Prompts of one language and wording; about `subject` if one is given."""
    rows = factset.facts.filter(pl.col("lang") == lang).select(_FIELDS).iter_rows()
    facts = {fact_id: (heads[relation, lang, variant], *rest) for fact_id, relation, *rest in rows}
    asked = {one: fill(head, name) for one, (head, name, _) in facts.items()}
    demos = {one: f"{asked[one]}{between}{gold}\n" for one, (_, _, gold) in facts.items()}
    shown = [chosen(variant, lang, one) for one in facts]
    texts = [
        "".join(map(demos.__getitem__, ids))
        + (asked[one] if subject is None else fill(head, subject))
        for (one, (head, _, _)), ids in zip(facts.items(), shown, strict=True)
    ]
    return _frame(lang, variant, between, bos, list(facts), shown, texts)


def _frame(
    lang: str,
    variant: int,
    delimiter: str,
    bos: bool,
    fact_ids: list[str],
    shown: list[tuple[str, ...]],
    texts: list[str],
) -> pl.DataFrame:
    hashes = [_sha256(text, delimiter) for text in texts]
    ids = [
        _sha256(fact_id, lang, str(variant), str(int(bos)), text_hash)[:20]
        for fact_id, text_hash in zip(fact_ids, hashes, strict=True)
    ]
    return pl.DataFrame(
        {
            "prompt_id": ids,
            "fact_id": fact_ids,
            "n_shot": pl.Series([len(one) for one in shown], dtype=pl.Int32),
            "demo_fact_ids": list_column("demo_fact_ids", shown),
            "text": texts,
            "sha256": hashes,
        }
    ).with_columns(
        lang=pl.lit(lang),
        variant=pl.lit(variant, dtype=pl.Int32),
        delimiter=pl.lit(delimiter),
        bos=pl.lit(bos),
    )


_FIELDS = ("fact_id", "relation", "subject", "object")


def template_heads(factset: FactSet, variants: Sequence[int]) -> Heads:
    """Templates up to <mask>, for every (relation, lang) that has facts and every variant."""
    if not variants:
        raise ConfigError("No prompt template was chosen; name at least one variant, such as 0.")
    templates = factset.templates.filter(pl.col("kind") == "prompt")
    there = {
        (relation, lang, variant): template
        for relation, lang, variant, template in templates.select(
            "relation", "lang", "variant", "template"
        ).iter_rows()
    }
    needed = factset.facts.select("relation", "lang").unique(maintain_order=True)
    heads: Heads = {}
    for relation, lang in needed.iter_rows():
        for variant in variants:
            template = there.get((relation, lang, variant))
            if template is None:
                numbers = sorted(v for r, c, v in there if (r, c) == (relation, lang))
                have = f"it has {', '.join(map(str, numbers))}" if numbers else "it has none"
                raise ConfigError(
                    f"Fact set {factset.name} has no prompt template {variant} for {relation} in "
                    f"'{lang}'; {have}."
                )
            head = template.partition("<mask>")[0]
            if "<subject>" not in head:
                raise DataError(
                    f"Prompt template {variant} of {relation} in '{lang}' names its subject only "
                    f"after <mask>, where prompts are cut: {template!r}; reword it."
                )
            heads[relation, lang, variant] = head
    return heads


def fill(head: str, subject: str) -> str:
    """A question: the template up to <mask> with the subject put in, stripped."""
    return head.replace("<subject>", subject).strip()


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
