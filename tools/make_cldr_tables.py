"""Derive the two small CLDR tables that Babel lacks from a local copy of `cldr-core`.

Usage (the folder is an unpacked npm package cldr-core, of the CLDR version that Babel carries):

    npm pack cldr-core@47.0.0 && tar xzf cldr-core-47.0.0.tgz
    python tools/make_cldr_tables.py package

Writes territories.tsv (territory, UN subregion, continent) and scripts.tsv (language, script,
other scripts it is written in, speakers) into src/polylore/facts/cldr/data.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "src" / "polylore" / "facts" / "cldr" / "data"
WORLD = "001"
OUTLYING = "QO"
# Codes that CLDR groups beside the officially assigned ISO 3166-1 codes.
NOT_ISO = frozenset({"AC", "CP", "CQ", "DG", "EA", "IC", "TA", "XK"})
# Two scripts in everyday use although CLDR lists one as primary, or not in living everyday use.
LEFT_OUT = {
    "doi": "Devanagari, formerly Takri and Arabic, not settled",
    "inh": "Cyrillic and Latin beside Arabic in CLDR",
    "mni": "moving from Bangla to Meetei Mayek",
    "rhg": "Hanifi, Arabic and Latin side by side",
    "sat": "Ol Chiki beside Devanagari, Bangla and Odia",
    "swb": "Arabic and Latin side by side",
    "wuu": "a name of its own for Chinese characters only",
    "cu": "liturgical",
    "gez": "liturgical",
    "grc": "ancient",
    "la": "ancient",
    "syr": "liturgical",
    "und": "no language",
}
# Names of mixed systems that repeat the language (Japanese, Korean) or split one script (Han).
COMPOUND = frozenset({"Jpan", "Kore", "Hans", "Hant"})


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    source = Path(sys.argv[1])
    version = _read(source / "package.json")["version"]
    DATA.mkdir(parents=True, exist_ok=True)
    _write("territories.tsv", version, ("territory", "subregion", "continent"), _places(source))
    _write("scripts.tsv", version, ("language", "script", "others", "speakers"), _scripts(source))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _places(source: Path) -> list[tuple[str, ...]]:
    groups = _read(source / "supplemental" / "territoryContainment.json")["supplemental"]
    containment = groups["territoryContainment"]
    rows = []
    for continent in containment[WORLD]["_contains"]:
        for subregion in containment[continent]["_contains"]:
            if subregion == OUTLYING:
                continue
            for territory in containment[subregion]["_contains"]:
                if territory not in NOT_ISO:
                    rows.append((territory, subregion, continent))
    return sorted(rows)


def _scripts(source: Path) -> list[tuple[str, ...]]:
    data = _read(source / "supplemental" / "languageData.json")["supplemental"]["languageData"]
    usage = _read(source / "scriptMetadata.json")["scriptMetadata"]
    speakers, official = _speakers(source)
    likely = _likely(source)
    rows = []
    for language, entry in data.items():
        if "-" in language or language in LEFT_OUT or language not in official:
            continue
        primary = [s for s in entry.get("_scripts", ()) if usage[s]["idUsage"] != "EXCLUSION"]
        if len(primary) != 1 or primary[0] in COMPOUND or likely.get(language) != set(primary):
            continue
        other = data.get(f"{language}-alt-secondary", {}).get("_scripts", [])
        others = sorted({*entry.get("_scripts", ()), *other} - set(primary))
        rows.append((language, primary[0], " ".join(others), str(round(speakers[language]))))
    return sorted(rows)


def _speakers(source: Path) -> tuple[dict[str, float], set[str]]:
    """Speakers over all territories, and the languages with any official status or a locale."""
    info = _read(source / "supplemental" / "territoryInfo.json")["supplemental"]["territoryInfo"]
    locales = _read(source / "availableLocales.json")["availableLocales"]["full"]
    speakers: dict[str, float] = defaultdict(float)
    known = {code.split("-")[0] for code in locales}
    for entry in info.values():
        for code, spoken in entry.get("languagePopulation", {}).items():
            language = code.split("_")[0]
            share = float(spoken["_populationPercent"]) / 100
            speakers[language] += share * float(entry["_population"])
            if "_officialStatus" in spoken:
                known.add(language)
    return speakers, known & set(speakers)


def _likely(source: Path) -> dict[str, set[str]]:
    """Likely scripts of a language by territory: more than one for az, ms, sr and uz."""
    tags = _read(source / "supplemental" / "likelySubtags.json")["supplemental"]["likelySubtags"]
    scripts: dict[str, set[str]] = defaultdict(set)
    for short, full in tags.items():
        parts = short.split("-")
        if len(parts) == 1 or (len(parts) == 2 and len(parts[1]) == 2):
            scripts[parts[0]].add(full.split("-")[1])
    return scripts


def _write(name: str, version: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    lines = [
        f"# Derived from Unicode CLDR {version} by tools/make_cldr_tables.py.",
        "# Copyright (c) 2004-2025 Unicode, Inc. Unicode License v3, see LICENSE-UNICODE.",
        "\t".join(columns),
        *("\t".join(row) for row in rows),
    ]
    (DATA / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
