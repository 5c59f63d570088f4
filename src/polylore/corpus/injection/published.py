"""The published plan: what Chang et al. 2024 injected at which step (`inject`, section 4.1)."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from polylore.corpus.injection.format import RowFormat, Tokens
from polylore.corpus.injection.place import place
from polylore.facts.people.published import LANG, N_PARAPHRASES, SCENARIOS, item_id
from polylore.tables.inject import ARMS, SCHEDULE

INTERVAL, EXPOSURES = 100, 1 + N_PARAPHRASES
EOS, LENGTH = 50279, 2048
"""Token that separates documents in the published runs, and tokens of a row."""
JOINED = 128
"""Rows of the batch below which the paper joins passages: 128 // B in each row."""


def published_arms() -> pl.DataFrame:
    """Scenario of every published item; contract `tables.inject.ARMS`."""
    rows: list[dict[str, Any]] = []
    for arm, places in SCENARIOS.items():
        for at in places:
            injected = arm != "never"
            rows.append(
                {
                    "item_id": item_id(at),
                    "arm": arm,
                    "inject_lang": LANG if injected else "none",
                    "interval": INTERVAL if arm in ("paraphrase", "duplication") else None,
                }
            )
    return ARMS.build(rows)


def published_schedule() -> pl.DataFrame:
    """All originals at step 0; paraphrases and duplicates at 100, 200, ..., 900."""
    rows: list[dict[str, Any]] = []
    for arm, places in SCENARIOS.items():
        times = {"never": 0, "once": 1}.get(arm, EXPOSURES)
        for exposure in range(times):
            for at in places:
                rows.append(
                    {
                        "item_id": item_id(at),
                        "exposure": exposure,
                        "step": exposure * INTERVAL,
                        "arm": arm,
                        "lang": LANG,
                        "variant": exposure if arm == "paraphrase" else 0,
                        "copies": 1,
                        "loss_weight": 1.0,
                    }
                )
    return SCHEDULE.build(sorted(rows, key=lambda row: (row["step"], row["item_id"])))


def published_plan(
    passages: pl.DataFrame,
    tokens: Mapping[str, Tokens],
    batch: int,
    *,
    length: int = LENGTH,
    eos: int = EOS,
) -> pl.DataFrame:
    """Passage k of a step in row k, before the row's own tokens; no drawn rows, no stagger.

    The dose may exceed what is allowed otherwise: make the `Injector` with `allow_dose`.
    """
    return place(
        published_schedule(),
        passages,
        tokens,
        RowFormat(length, eos),
        batch,
        per_row=max(1, JOINED // batch),
        shuffle=False,
    )
