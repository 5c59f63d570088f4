"""The data card of a world: everything a reader must know before believing a result from it."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.facts.worlds.association import association, baselines, value_tables
from polylore.facts.worlds.derivable import derivable
from polylore.facts.worlds.information import joint, realised_bits, token_information, unigram
from polylore.facts.worlds.leaks import HELD_OUT, check_leaks
from polylore.facts.worlds.world import POPULATIONS, World

Ids = NDArray[np.int64]

FEW = 8
"""Fewer held-out facts than this carry no score."""


def make_card(
    world: World,
    *,
    steps: int | None = None,
    batch_size: int | None = None,
    parameters: int | None = None,
) -> dict[str, Any]:
    """The card as plain values.

    Args:
        world: the world.
        steps: planned training steps; with `batch_size`, presentations are those of the training.
        batch_size: presentations per step.
        parameters: size of the model, for the note on capacity.
    """
    leaks = check_leaks(world)
    found = association(world)
    whole = found.filter(pl.col("relation") == "all")
    levels = {
        quantity: dict(
            whole.filter(pl.col("quantity") == quantity).select("estimator", "value").iter_rows()
        )
        for quantity in ("fact", "attribute")
    }
    reachable = reachability(world)
    bits = realised_bits(world)
    card: dict[str, Any] = {
        "world_hash": world.world_hash,
        "leaky": world.leaky,
        "languages": world.languages,
        "cue": world.config.cue.label,
        "vocabulary": len(world.words),
        "sequence_length": world.sequence_len,
        "cells": {name: len(world.cells(name)) for name in POPULATIONS},
        "facts": {name: _facts(world, name) for name in POPULATIONS},
        "presentations": presentations(world, steps, batch_size),
        "association_bits": levels,
        "i_uni": unigram(world),
        "i_joint": joint(world),
        "token_information_bits": token_information(world).to_dicts(),
        "realised_cue_bits": bits.to_dicts(),
        "token_overlap": token_overlap(world),
        "leakage": {
            "evaluation_prompts": leaks.n_eval,
            "training_prompts": leaks.n_train,
            "leaking_cells": leaks.n_leaks,
            "shared_wordings": leaks.n_templates,
            "ambiguous_cells": leaks.n_same,
            "expected_per_cell_and_epoch": list(leaks.per_epoch),
            "verdict": leaks.sentence(steps, batch_size),
        },
        "derivable": [one.sentence for one in derivable(world)],
        "baselines": baselines(world),
        "name_trained": reachable,
        "capacity": capacity(world, parameters),
        "warnings": [],
    }
    card["warnings"] = _warnings(world, card, bool(bits["ok"].all()))
    return card


def _facts(world: World, population: str) -> int:
    return len(np.unique(world.fact[world.cells(population)]))


def presentations(
    world: World, steps: int | None = None, batch_size: int | None = None
) -> dict[str, Any]:
    """Presentations per cell by population (min, median, max), and all of them.

    Of one epoch of each stage, or exactly those of a training if steps and batch size are given.
    """
    result: dict[str, Any] = {"per_epoch": world.stage_weights.sum(axis=1).tolist()}
    counts = world.stage_weights.sum(axis=0)
    if steps is not None and batch_size is not None:
        table = world.stream(batch_size).exposure([steps])
        counts = np.zeros(len(world.fact), dtype=np.int64)
        counts[world.seen] = table["count"].to_numpy()
        result |= {"steps": steps, "batch_size": batch_size}
    result["total"] = int(counts.sum())
    for name in ("parallel", "mono_seen"):
        own = counts[world.cells(name)]
        if len(own):
            result[name] = {
                "min": int(own.min()),
                "median": float(np.median(own)),
                "mean": float(own.mean()),
                "max": int(own.max()),
            }
    return result


def reachability(world: World) -> float | None:
    """Share of held-out cells whose name tokens all occur in training; None without such cells.

    The others cannot be told by design, whatever the model does.
    """
    held = np.flatnonzero(world.population == HELD_OUT)
    if not len(held):
        return None
    tellers = [cells[prob > 0] for cells, prob in world.switches(np.flatnonzero(world.seen))]
    shown = np.unique(world.name_tokens[np.concatenate(tellers)])
    return float(np.isin(world.name_tokens[held], shown).all(axis=1).mean())


def token_overlap(world: World) -> dict[str, dict[str, float | None]]:
    """Per class: `same_form`, the share of items written alike in all languages; `common_ids`, the
    share of the first language's tokens that all others use; `false_friends`, the share of items of
    the other languages whose form means another item in the first."""
    first = np.unique(world.entity, return_index=True)[1]
    cells = world.cell_of[world.fact[first]]
    names = np.where((cells >= 0)[..., None], world.name_tokens[cells], -1)
    values = world.value_tokens.transpose(0, 2, 1, 3)
    relations = world.relation_tokens.transpose(0, 2, 1)[..., None]
    n = len(world.languages)
    return {
        "names": _overlap(names, np.zeros(len(names), dtype=np.int64)),
        "relations": _overlap(
            relations.reshape(-1, n, 1), np.zeros(relations[..., 0, 0].size, dtype=np.int64)
        ),
        "values": _overlap(
            values.reshape(-1, n, world.value_len),
            np.repeat(np.arange(len(values)), values.shape[1]),
        ),
    }


def _overlap(forms: Ids, group: Ids) -> dict[str, float | None]:
    """Overlap of forms [items, languages, tokens]; items of other groups cannot be confused."""
    told = (forms[..., 0] >= 0).all(axis=1)
    forms, group = forms[told], group[told]
    if not len(forms):
        return {"same_form": None, "common_ids": None, "false_friends": None}
    own = {int(i) for i in forms[:, 0].ravel()}
    common = own.intersection(*({int(i) for i in ids.ravel()} for ids in forms.swapaxes(0, 1)))
    meaning = {(int(g), *form): item for item, (g, form) in enumerate(
        zip(group, forms[:, 0].tolist(), strict=True))}  # fmt: skip
    false = [
        meaning.get((int(g), *form), item) != item
        for lang in range(1, forms.shape[1])
        for item, (g, form) in enumerate(zip(group, forms[:, lang].tolist(), strict=True))
    ]
    return {
        "same_form": float((forms == forms[:, :1]).all(axis=(1, 2)).mean()),
        "common_ids": len(common) / len(own),
        "false_friends": float(np.mean(false)),
    }


def capacity(world: World, parameters: int | None = None) -> dict[str, Any]:
    """Bits of the facts that training shows, sum of log2 V, beside the size of the model."""
    rows = np.flatnonzero(world.population < 3)
    first = np.unique(world.fact[rows], return_index=True)[1]
    sizes = (value_tables(world, np.ones(len(world.fact))).sum(axis=2) > 0).sum(axis=1)
    if world.config.facts is None:
        sizes = np.full(len(sizes), world.config.values)
    bits = float(np.log2(sizes[world.relation[rows[first]]]).sum())
    note: dict[str, Any] = {"facts": len(first), "fact_bits": bits, "parameters": parameters}
    if parameters:
        note["bits_per_parameter"] = bits / parameters
    return note


def _warnings(world: World, card: dict[str, Any], bits_ok: bool) -> list[str]:
    found = []
    held, reachable = _facts(world, "mono_unseen"), card["name_trained"]
    if world.leaky:
        found.append("The world leaks; its runs exist to show the trap and enter no correlation.")
    if not held:
        found.append("No cell is held out, so there is no transfer to measure.")
    elif held < FEW:
        found.append(f"Only {held} facts are held out; scores on them mean little.")
    if reachable is not None and reachable < 1:
        advice = " Split by fact instead." if world.config.split == "entity" else ""
        found.append(
            f"{1 - reachable:.0%} of the held-out cells have a name that training never shows in "
            f"their language, so nothing can reach them.{advice}"
        )
    if not bits_ok:
        found.append(
            "A token of the cue says more about the language than it should; do not read this "
            "world as one of that cue."
        )
    if world.config.code_switch:
        found.append(
            "Code-switched presentations are told in another language's tokens; a count of "
            "strings does not find them."
        )
    return found


def card_markdown(card: dict[str, Any]) -> str:
    """The card as a page for people."""
    lines = ["# Data card", "", f"World `{card['world_hash']}`", ""]
    lines += [f"**Warning.** {text}" for text in card["warnings"]]
    lines += ["", "| population | cells | facts |", "|---|---|---|"]
    lines += [f"| {name} | {n} | {card['facts'][name]} |" for name, n in card["cells"].items()]
    lines += ["", "## Presentations", ""]
    for name, value in card["presentations"].items():
        text = value
        if isinstance(value, dict):
            text = ", ".join(f"{key} {_number(number)}" for key, number in value.items())
        lines.append(f"- {name}: {text}")
    lines += ["", "## Association of facts with languages (bits)", ""]
    lines += ["| quantity | estimator | value |", "|---|---|---|"]
    for quantity, levels in card["association_bits"].items():
        lines += [f"| {quantity} | {key} | {_number(v)} |" for key, v in levels.items()]
    lines += ["", "## Cue", ""]
    lines.append(
        f"`{card['cue']}`: a single token says at most {_number(card['i_uni'])} bits, the whole "
        f"cue {_number(card['i_joint'])}."
    )
    lines += ["", "## Tokens", "", f"Vocabulary of {card['vocabulary']} words.", ""]
    lines += ["| class | same form | common ids | false friends |", "|---|---|---|---|"]
    for name, own in card["token_overlap"].items():
        lines.append(f"| {name} | {' | '.join(_number(value) for value in own.values())} |")
    lines += ["", "## Leakage", "", str(card["leakage"]["verdict"])]
    lines += [f"Derivable: {text}." for text in card["derivable"]]
    lines += ["", "## Baselines and capacity", ""]
    base, room = card["baselines"], card["capacity"]
    lines += [
        f"- chance {_number(base['chance'])}",
        f"- loss without knowledge {_number(base['no_knowledge'])} nats; of who knows the language "
        f"{_number(base['language_conditional'])} nats",
        f"- names that training shows, among held-out cells: {_number(card['name_trained'])}",
        f"- {room['facts']} facts hold {room['fact_bits']:,.0f} bits"
        + (f"; the model has {room['parameters']:,} parameters" if room["parameters"] else ""),
    ]
    return "\n".join(lines) + "\n"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"
