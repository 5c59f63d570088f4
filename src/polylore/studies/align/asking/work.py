"""Who does which unit: one unit of work is one checkpoint x set x language.

Workers read what is asked from the run folder and write each finished unit back into it.
"""

from polylore.runs import Latest, RunFolder
from polylore.studies.align.asking.batches import Batch, Kept, Part, pending, unit_name
from polylore.studies.align.asking.config import AlignAskConfig
from polylore.studies.align.asking.sheet import Sheet, sheet_of


def ask_batch(batch: Batch[AlignAskConfig]) -> int:
    """Ask one checkpoint all that is not done; returns how many units of the batch now are."""
    desk = _desk(batch.run, batch.ask)
    # A batch whose worker was lost comes again, with some of its units written.
    parts = pending(desk.run, batch.source.ckpt_id, batch.parts)
    if parts:
        with batch.store.open(batch.source, batch.upcoming) as folder:
            batch.store.note_weights(batch.source, folder)
            lm = desk.kept.model(str(folder), batch.ask.dtype, batch.execution)
            system = {"model": batch.model, "step": batch.step}
            for part in parts:
                rows = desk.sheet(part).ask(lm, system, batch.execution)
                desk.run.write_unit(unit_name(batch.source.ckpt_id, part), rows)
    return len(batch.parts)


_DESKS: Latest["Desk"] = Latest()


def _desk(run: str, ask: AlignAskConfig) -> "Desk":
    return _DESKS.get((run, ask.digest()), lambda: Desk(RunFolder.load(run), ask))


class Desk:
    """What is kept from one checkpoint to the next: sheets, and a model object."""

    def __init__(self, run: RunFolder, ask: AlignAskConfig) -> None:
        self.run, self.ask = run, ask
        self._questions = run.table("align_questions")
        self._prompts = run.table("align_prompts")
        self._sheets: dict[Part, Sheet] = {}
        self.kept = Kept()

    def sheet(self, part: Part) -> Sheet:
        """The sheet of a set and language."""
        if part not in self._sheets:
            self._sheets[part] = sheet_of(self._questions, self._prompts, *part, self.ask)
        return self._sheets[part]
