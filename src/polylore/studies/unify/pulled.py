"""Pairs for the alignment loss: parallel facts asked in two languages, or the wrong ones paired.

Specification of `unify`, section 10.1. Only facts that training shows in several languages take
part, so nothing held out is ever read.
"""

import numpy as np

from polylore.facts.worlds import World
from polylore.studies.unify.config import RunConfig
from polylore.studies.unify.sample import Ids
from polylore.training.tiny.alignment import Alignment

PAIRS = 256
"""Most pairs per step."""


def alignment_of(config: RunConfig, world: World) -> Alignment | None:
    """The second loss of a run, if it has one and there are facts to align."""
    if config.alignment == "none":
        return None
    shown = (world.cell_of >= 0) & world.seen[np.maximum(world.cell_of, 0)]
    facts = np.flatnonzero(shown.sum(axis=1) > 1)
    if len(facts) < 2:
        return None

    def pairs(step: int) -> tuple[Ids, Ids]:
        seeds = np.random.SeedSequence(world.config.seed_of("order"), spawn_key=(1, 0, step))
        rng = np.random.default_rng(seeds)
        own = rng.permutation(facts)[:PAIRS]
        two = (rng.random(shown[own].shape) * shown[own]).argsort(axis=1)[:, -2:]
        cells = world.cell_of[own[:, None], two]
        other = np.roll(cells[:, 1], 1) if config.alignment == "shuffled" else cells[:, 1]
        return _prompts(world, cells[:, 0], rng), _prompts(world, other, rng)

    return Alignment(pairs, weight=config.alignment_weight)


def _prompts(world: World, cells: Ids, rng: np.random.Generator) -> Ids:
    """Prompts as training shows them, cues drawn afresh."""
    templates = world.train_templates[cells]
    template = templates[np.arange(len(cells)), rng.integers(templates.shape[1], size=len(cells))]
    rows = world.rows(cells, template, world.cue.draw(rng, world.lang[cells]))
    return rows[:, : world.prompt_len]
