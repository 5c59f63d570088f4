"""Reader of KLAR's JSON layout `<lang>/<relation>.json` (specification of `trace`, section 3.1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polylore.errors import DataError
from polylore.facts.checks import check_template
from polylore.facts.factset import FactSet
from polylore.facts.rows import Rows, select_languages, templates_frame
from polylore.files import read_json


def json_folder(folder: Path) -> Path | None:
    """The folder that holds `<lang>/<relation>.json`, or None if this is not that layout."""
    for root in (folder, folder / "source"):
        if root.is_dir() and next(root.glob("*/*.json"), None):
            return root
    return None


def read_json_folder(root: Path, languages: Sequence[str] | None = None) -> FactSet:
    """Read `<lang>/<relation>.json`; fact_id is the global index, variant the template's number.

    Languages come in the order asked for, else in the order of `templates.json` beside the folder,
    else English first and the rest by code.

    Raises:
        DataError: a file breaks the layout; the message names file and key.
    """
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(root.glob("*/*.json")):
        files.setdefault(path.parent.name, {})[path.stem] = path
    order = select_languages(preferred_order(root, list(files)), languages, root)
    facts, templates = Rows("KLAR"), []
    for lang in order:
        for path in files[lang].values():
            relation, wordings = _read_relation(path, lang, facts)
            for variant, template in enumerate(wordings):
                templates.append((relation, lang, "prompt", variant, template))
    return FactSet("KLAR", facts.frame(), templates_frame(templates))


def preferred_order(root: Path, there: list[str]) -> list[str]:
    """Languages in the order of `templates.json` in or beside the folder, else English first."""
    listing = next((p for p in (root, root.parent) if (p / "templates.json").is_file()), None)
    first = list(read_json(listing / "templates.json")) if listing else ["en"]
    return [c for c in first if c in there] + [c for c in there if c not in first]


def _read_relation(path: Path, lang: str, facts: Rows) -> tuple[str, list[str]]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold one JSON object, not {type(content).__name__}.")
    relation = _text(content, "relation_name", f"{path}: the file")
    wordings = content.get("prompt_templates")
    if not isinstance(wordings, list) or not wordings:
        raise DataError(f"{path}: prompt_templates must be a list of at least one template.")
    for number, template in enumerate(wordings):
        where = f"{path}, prompt_templates[{number}]"
        if not isinstance(template, str):
            raise DataError(f"{where}: a template must be a string.")
        check_template(template, where)
    samples = content.get("samples")
    if not isinstance(samples, list) or not samples:
        raise DataError(f"{path}: samples must be a list of at least one fact.")
    for number, sample in enumerate(samples):
        where = f"{path}, samples[{number}]"
        if not isinstance(sample, dict):
            raise DataError(f"{where}: a sample must be an object with subject, object and index.")
        index = sample.get("index")
        if isinstance(index, bool) or not isinstance(index, int | str) or index == "":
            raise DataError(f"{where}: index must be an integer, not {index!r}.")
        subject, gold = _text(sample, "subject", where), _text(sample, "object", where)
        facts.add(str(index), relation, lang, subject, gold, where)
    return relation, wordings


def _text(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where} has an empty or missing {key}; it must be a string with text.")
    return value
