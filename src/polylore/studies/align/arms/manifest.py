"""The manifest of a training: everything that may not differ between siblings (`align`, 4.4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylore.facts.fiction.primer import SEVERAL
from polylore.files import read_json
from polylore.runs.manifest import versions
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.recipe import Budget
from polylore.studies.align.arms.tree import Node
from polylore.tables.arms import ARMS, BUDGETS, EXPOSURE

NAME = "arm.json"
PARTS = ("start", "text", "question")
"""Blocks of documents that are no invented facts."""
DESIGN = (
    "lang", "ratio", "new", "replay", "match", "target", "design", "translate",
    "parallel_exposure", "shuffled",
)  # fmt: skip


def describe(
    config: ArmsConfig,
    node: Node,
    seed: int,
    budget: Budget,
    *,
    start_hash: str,
    data_hash: str,
    adapted: Sequence[str] | None,
) -> dict[str, Any]:
    """What a training is, before it is made.

    Args:
        config: of the run.
        node, seed, budget: the training.
        start_hash: fingerprint of the weights that it goes on from.
        data_hash: hash of its rows, in order.
        adapted: layers with adapters; None if all weights are trained.
    """
    train = config.train.plain()
    for name in ("seeds", "global_batch", "learning_rate"):
        del train[name]
    arm = node.arm
    method: dict[str, Any] = {"name": "full"}
    if adapted is not None and arm is not None:
        method = {"name": "lora", **arm.lora.plain(), "layers": list(adapted)}
    rate = config.start.learning_rate if arm is None else arm.learning_rate
    return {
        "run_id": node.run_id(seed),
        "arm": node.name,
        "kind": node.kind,
        "seed": seed,
        "start": {"from": node.parent, "hash": start_hash},
        "data": {"hash": data_hash},
        "design": {} if arm is None else {name: arm.plain()[name] for name in DESIGN},
        "targets": list(node.targets),
        "train": {
            **train,
            "learning_rate": rate or config.train.learning_rate,
            "global_batch": budget.batch,
        },
        "method": method,
        "budget": {
            "updates": budget.updates,
            "until": f"gate {config.eval.gate}" if budget.gate else "end",
            "match": (arm.match if arm and arm.match else config.budget.match),
        },
        "versions": versions(),
    }


def machine_of(folder: Path) -> dict[str, str]:
    """How a training was computed: device, number format and code, as resolved when it was made."""
    values = read_json(folder / "manifest.json")
    made = values["machine"]
    return {
        "device": ", ".join(made["device"]),
        "dtype": values["optimizer"]["dtype"],
        "code": ", ".join(made["code"]),
    }


def spent(documents: pl.DataFrame) -> dict[str, dict[str, int]]:
    """What was read, by language: documents, input_tokens, loss_tokens, injected."""
    table = documents.group_by("lang", maintain_order=True).agg(
        documents=pl.len(),
        input_tokens=pl.col("input_tokens").sum().cast(pl.Int64()),
        loss_tokens=pl.col("loss_tokens").sum().cast(pl.Int64()),
        injected=(~pl.col("block").is_in(PARTS)).sum(),
    )
    return {row.pop("lang"): row for row in table.sort("lang").to_dicts()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished training.

    Raises:
        DataError: there is none.
    """
    found: dict[str, Any] = read_json(folder / NAME)
    return found


def arms_table(manifests: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Table ARMS."""
    return ARMS.build(
        [
            {
                "run_id": m["run_id"],
                "arm": m["arm"],
                "seed": m["seed"],
                "kind": m["kind"],
                "start": m["start"]["from"],
                "start_hash": m["start"]["hash"],
                "data_hash": m["data"]["hash"],
                "source": m["design"].get("source"),
                "target": m["target"],
                "method": m["method"]["name"],
                **{name: m["spent"][name] for name in (
                    "updates", "input_tokens", "loss_tokens", "trainable", "stopped", "seconds")},
                "left_out": m["spent"].get("left_out"),
            }
            for m in manifests
        ]
    )  # fmt: skip


def budgets_table(manifests: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Table BUDGETS."""
    return BUDGETS.build(
        [
            {"run_id": m["run_id"], "lang": lang} | dict(own)
            for m in manifests
            for lang, own in m["spent"]["by_language"].items()
        ]
    )


def exposure_rows(read: Sequence[pl.DataFrame], run_id: str, step: int) -> pl.DataFrame:
    """Documents that told a model each fact; table EXPOSURE.

    Args:
        read: documents of a training and of all that it goes on from.
        run_id, step: names of the model.
    """
    told = pl.concat(list(read)) if read else pl.DataFrame()
    if not told.height:
        return EXPOSURE.empty()
    counts = (
        told.filter(pl.col("fact_id").is_not_null() & (pl.col("lang") != SEVERAL))
        .group_by("fact_id", "lang")
        .agg(count=pl.len())
        .sort("fact_id", "lang")
    )
    return EXPOSURE.validate(
        counts.with_columns(run_id=pl.lit(run_id), step=pl.lit(step, dtype=pl.Int64()))
    )
