"""Reader of the published fictional items (specification of `inject`, section 3.2).

Chang et al. 2024, licence CC-BY-4.0. Which scenario an item is in follows from its place in the
file; `gen` probes are semantic, `hard_gen` compositional.
"""

import re
from pathlib import Path
from typing import Any

from polylore.errors import DataError
from polylore.facts.people.tables import Fiction, checked
from polylore.files import read_json
from polylore.tables import inject

LANG = "en"
SOURCE = "Chang et al. 2024 (CC-BY-4.0)"
DEPTHS = {"mem": "memorization", "gen": "semantic", "hard_gen": "compositional"}
SCENARIOS = {
    "paraphrase": range(0, 40),
    "duplication": range(40, 80),
    "once": range(80, 120),
    "never": range(120, 130),
}
"""Places in the file of each scenario."""
N_ITEMS, N_PROBES, N_PARAPHRASES = 130, 5, 9
ITEMS_FILE, PARAPHRASES_FILE = "fictional_knowledge.json", "fictional_knowledge_paraphrased.json"


def item_id(place: int) -> str:
    """Identity of the item at a place of the file."""
    return f"item-{place:03d}"


def scenario(place: int) -> str:
    """Scenario of the item at a place of the file."""
    return next(name for name, places in SCENARIOS.items() if place in places)


def read_published(folder: str | Path) -> Fiction:
    """Read the published items with their paraphrases.

    Args:
        folder: holds `fictional_knowledge.json` and `fictional_knowledge_paraphrased.json`.

    Raises:
        DataError: a file is missing or breaks its layout; the item is named.
    """
    folder = Path(folder)
    records = _records(folder / ITEMS_FILE)
    paraphrased = _records(folder / PARAPHRASES_FILE)
    items, passages, probes = [], [], []
    for place, (record, other) in enumerate(zip(records, paraphrased, strict=True)):
        where = f"{folder / PARAPHRASES_FILE}, item {place}"
        if any(other.get(key) != value for key, value in record.items()):
            raise DataError(f"{where} differs from {ITEMS_FILE} in a field that both files have.")
        variants: Any = other.get("paraphrases")
        wanted = N_PARAPHRASES if scenario(place) == "paraphrase" else 0
        if not isinstance(variants, list) or [type(v) for v in variants] != [str] * wanted:
            raise DataError(f"{where} must have {wanted} paraphrases, a list of strings.")
        own = _probes(place, record)
        items.append(
            {
                "item_id": item_id(place),
                "source": SOURCE,
                "subject_type": "fictional",
                "control": scenario(place) == "never",
            }
        )
        texts = [record["train_context"], *variants]
        passages += [_passage(place, n, text, own) for n, text in enumerate(texts)]
        probes += own
    return checked(
        Fiction(
            inject.ITEMS.build(items),
            inject.PASSAGES.build(passages),
            inject.PROBES.build(probes),
        ),
        str(folder),
    )


def _records(path: Path) -> list[dict[str, Any]]:
    values = read_json(path)
    if not isinstance(values, list) or len(values) != N_ITEMS:
        raise DataError(f"{path} must be a list of {N_ITEMS} items.")
    for place, value in enumerate(values):
        where = f"{path}, item {place}"
        if not isinstance(value, dict) or not isinstance(value.get("train_context"), str):
            raise DataError(f"{where} must be an object with the text train_context.")
        for name in DEPTHS:
            for key in (f"{name}_input", f"{name}_target"):
                found: Any = value.get(key)
                fine = isinstance(found, list) and len(found) == N_PROBES
                if not fine or not all(isinstance(text, str) for text in found):
                    raise DataError(f"{where}: {key} must be a list of {N_PROBES} strings.")
    return values


def _passage(place: int, n: int, text: str, probes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "passage_id": f"{item_id(place)}/{n}",
        "item_id": item_id(place),
        "lang": LANG,
        "variant": n,
        "kind": "paraphrase" if n else "original",
        "text": text,
        "probes_covered": [p["probe_id"] for p in probes if p["target"] in text],
    }


def _probes(place: int, record: dict[str, Any]) -> list[dict[str, Any]]:
    sentences = re.split(r"(?<=[.!?])\s+", record["train_context"])
    rows = []
    for name, depth in DEPTHS.items():
        pairs = zip(record[f"{name}_input"], record[f"{name}_target"], strict=True)
        for n, (prefix, target) in enumerate(pairs):
            compositional = depth == "compositional"
            rows.append(
                {
                    "probe_id": f"{item_id(place)}/{name}/{n}",
                    "item_id": item_id(place),
                    # Memorization and semantic probes ask for the same fact; the others combine.
                    "fact_id": f"{item_id(place)}/{'hard_gen' if compositional else 'mem'}/{n}",
                    "lang": LANG,
                    "depth": depth,
                    "variant": 0,
                    "prefix": prefix,
                    "joiner": " ",
                    "target": target,
                    "score_span": "target",
                    "accepted": [],
                    "hops": 2 if compositional else 1,
                    "distractors": [],
                    "single_sentence": any(f"{prefix} {target}" in s for s in sentences),
                    "target_in_prefix": target.casefold() in prefix.casefold(),
                }
            )
    return rows
