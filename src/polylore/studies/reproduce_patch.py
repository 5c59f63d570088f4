"""Recompute the published data counts of `patch` (specification, section 9: Multi-SimLex).

No model takes part. Words are compared after NFC, case folding and trimming, as recovered from the
file, before any gloss is cut; forms are counted as written.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from polylore.errors import DataError
from polylore.facts.lexicon import Words, key, language_stats, pair_stats
from polylore.facts.lexicon.multisimlex import ERRATA, LICENCE, SOURCE, Slots, read_slots
from polylore.facts.lexicon.recovery import Recovery
from polylore.facts.lexicon.slots import (
    Slot,
    lexicon_of,
    parts_of_speech,
    scored_pairs,
    without_missing,
)
from polylore.facts.table_files import records
from polylore.files import write_json
from polylore.studies.patch.planning.settings import SEEN, seen_pairs

LEFT_OUT = ("ar", "he")
"""Languages of the file that the published study leaves out."""
THRESHOLDS = (3.0, 4.0, 4.5, 5.0, 5.5)


def reproduce_patch(multisimlex: str | Path, out: str | Path) -> dict[str, Any]:
    """Write the counts of the golden section, for every language of a Multi-SimLex file.

    Args:
        multisimlex: the file in Concepticon's layout.
        out: JSON file to write. `file` says what the file holds, `recovery` how its cells were
            divided, `lexicons` what each way of reading it gives (`repeat` and `segment`, without
            Arabic and Hebrew and with all languages), `k_seen` how many language pairs stand
            behind the shared space.

    Returns:
        What was written.

    Raises:
        DataError: the file breaks its layout.
    """
    reads: dict[Recovery, Slots] = {
        "repeat": read_slots(multisimlex, "repeat"),
        "segment": read_slots(multisimlex, "segment"),
    }
    languages = reads["segment"].languages
    if len(languages) < 2:
        raise DataError(f"{multisimlex} has one language; counts need two at least.")
    choices = [[lang for lang in languages if lang not in LEFT_OUT], languages]
    result = {
        "file": _file(reads["segment"], multisimlex),
        "recovery": _recovery(reads),
        "lexicons": {
            f"{method}_{len(chosen)}": _lexicon(read.slots, chosen)
            for method, read in reads.items()
            for chosen in choices
        },
        "k_seen": {
            f"{a}-{b}": len(seen_pairs(a, b, SEEN)) for a in languages for b in languages if a != b
        },
    }
    write_json(result, out)
    return result


def _file(read: Slots, path: str | Path) -> dict[str, Any]:
    rows = [row for _, row in records(Path(path))]
    slots = read.slots
    kinds = parts_of_speech(slots)
    nouns: dict[str, set[str | None]] = {}
    for slot in slots:
        if slot.pos == "nouns":
            nouns.setdefault(slot.english, set()).add(slot.sense)
    several = sorted(word for word, senses in nouns.items() if len(senses) > 1)
    by_number = {row["NUMBER"]: row for row in rows}
    return {
        "rows": read.rows,
        "rows_by_pos": dict(Counter(row["POS"] for row in rows)),
        "slots": len(slots),
        "slots_by_pos": dict(Counter(slot.pos for slot in slots)),
        "pairs": len(scored_pairs(slots)),
        "cells_with_wrong_number_of_values": sum(_wrong_numbers(row) for row in rows),
        "glosses_not_in_linked_row": sum(_lost_glosses(row, by_number) for row in rows),
        "cells": len(read.cells),
        "blurred_cells": {
            lang: sum(c.words != c.slots for c in read.cells if c.lang == lang)
            for lang in read.languages
        },
        "english_types": len(kinds),
        "english_types_with_several_pos": sum(len(found) > 1 for found in kinds.values()),
        "noun_types": sum(found == {"nouns"} for found in kinds.values()),
        "nouns_with_several_rows": {"n": len(several), "words": several},
        "errata": {
            lang: {
                "rows": len({slot.sense for slot in slots if lang in slot.errata}),
                "slots": sum(lang in slot.errata for slot in slots),
            }
            for lang in ERRATA
            if lang in read.languages
        },
    }


def _wrong_numbers(row: dict[str, Any]) -> int:
    n = len((row["SIMLEX_IDS"] or "").split())
    return sum(
        len((value or "").split()) != n
        for name, value in row.items()
        if name.endswith(("_SCORE", "_ERRATUM")) or name in ("LINKS", "SIMLEX_GLOSSES")
    )


def _lost_glosses(row: dict[str, Any], by_number: dict[str, dict[str, Any]]) -> int:
    glosses, links = ((row.get(name) or "").split() for name in ("SIMLEX_GLOSSES", "LINKS"))
    return sum(
        gloss not in (by_number.get(link, {}).get("ENGLISH_IN_SOURCE") or "").split()
        for gloss, link in zip(glosses, links, strict=False)
    )


def _recovery(reads: dict[Recovery, Slots]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for method, read in reads.items():
        lost = Counter(c.lang for c in read.cells if c.how == "unresolved")
        result[method] = {
            "cells": dict(sorted(Counter(c.how for c in read.cells).items())),
            "unresolved": {lang: lost[lang] for lang in read.languages},
        }
    both = zip(reads["segment"].slots, reads["repeat"].slots, strict=True)
    result["slots_where_they_differ"] = sum(
        a.forms[lang] != b.forms[lang] for a, b in both for lang in a.forms if lang in b.forms
    )
    return result


def _lexicon(slots: Sequence[Slot], languages: Sequence[str]) -> dict[str, Any]:
    whole = without_missing(slots, languages)
    kinds = parts_of_speech(whole)
    majority, stacking = (
        lexicon_of(slots, languages, name="", source=SOURCE, licence=LICENCE, first_form=first)
        for first in ("majority", "stacking")
    )
    words = Words(majority, as_given=True)
    first = {
        (c, lang): key(majority.forms(c, lang)[0].given)
        for c in majority.concepts
        for lang in languages
    }
    scored, concepts = list(scored_pairs(slots).values()), set(majority.concepts)
    pairs = list(combinations(languages, 2))
    names = {pair: f"{pair[0]}-{pair[1]}" for pair in pairs}
    homographs = {names[pair]: len(words.homographs(*pair)) for pair in pairs}
    stats = {row["lang"]: row for row in language_stats(majority).iter_rows(named=True)}
    return {
        "languages": list(languages),
        "slots_kept": len(whole),
        "english_types": len(kinds),
        "pos_conflicts": sum(len(found) > 1 for found in kinds.values()),
        "noun_concepts": len(majority.concepts),
        "several_forms": {lang: row["several_forms"] for lang, row in stats.items()},
        "several_forms_in_any_language": sum(
            any(len(majority.forms(concept, lang)) > 1 for lang in languages)
            for concept in majority.concepts
        ),
        "homographs": homographs,
        "homographs_all_pairs": sum(homographs.values()),
        "english_form_shared": len(
            {c for lang in languages if lang != "en" for c in words.homographs("en", lang)}
        ),
        "colexified": {
            lang: {"forms": row["colexified_forms"], "concepts": row["colexified_concepts"]}
            for lang, row in stats.items()
        },
        "false_friends": {names[pair]: words.false_friends(*pair) for pair in pairs},
        "first_form_differs": {
            lang: sum(
                majority.forms(c, lang)[0].given != stacking.forms(c, lang)[0].given
                for c in majority.concepts
            )
            for lang in languages
        },
        "first_form_homographs": {
            names[a, b]: sum(first[c, a] == first[c, b] for c in majority.concepts)
            for a, b in pairs
        },
        "flags": {
            f"{row.pop('lang_a')}-{row.pop('lang_b')}": row
            for row in pair_stats(majority).to_dicts()
        },
        "noun_pairs": _scores(scored),
        "noun_pairs_of_concepts": _scores(
            (a, b) for a, b in scored if {a.english, b.english} <= concepts
        ),
    }


def _scores(pairs: Iterable[tuple[Slot, Slot]]) -> dict[str, int]:
    scores = [a.score for a, b in pairs if a.pos == b.pos == "nouns" and a.score is not None]
    at_least = {f"at_least_{limit:g}": sum(s >= limit for s in scores) for limit in THRESHOLDS}
    return {"n": len(scores), **at_least}
