"""Making a plan: concepts, pairs, prompts, items and cells, with a tokenizer alone (`patch`, 4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from polylore.errors import DataError
from polylore.facts.lexicon import Lexicon, flags_table
from polylore.models.fingerprint import tokenizer_hash
from polylore.studies.patch.config import PatchConfig, PlanConfig
from polylore.studies.patch.planning.conditions import conditions
from polylore.studies.patch.planning.filters import Filters
from polylore.studies.patch.planning.names import endonyms
from polylore.studies.patch.planning.pairs import (
    FEWEST,
    ConceptPair,
    derangement,
    draw_pairs,
)
from polylore.studies.patch.planning.plan import Head, PatchPlan, seal
from polylore.studies.patch.planning.prompts import Prompts
from polylore.studies.patch.planning.work import Work, cell_table

Progress = Callable[[int, int, str], None]


def make_plan(
    config: PatchConfig,
    tokenizer: Any,
    lexicon: Lexicon | None = None,
    progress: Progress | None = None,
) -> PatchPlan:
    """Make a plan.

    Args:
        config: what to ask; the lexicon is read from it unless one is given.
        tokenizer: the model's tokenizer.
        lexicon: concepts and their words.
        progress: called with (done, total, what).

    Raises:
        ConfigError: languages without a name, too few concepts or language pairs.
        DataError: too few compatible pairs of concepts.
        ModelError: a tokenizer without character offsets.
    """
    plan, made_with = config.effective_plan(), tokenizer_hash(tokenizer)
    show = progress or (lambda done, total, what: None)
    names = endonyms(_prompted(plan), plan.names)
    for a, b in plan.target_pairs:
        conditions(plan, a, b)
    show(0, 3, "reading words")
    source = lexicon or config.effective_lexicon().load(plan.all_languages)
    words, lacking = source.complete(plan.all_languages)
    filters = Filters(plan, words, names, tokenizer)
    show(1, 3, "pairing concepts")
    pairs = draw_pairs(
        words.concepts,
        plan.n_pairs,
        plan.n_shots,
        plan.seed,
        allowed=filters.pairable,
        shot_allowed=filters.shot,
    )
    show(2, 3, "writing prompts")
    dropped: dict[str, Any] = {
        "concepts_without_a_form": {"n": len(lacking), "concepts": lacking},
        "pairs_not_found": {"n": plan.n_pairs - len(pairs)},
    }
    head = Head(
        config=config,
        names=names,
        languages=tuple(words.languages),
        lexicon_hash=words.digest(),
        tokenizer_hash=made_with,
        dropped=dropped,
    )
    made = _assemble(head, plan, words, filters, pairs, None)
    show(3, 3, "writing prompts")
    return made


def retokenise(plan: PatchPlan, tokenizer: Any) -> PatchPlan:
    """The same strings and pairs in the tokens of another model (`patch`, section 4.3).

    Compatibility is checked again: prompts of pairs that share a first token are flagged, and
    excluded from first-token scores alone.

    Raises:
        ModelError: a tokenizer without character offsets.
    """
    head = replace(plan.head, tokenizer_hash=tokenizer_hash(tokenizer))
    settings = plan.settings
    if settings.boundary == "drop":
        settings = settings.model_copy(update={"boundary": "repair"})
    filters = Filters(settings, plan.lexicon, plan.head.names, tokenizer)
    random = {
        pair: other
        for pair, other in plan.pairs.select("pair_id", "random_pair_id").iter_rows()
        if other is not None
    }
    return _assemble(head, settings, plan.lexicon, filters, plan.concept_pairs, random)


def _prompted(plan: PlanConfig) -> list[str]:
    """Languages that stand in prompts: all but those where naming alone is looked for."""
    return plan.model_copy(update={"languages": []}).all_languages


def _assemble(
    head: Head,
    plan: PlanConfig,
    words: Lexicon,
    filters: Filters,
    pairs: Sequence[ConceptPair],
    random: Mapping[str, str] | None,
) -> PatchPlan:
    """Prompts, items and cells of pairs that are drawn."""
    wanted = {(a, b): conditions(plan, a, b) for a, b in plan.target_pairs}
    dropped = dict(head.dropped)
    while True:
        chosen = derangement(pairs, plan.seed, filters.compatible) if random is None else random
        work = Work(plan, pairs, filters, chosen)
        keys = {key for (a, b), found in wanted.items() for key in work.keys(found, a, b)}
        prompts = Prompts(sorted(keys), pairs, filters)
        torn = prompts.torn() if plan.boundary == "drop" else []
        if not torn:
            break
        dropped["pairs_with_a_merged_boundary"] = {"n": len(torn), "pairs": torn}
        pairs = [pair for pair in pairs if pair.pair_id not in torn]
        if len(pairs) < min(plan.n_pairs, FEWEST):
            raise DataError(
                f"Only {len(pairs)} pairs of concepts are left without an object that merges with "
                "its closing quote; set plan.boundary=repair."
            )
    dropped["items_without_strangers"] = {"n": work.left_out(wanted)}
    items = work.item_table(wanted, prompts.located)
    used = {*items["prompt_id"], *items["source_ids"].explode().drop_nulls()}
    return seal(
        replace(head, dropped=dropped),
        words,
        pairs=work.pair_table(),
        prompts=prompts.table(used),
        items=items,
        cells=cell_table(plan, pairs, filters),
        flags=flags_table(words, plan.target_pairs),
    )
