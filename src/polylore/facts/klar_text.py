"""Reader of KLAR's text layout (specification of `trace`, section 3.1).

Files of filled sentences with `templates.json` beside them, from which the facts are won back.
"""

from collections.abc import Sequence
from pathlib import Path

from polylore.errors import DataError
from polylore.facts.factset import FactSet
from polylore.facts.klar import preferred_order
from polylore.facts.rows import Rows, prompts_from_json, select_languages, templates_frame

CODES = {
    "eng_Latn": "en",
    "fra_Latn": "fr",
    "spa_Latn": "es",
    "ara_Arab": "ar",
    "zho_Hans": "zh",
    "rus_Cyrl": "ru",
    "jpn_Jpan": "ja",
    "tur_Latn": "tr",
    "ukr_Cyrl": "uk",
    "cat_Latn": "ca",
    "kor_Kore": "ko",
    "ell_Grek": "el",
}
"""Language codes of the published text files."""


def text_files(folder: Path) -> dict[str, Path]:
    """Filled-sentence files by language; empty if this is not that layout."""
    if not (folder / "templates.json").is_file():
        return {}
    return {CODES.get(path.stem, path.stem): path for path in sorted(folder.glob("*.txt"))}


def read_text_files(folder: Path, languages: Sequence[str] | None = None) -> FactSet:
    """Win facts back from filled sentences: line = template with subject and object put in.

    The lines of all languages are parallel and grouped by relation in alphabetical order; the
    files hold no index, so fact_id is `<relation>:<number within the relation>`.

    Raises:
        DataError: line counts differ, a line fits no relation or several, or the split between
            subject and object is not unique.
    """
    files = text_files(folder)
    order = select_languages(preferred_order(folder, list(files)), languages, folder)
    templates = prompts_from_json(folder / "templates.json")
    texts = {lang: _lines(files[lang]) for lang in order}
    counts = {lang: len(lines) for lang, lines in texts.items()}
    if len(set(counts.values())) != 1:
        shown = ", ".join(f"{files[lang].name} {n}" for lang, n in counts.items())
        raise DataError(f"{folder}: the text files are not parallel, they have {shown} lines.")
    single = _single_templates(templates, order, folder / "templates.json")
    relations = _relations(texts, single, files)
    facts, used = Rows("KLAR text"), []
    for lang in order:
        number: dict[str, int] = {}
        for row, (line, relation) in enumerate(zip(texts[lang], relations, strict=True)):
            where = f"{files[lang]}, line {row + 1}"
            subject, gold = _split(line, single[lang][relation], where)
            count = number.get(relation, 0)
            number[relation] = count + 1
            facts.add(f"{relation}:{count}", relation, lang, subject, gold, where)
        used += [(name, lang, "prompt", 0, single[lang][name]) for name in number]
    return FactSet("KLAR text", facts.frame(), templates_frame(used))


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if not text.strip():
        raise DataError(f"{path} is empty; it must hold one filled sentence per line.")
    return lines


def _single_templates(
    templates: dict[str, dict[str, list[str]]], order: list[str], path: Path
) -> dict[str, dict[str, str]]:
    result: dict[str, dict[str, str]] = {}
    for lang in order:
        if lang not in templates:
            raise DataError(f"{path} has no templates for '{lang}'; add them.")
        result[lang] = {}
        for relation, wordings in sorted(templates[lang].items()):
            if (
                len(wordings) != 1
                or wordings[0].count("<subject>") + wordings[0].count("<mask>") != 2
            ):
                raise DataError(
                    f"{path}, {lang}, {relation}: to win facts back from sentences there must be "
                    "exactly one template, with each slot exactly once."
                )
            result[lang][relation] = wordings[0]
    return result


def _relations(
    texts: dict[str, list[str]], templates: dict[str, dict[str, str]], files: dict[str, Path]
) -> list[str]:
    """Relation of every line: the one that fits in all languages, never before the last one's."""
    result: list[str] = []
    for row, lines in enumerate(zip(*texts.values(), strict=True)):
        fits: set[str] | None = None
        for lang, line in zip(texts, lines, strict=True):
            here = {name for name, text in templates[lang].items() if _frame_fits(line, text)}
            if not here:
                raise DataError(f"{files[lang]}, line {row + 1}: no template fits {line!r}.")
            fits = here if fits is None else fits & here
        allowed = sorted(name for name in fits or () if not result or name >= result[-1])
        if len(allowed) != 1:
            found = "no relation fits" if not allowed else f"{' and '.join(allowed)} all fit"
            raise DataError(
                f"Line {row + 1} of the text files: {found} in all languages; relations must "
                "stand in alphabetical order and have templates that can be told apart."
            )
        result.append(allowed[0])
    return result


def _frame_fits(line: str, template: str) -> bool:
    before, middle, after, _ = _parts(template)
    return (
        line.startswith(before)
        and line.endswith(after)
        and middle in line[len(before) : len(line) - len(after)]
    )


def _parts(template: str) -> tuple[str, str, str, bool]:
    """Text before, between and after the two slots, and whether the subject comes first."""
    subject, mask = template.index("<subject>"), template.index("<mask>")
    first, second = ("<subject>", "<mask>") if subject < mask else ("<mask>", "<subject>")
    before, rest = template.split(first, 1)
    middle, after = rest.split(second, 1)
    return before, middle, after, subject < mask


def _split(line: str, template: str, where: str) -> tuple[str, str]:
    before, middle, after, subject_first = _parts(template)
    pieces = line[len(before) : len(line) - len(after)].split(middle) if middle else []
    if len(pieces) != 2 or not all(piece.strip() for piece in pieces):
        raise DataError(
            f"{where}: cannot tell subject and object apart in {line!r}; use the JSON folder."
        )
    return (pieces[0], pieces[1]) if subject_first else (pieces[1], pieces[0])
