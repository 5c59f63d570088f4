"""`inject run`: every condition with every seed, resumable reading by reading."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import polars as pl

from polylore.config import digest
from polylore.corpus.injection.contamination import scan
from polylore.errors import DataError, RunError
from polylore.facts.people import Fiction, lint_items
from polylore.facts.people.swaps import subject_names, with_swaps
from polylore.files import read_json
from polylore.models.fingerprint import tokenizer_hash
from polylore.runs import RunFolder, run_batches
from polylore.studies.inject.background import Background, open_background
from polylore.studies.inject.basis import (
    ROWS,
    Basis,
    bases_of,
    make_basis,
    open_checkpoint,
    save_items,
)
from polylore.studies.inject.conditions import SHAM, RunSpec, runs_of
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.design import Design, make_design
from polylore.studies.inject.estimate import calibrate, first_main, run_costs, timed_costs
from polylore.studies.inject.items import PUBLISHED, item_facts, load_items
from polylore.studies.inject.work import (
    Job,
    burn_in_rows,
    cost_of,
    failure_of,
    open_stream,
    planned_row,
    train_config,
    unfinished,
    work,
)
from polylore.tables.inject import CONTAMINATION, LINT, RUNS

Progress = Callable[[int, int, str], None]


def run_inject(
    config: InjectConfig,
    out: str | Path,
    *,
    fiction: Fiction | None = None,
    progress: Progress | None = None,
) -> RunFolder:
    """Inject items into a running training and read the probes on the way.

    Args:
        config: the study.
        out: run folder; an unfinished study of the same settings is continued, and seeds and
            conditions that are new since then are added to it.
        fiction: items in memory, in place of `config.items`.
        progress: called with (done, total, what).

    Returns:
        The run folder; each run is a unit, named `<condition> seed <seed>`, with the raw tables of
        `inject`. Items, runs and traces in the background are whole tables.

    Raises:
        RunError: some runs failed; all others are done, and the same command tries those again.
        PolyloreError: bad input, in one sentence, before anything starts.
    """
    study = Study(config, fiction)
    with _processes() as (main, everybody):
        run = study.open(Path(out), progress) if main else None
        everybody()
        if run is None:
            run = RunFolder.load(out)
            study.background = study.find_background(run.path, None)
        with run.lock() if main else nullcontext():
            if main:
                study.prepare(run, progress)
            everybody()
            study.work(run, progress, main)
            everybody()
            if main:
                study.finish(run)
    return run


class Study:
    """A study before and between its runs."""

    def __init__(self, config: InjectConfig, fiction: Fiction | None = None) -> None:
        self.config = config
        self.specs = runs_of(config)
        opened = open_checkpoint(config)
        items = load_items(config, fiction, opened.length)
        self.facts = item_facts(config.items, items.fiction, given=fiction is not None)
        if items.sham is None:
            # Items that are given and not made have no others unless the user gives some.
            self.specs = [spec for spec in self.specs if spec.role != SHAM]
        self.basis: Basis = make_basis(config, items, opened=opened)
        self.bases = bases_of(self.specs, config, self.basis)
        self.designs: dict[str, Design] = {
            spec.run_id: make_design(spec, items, self.basis.tokens, self.basis.form)
            for spec in self.specs
        }
        self.background: Background | None = None
        arms = self.designs[first_main(self.specs).run_id].arms
        self.findings = LINT.validate(lint_items(items.fiction, self.basis.encode, arms))
        """What the linter finds in the items; contract LINT."""
        if config.items.lint == "refuse" and not config.items.source.startswith(PUBLISHED):
            _refuse_errors(self.findings)

    def _identity(self, spec: RunSpec) -> str:
        """What a run must be to be gone on with: its settings, and the weights of its checkpoint.

        Those of the study's own checkpoint are among the inputs of the folder.
        """
        start = self.bases[spec.run_id].start
        own = start.digest != self.basis.start.digest
        return digest([spec.digest, start.digest]) if own else spec.digest

    def _checkpoints(self) -> dict[str, Any]:
        """Where the runs of every condition begin, for the manifest."""
        return {
            spec.condition: {
                "model": spec.config.model,
                "revision": spec.config.revision,
                "step": self.bases[spec.run_id].start.step,
                "weights": self.bases[spec.run_id].start.digest,
                "begin": self.bases[spec.run_id].begin(spec.config),
            }
            for spec in self.specs
        }

    @property
    def rows(self) -> int:
        """Rows of background that the longest run reads, burn-in included."""
        return max(map(self._rows_of, self.specs))

    def _rows_of(self, spec: RunSpec) -> int:
        design = self.designs[spec.run_id]
        basis = self.bases[spec.run_id]
        first = burn_in_rows(spec, train_config(spec, design, basis), basis)
        return first + design.updates * spec.config.background.batch_size

    def find_background(self, folder: Path, progress: Progress | None) -> Background:
        """The rows, packed where they are not yet."""
        basis, fiction = self.basis, self.basis.items.fiction
        languages = {*fiction.passages["lang"], *fiction.probes["lang"]}
        return open_background(
            self.config.background,
            basis.form,
            basis.encode,
            folder / ROWS,
            self.rows,
            languages,
            progress,
            tokenizer=tokenizer_hash(basis.tokenizer),
        )

    def open(self, out: Path, progress: Progress | None = None) -> RunFolder:
        """Open the run folder and refuse what does not fit, before anything is trained.

        Raises:
            RunError: the folder belongs to another study.
        """
        items = self.basis.items
        inputs = {
            "items": items.fiction.digest(),
            "sham": "" if items.sham is None else items.sham.digest(),
            "checkpoint": self.basis.start.digest,
            "tokenizer": tokenizer_hash(self.basis.tokenizer),
        }
        run = RunFolder.open(out, "inject", self.config.question(), inputs)
        known = run.manifest.get("runs", {})
        for spec in self.specs:
            before = known.get(spec.run_id)
            if before not in (None, self._identity(spec)):
                raise RunError(
                    f"{out} holds a run '{spec.run_id}' of other settings; give another folder "
                    "with --out, or the old settings to go on with it."
                )
        self._refuse_other_plans(run)
        self.background = self.find_background(out, progress)
        held_out = self.background.held_out_digests(self.config.background.heldout)
        if run.manifest.get("heldout", held_out) != held_out:
            raise RunError(
                f"{out} has runs with other held-out text, as its background was changed or the "
                "study grew too long for it; give another folder with --out."
            )
        for spec in self.specs:  # rows that are missing are better known before an hour of training
            design = self.designs[spec.run_id]
            basis = self.bases[spec.run_id]
            open_stream(spec, design, self.background, train_config(spec, design, basis), basis)
        return run

    def _plans(self) -> dict[str, str]:
        """Digests of what every run injects, when and where."""
        return {name: digest(design.plan.to_dicts()) for name, design in self.designs.items()}

    def _refuse_other_plans(self, run: RunFolder) -> None:
        """Runs of one study share a square, so all must be of the plans it was begun with.

        The same settings make another plan where a newer polylore lays it out otherwise.
        """
        known = {} if run.is_blank() else run.manifest.get("plans", {})
        for name, plan in self._plans().items():
            if known.get(name, plan) != plan:
                raise RunError(
                    f"{run.path} was begun with another plan of '{name}' than these items and this "
                    "version of polylore make; give another folder with --out, or go on with the "
                    "version that began it."
                )

    def prepare(self, run: RunFolder, progress: Progress | None = None) -> None:
        """Write what all runs share, and search the background for it."""
        fiction = self.basis.items.fiction
        save_items(self.basis.items, run.path)
        groups = {
            item: "control" if control else "injected"
            for item, control in fiction.items.select("item_id", "control").iter_rows()
        }
        run.write_table("inject_items", fiction.items)
        run.write_table("facts", self.facts)
        run.write_table(LINT.name, self.findings)
        run.write_table("inject_passages", fiction.passages)
        run.write_table("inject_probes", with_swaps(fiction, groups))
        run.annotate(
            "runs", run.manifest.get("runs", {}) | {s.run_id: self._identity(s) for s in self.specs}
        )
        run.annotate("checkpoints", self._checkpoints())
        run.annotate("plans", run.manifest.get("plans", {}) | self._plans())
        self.write_runs(run)
        if self.background is not None:
            content = self.background.stream(self.config.background.batch_size, 0)
            run.annotate("background", {"digest": content.digest, "rows": len(content)})
            kept = self.background.held_out_digests(self.config.background.heldout)
            run.annotate("heldout", kept)
        if self.config.execution.calibrate and "plan" not in run.manifest:
            run.annotate("plan", self.costs(run.path, progress))
        if self.config.scan.enabled:
            if not run.has_table(CONTAMINATION.name):
                run.write_table(CONTAMINATION.name, self.scan(progress))
            self._refuse_traces(run.table(CONTAMINATION.name))

    def costs(self, folder: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
        """What every run will cost; some updates and readings are timed, in a folder of its own."""
        if self.background is None:
            self.background = self.find_background(folder, progress)
        found = [
            run_costs(one, self.designs[one.run_id], self.bases[one.run_id], self.background)
            for one in self.specs
        ]
        spec, timing = first_main(self.specs), None
        if self.config.execution.calibrate and not _several():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".timing-") as scratch:
                timing = calibrate(
                    spec,
                    self.designs[spec.run_id],
                    self.background,
                    self.basis,
                    Path(scratch),
                    progress,
                )
        if timing is not None:
            place = self.specs.index(spec)
            for one, costs in zip(self.specs, found, strict=True):
                costs |= timed_costs(timing, self.designs[one.run_id], costs, found[place])
        return found

    def scan(self, progress: Progress | None = None) -> pl.DataFrame:
        """Search the rows that will be read for names and pieces of passages; CONTAMINATION."""
        if self.background is None:
            return CONTAMINATION.empty()
        fiction, tokenizer = self.basis.items.fiction, self.basis.tokenizer
        size = self.config.background.batch_size
        stream = self.background.stream(size, 0)
        steps = min(stream.steps or 0, -(-self.rows // size))
        blocks = ((k * size, stream.rows(k, range(size)).tokens) for k in range(steps))
        passages = {
            passage: (item, self.basis.tokens[passage])
            for passage, item in fiction.passages.select("passage_id", "item_id").iter_rows()
        }
        return scan(
            blocks,
            lambda rows: tokenizer.batch_decode(rows, skip_special_tokens=False),
            {item: sorted(set(names.values())) for item, names in subject_names(fiction).items()},
            passages,
            n=self.config.scan.ngram,
            total=steps,
            progress=progress,
        )

    def _refuse_traces(self, found: pl.DataFrame) -> None:
        """Every time, not only when they are found: a refused study must not start at last.

        Raises:
            DataError: there are traces, and `scan.strict` is set.
        """
        if self.config.scan.strict and found.height:
            first = found.row(0, named=True)
            raise DataError(
                f"The background holds {found.height} traces of the items, the first of "
                f"{first['item_id']} in {first['place']}: {first['text']!r}; take other items or "
                "another background, or set scan.strict off."
            )

    def work(self, run: RunFolder, progress: Progress | None, main: bool) -> None:
        """Make every run that is not done."""
        if self.background is None:
            raise RunError("The study has not been opened.")
        execution = self.config.execution
        jobs = [Job(str(run.path.resolve()), spec, self.background) for spec in self.specs]
        due = [job for job in jobs if not run.is_done(job.spec.run_id)]
        if main:
            for job in due:
                failure_of(run.path, job.spec.run_id).unlink(missing_ok=True)
        if execution.executor == "local" and min(execution.jobs, len(due)) <= 1:
            for number, job in enumerate(due):
                work(job, _within(progress, number, len(due), job.spec.run_id), main)
            return
        run_batches(
            due,
            work,
            executor=execution.executor,
            jobs=execution.jobs,
            threads=self.config.train.threads or 1,
            gpus=execution.gpus_per_worker,
            retries=execution.retries,
            folder=run.path,
            progress=progress,
            what="runs",
        )

    def write_runs(self, run: RunFolder) -> None:
        """Table RUNS: what each run was made of, or is to be made of."""
        done = [spec.run_id for spec in self.specs if run.is_done(spec.run_id)]
        made = [RUNS.validate(run.read(RUNS.name, [unit])) for unit in done]
        due = [spec for spec in self.specs if spec.run_id not in done]
        planned = RUNS.build(
            [planned_row(s, self.designs[s.run_id], self.bases[s.run_id]) for s in due]
        )
        order = {spec.run_id: place for place, spec in enumerate(self.specs)}
        whole = pl.concat([*made, planned])
        run.write_table(RUNS.name, whole.sort(pl.col("run_id").replace_strict(order)))

    def finish(self, run: RunFolder) -> None:
        """Gather what the runs cost and were made of; refuse to be silent about failures.

        Raises:
            RunError: some runs failed.
        """
        units = [spec.run_id for spec in self.specs if run.is_done(spec.run_id)]
        self.write_runs(run)
        costs = [
            read_json(path) for path in (cost_of(run.path, u) for u in units) if path.is_file()
        ]
        run.annotate("probing", costs)
        used = run.table(RUNS.name).drop_nulls("dtype")
        run.annotate("dtype", dict(used.select("run_id", "dtype").iter_rows()))
        failed = [spec.run_id for spec in self.specs if not run.is_done(spec.run_id)]
        if failed:
            note = failure_of(run.path, failed[0])
            why = read_json(note)["why"] if note.is_file() else "it left no message"
            raise RunError(
                f"{len(failed)} of {len(self.specs)} runs failed, the first is '{failed[0]}': "
                f"{why} What was read is kept in {unfinished(run.path, failed[0])}; the same "
                "command tries again from there and leaves runs that are done alone, but where "
                "the cause lies in the settings, give others and another folder."
            )


def _refuse_errors(findings: pl.DataFrame) -> None:
    """Items that cannot show what they are asked for.

    Raises:
        DataError: the linter finds errors.
    """
    errors = findings.filter(severity="error")
    if errors.height:
        first = errors.row(0, named=True)
        raise DataError(
            f"The items have {int(errors['count'].sum())} errors, the first of {first['lang']}, "
            f"{first['examples'][0]} ({first['rule']}): {first['message'].rstrip('.')}; see "
            "`polylore inject lint-items`, mend the items, or set items.lint to report."
        )


@contextmanager
def _processes() -> Iterator[tuple[bool, Callable[[], None]]]:
    """Whether this is the first process that `torchrun` started, and how to wait for the others."""
    if not _several():
        yield True, lambda: None
        return
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.accelerator.is_available())
    yield state.is_main_process, state.wait_for_everyone


def _several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _within(progress: Progress | None, number: int, total: int, name: str) -> Progress | None:
    if progress is None:
        return None

    def report(done: int, of: int, what: str) -> None:
        progress(done, of, f"run {number + 1} of {total} ({name}): {what}")

    return report
