"""The row of the table RUNS: every knob of a run, flat."""

from typing import Any

import polars as pl

from polylore.facts.worlds import World, attribute_design, unigram
from polylore.studies.unify.config import RunConfig
from polylore.tables.unify import RUNS
from polylore.training.tiny.sizes import Sizes


def _modulations(config: RunConfig) -> list[str]:
    switched = config.world.code_switch
    found = [f"code_switch({switched:g})"] if switched else []
    if config.alignment != "none":
        found.append(f"alignment_loss({config.alignment}, {config.alignment_weight:g})")
    return found


def run_row(config: RunConfig, world: World, **ended: Any) -> pl.DataFrame:
    """One row of RUNS.

    Args:
        config: the run.
        world: its world.
        ended: run_hash, sweep, family, condition, seed, device, wall_s, status and error.
    """
    made = {
        "world_hash": world.world_hash,
        "languages": len(world.languages),
        "relations": len(world.relations),
        "values": int(world.value_tokens.shape[2]),
        "parallel_langs": config.world.parallel_langs or len(world.languages),
        "name_len": world.name_len,
        "value_len": world.value_len,
        "i_design": attribute_design(world),
        "i_uni": unigram(world),
        "params": Sizes.of(config.recipe, len(world.words)).parameters,
        "vocab": len(world.words),
        "leaky": world.leaky,
    }
    return RUNS.build([{**_knobs(config), **made, **ended}])


def failed_row(config: RunConfig, **ended: Any) -> pl.DataFrame:
    """The row of a run that failed; what only its world could say is null."""
    return RUNS.build([{**_knobs(config), **ended, "status": "failed"}])


def _knobs(config: RunConfig) -> dict[str, Any]:
    """What the configuration says by itself."""
    given, recipe, cue = config.world, config.recipe, config.world.cue
    drawn = given.facts is None  # numbers of a hand-made world follow from its facts
    levels = {"drop": cue.q, "tag_noise": cue.q, "syn": float(cue.m), "xor": cue.epsilon}
    friends = given.false_friends
    return {
        "preset": config.tokens,
        "languages": given.languages if drawn else None,
        "entities": given.entities,
        "relations": given.relations if drawn else None,
        "values": given.values if drawn else None,
        "never_seen": given.never_seen,
        "value_prior": given.value_prior,
        "lam": given.lam,
        "p": given.p,
        "parallel_langs": given.parallel_langs,
        "split": given.split,
        "exposure": given.exposure,
        "delta": given.delta,
        "ratio": None if given.ratio is None else "/".join(f"{share:g}" for share in given.ratio),
        "zipf_alpha": given.zipf_alpha,
        "name_len": given.name_len if drawn else None,
        "name_pool": given.name_pool,
        "name_map": given.name_map,
        "share_names": given.share.names,
        "share_relations": given.share.relations,
        "share_values": given.share.values,
        "false_friends": f"{friends.names:g}/{friends.relations:g}/{friends.values:g}",
        "templates": given.templates,
        "value_len": given.value_len if drawn else None,
        "cue": cue.label,
        "cue_kind": cue.kind,
        "cue_level": levels.get(cue.kind),
        "curriculum": "; ".join(str(stage.plain()) for stage in given.curriculum) or None,
        "modulation": "; ".join(_modulations(config)) or None,
        "layers": recipe.layers,
        "hidden": recipe.hidden,
        "objective": recipe.objective,
        "lr": recipe.learning_rate,
        "warmup": recipe.warmup,
        "decay": recipe.weight_decay,
        "batch": recipe.batch_size,
        "steps": recipe.steps,
    }
