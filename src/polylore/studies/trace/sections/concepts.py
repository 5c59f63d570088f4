"""Concepts put into the model: what a `patch` run of the same checkpoints showed."""

from polylore.report import Block, Chart, Page, Prose
from polylore.studies.patch.sections.emergence import emergence_page
from polylore.studies.patch.sections.onsets import onsets_page
from polylore.studies.trace.concepts import NOTE, opened
from polylore.studies.trace.context import Context

LEAD = (
    "Do languages share a space of concepts, and since when? A concept is read off prompts in some "
    "languages and put into a prompt in others: does the model then name it?"
)


def concepts_page(context: Context) -> Page | None:
    """None without a run of `patch`."""
    patched = opened(context)
    if patched is None:
        return None
    pages = [page for part in (emergence_page, onsets_page) if (page := part(patched)) is not None]
    blocks: list[Block] = [_story(context)]
    blocks += [b for page in pages for b in page.blocks if isinstance(b, Prose | Chart)]
    return Page("concepts", "Concept spaces", LEAD, tuple(blocks))


def _story(context: Context) -> Prose:
    name = context.run.manifest.get(NOTE, {}).get("run", "")
    return Prose(
        (
            "The vector of a concept is the mean over prompts that translate its word between "
            "other languages than those asked about. It is written over the word of another "
            "concept. Another concept's vector, a mean over different concepts, and noise are put "
            "in the same way, and show what patching does without the concept. Where the source "
            "prompt by itself is near zero, the model cannot translate, and no vector could show "
            "anything.",
            f"The whole run is in the folder {name}: “polylore patch report” writes its own page, "
            "with all times.",
        )
    )
