"""One training of one arm with one seed: rows, training, questions, manifest."""

import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import PartialState

from polylore.errors import ConfigError, DataError
from polylore.files import atomic_path, read_json, write_json
from polylore.models import LanguageModel, load_model
from polylore.models.checking import quiet
from polylore.models.fingerprint import fingerprint, fingerprint_model, weight_hash
from polylore.models.loading import load_tokenizer
from polylore.runs import Latest, RunFolder
from polylore.studies.align.arms.asker import Asker
from polylore.studies.align.arms.config import START, ArmsConfig
from polylore.studies.align.arms.identity import identity_of, keep, refuse_other
from polylore.studies.align.arms.manifest import NAME, describe, machine_of, read_manifest, spent
from polylore.studies.align.arms.material import gather
from polylore.studies.align.arms.reading import ArmReader, steps_asked, unit_name
from polylore.studies.align.arms.recipe import Budget, Kitchen
from polylore.studies.align.arms.rows import ArmRows
from polylore.studies.align.arms.sizes import Sizes, sizes_of
from polylore.studies.align.arms.tree import Node, ancestors, folder_of
from polylore.training.adapters.lora import Lora
from polylore.training.config import TokenizerConfig, TrainConfig
from polylore.training.continued.config import ContinueConfig, ExecutionConfig, RateConfig
from polylore.training.continued.loop import continue_training, read_updates
from polylore.training.continued.processes import wait
from polylore.training.continued.start import Start, open_start
from polylore.training.model import new_model
from polylore.training.tokenizer import open_tokenizer

ARMS, INIT = "arms", "init"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Job:
    """One training to be made."""

    run: str
    """Run folder."""
    node: Node
    seed: int
    nodes: tuple[Node, ...]
    """All nodes of the run."""
    config: ArmsConfig

    def __str__(self) -> str:
        return f"arm {self.node.run_id(self.seed)}"


def is_done(run: RunFolder, config: ArmsConfig, node: Node, seed: int) -> bool:
    """Whether a training is finished, goes on from the weights there are, and was asked."""
    folder = run.path / ARMS / node.folder(seed)
    if not (folder / NAME).is_file():
        return False
    try:
        about = read_manifest(folder)
    except DataError:
        return False  # a damaged manifest is made again, from the weights that are there
    before = run.path / ARMS / folder_of(node.parent, seed) / NAME
    if before.is_file() and read_json(before)["end"]["hash"] != about["start"]["hash"]:
        return False
    if node.arm is None:
        return True
    made = about["spent"]["updates"]
    steps = {*steps_asked(config, node, about["budget"]["updates"], made), made}
    return all(run.is_done(unit_name(node.run_id(seed), step)) for step in steps)


def train_job(job: Job, progress: Progress | None = None) -> int:
    """Make one training; what is finished is left as it is. Returns 1."""
    desk = _desk(job)
    if not is_done(desk.run, job.config, job.node, job.seed):
        desk.make(job, progress)
    return 1


_DESKS: Latest["Desk"] = Latest()


def _desk(job: Job) -> "Desk":
    key = (job.run, job.config.digest())
    return _DESKS.get(key, lambda: Desk(RunFolder.load(job.run), job.config))


class Desk:
    """What is kept from one training to the next: texts in tokens, sheets of questions."""

    def __init__(self, run: RunFolder, config: ArmsConfig) -> None:
        self.run, self.config = run, config
        self.material = gather(config)
        self.kitchen = Kitchen(config, self.material, load_tokenizer(self.base()))
        self.asker = Asker(config, self.material, self.kitchen)

    def start(self, parent: str, seed: int) -> Start:
        """The checkpoint that a training goes on from.

        Raises:
            ModelError: there is none.
        """
        given = self.config.start
        if given.fresh is None and parent == START:
            return open_start(str(given.path or given.model), revision=given.revision)
        if parent == INIT:
            if is_main():
                self.first_weights(seed)
            wait()
            return open_start(self.first_weights(seed))
        return open_start(self.run.path / ARMS / folder_of(parent, seed))

    def base(self) -> Path:
        """Folder of a model with the tokenizer and the sizes of all arms."""
        seed = self.config.train.seeds[0]
        if self.config.start.fresh is not None:
            return self.first_weights(seed)
        return self.start(START, seed).folder

    def first_weights(self, seed: int) -> Path:
        """Folder of a model that has learned nothing, written if it is not there.

        Raises:
            ConfigError: there is no tokenizer to make it for.
        """
        folder = self.run.path / ARMS / INIT / f"seed-{seed}"
        if not (folder / "config.json").is_file():
            fresh, primer = self.config.start.fresh, self.material.primer
            if fresh is None or primer is None:
                raise ConfigError(
                    "A start model can be trained from scratch on the ordinary facts of a primer "
                    "only; give data.primer, or train one with `polylore train` and name its "
                    "folder in start.path."
                )
            from polylore.facts.fiction.tokens import write_part_tokenizer

            with atomic_path(folder) as temporary, quiet():
                write_part_tokenizer(primer.vocabulary(), temporary)
                sizes = TrainConfig(seed=seed, model=fresh, tokenizer=TokenizerConfig(),
                                    context=min(96, fresh.max_positions))  # fmt: skip
                new_model(sizes, open_tokenizer(temporary)).save_pretrained(temporary)
        return folder

    def make(self, job: Job, progress: Progress | None) -> None:
        """Train, ask, write the manifest; where several processes do, all of them end together."""
        self._make(job, progress)
        wait()

    def _make(self, job: Job, progress: Progress | None) -> None:
        node, seed = job.node, job.seed
        folder = self.run.path / ARMS / node.folder(seed)
        begun = time.perf_counter()
        start = self.start(node.parent, seed)
        budget = self.kitchen.budget(node)
        main = is_main()
        if main:
            self._forget_gaps(node, seed, budget, folder)
        wait()
        identity = identity_of(self.run, node, seed, job.nodes) | {"start": start.digest}
        refuse_other(folder, identity)
        wait()
        if main:
            keep(folder, identity)
        if node.kind == "none":
            if main:
                self._ask_start(job, start, budget, folder)
            return
        rows = self._rows(node, seed, folder, main)
        adapt = None
        if node.arm is not None and node.arm.method == "lora":
            adapt = Lora(node.arm.lora, seed)
        reader = self._reader(job, budget, rows)
        readers = [] if node.arm is None else [reader]
        self._train(start, rows, folder, self._how(node, seed, budget), readers, adapt, progress)
        if not main:
            return
        updates = read_updates(folder)
        made = updates.height
        if node.arm is not None and not self.run.is_done(unit_name(node.run_id(seed), made)):
            reader.ask(load_model(open_start(folder).folder), made, last=True)
        sizes = sizes_of(start.folder, node.arm)
        stopped = "end" if not budget.gate else "gate" if self._passed(reader, made) else "cap"
        last = updates.row(-1, named=True)
        cost = {
            "updates": made,
            "input_tokens": last["tokens"],
            "loss_tokens": last["loss_tokens"],
            "left_out": rows.left_out,
            "trainable": sizes.trainable,
            "stopped": stopped,
            "seconds": round(time.perf_counter() - begun, 1),
        }
        self._write(job, budget, start, rows.digest, sizes, rows.until(made), cost, folder,
                    end=open_start(folder).digest)  # fmt: skip

    def _forget_gaps(self, node: Node, seed: int, budget: Budget, folder: Path) -> None:
        """Let go of a training whose answers on the way are damaged: they are only had by training.

        Those at its end can be had from its weights.
        """
        if node.arm is None or not (folder / "updates.parquet").is_file():
            return
        made = read_updates(folder).height
        finished = bool(read_json(folder / "manifest.json").get("finished"))
        lost = [
            step
            for step in steps_asked(self.config, node, budget.updates, made)
            if not (finished and step == made)
            and not self.run.is_done(unit_name(node.run_id(seed), step))
        ]
        if lost:
            warnings.warn(
                f"Answers of {node.run_id(seed)} after {lost[0]} updates are damaged or missing; "
                "it is trained again.",
                stacklevel=2,
            )
            shutil.rmtree(folder)

    def _rows(self, node: Node, seed: int, folder: Path, main: bool) -> ArmRows:
        if main and not (folder / "data" / "rows.json").is_file():
            self.kitchen.write(node, seed, folder / "data")
        wait()
        return ArmRows(folder / "data")

    def _train(
        self,
        start: Start,
        rows: ArmRows,
        folder: Path,
        how: ContinueConfig,
        readers: Sequence[ArmReader],
        adapt: Lora | None,
        progress: Progress | None,
    ) -> None:
        """Train; where memory does not suffice, in smaller parts, which changes no result."""
        while True:
            try:
                continue_training(
                    start, rows, folder, how, readers=readers, adapt=adapt, progress=progress
                )
                return
            except torch.OutOfMemoryError:
                part = how.execution.per_device or rows.batch_size // processes()
                if part % 2 or processes() > 1:
                    raise
                warnings.warn(
                    f"{folder.parent.name} does not fit with {part} rows at once; it goes on with "
                    f"{part // 2} and twice as many parts.",
                    stacklevel=2,
                )
                torch.accelerator.empty_cache()
                smaller = how.execution.model_copy(update={"per_device": part // 2})
                how = how.model_copy(update={"execution": smaller})

    def _how(self, node: Node, seed: int, budget: Budget) -> ContinueConfig:
        train, execution = self.config.train, self.config.execution
        rate = self.config.start.learning_rate if node.arm is None else node.arm.learning_rate
        return ContinueConfig(
            updates=budget.updates,
            seed=seed,
            optimizer="fresh",
            rate=RateConfig(
                schedule=train.schedule,
                learning_rate=rate or train.learning_rate,
                warmup=train.warmup,
                final=train.final,
            ),
            beta1=train.beta1,
            beta2=train.beta2,
            weight_decay=train.weight_decay,
            clip=train.clip,
            precision=train.precision,
            threads=execution.threads,
            execution=ExecutionConfig(
                per_device=execution.per_device,
                shard=execution.shard,
                state_every=execution.state_every,
            ),
        )

    def _reader(self, job: Job, budget: Budget, rows: ArmRows) -> ArmReader:
        before = [one for one in ancestors(job.node, job.nodes) if one.arm is not None]
        targets = dict.fromkeys(t for one in before for t in one.targets)
        return ArmReader(
            self.run, self.asker, job.node, job.seed, budget, rows,
            self._read_before(job, before), tuple(targets),
        )  # fmt: skip

    def _read_before(self, job: Job, before: list[Node]) -> list[pl.DataFrame]:
        """Documents of the start model, if it was trained here, and of all stages before."""
        nodes = list(before)
        if self.config.start.fresh is not None and job.node.arm is not None:
            nodes.append(Node(START, None, INIT))
        found = []
        for node in nodes:
            folder = self.run.path / ARMS / node.folder(job.seed)
            updates = read_manifest(folder)["spent"]["updates"]
            found.append(ArmRows(folder / "data").until(updates))
        return found

    def _ask_start(self, job: Job, start: Start, budget: Budget, folder: Path) -> None:
        """The arm that trains nothing: the start model, asked like all others."""
        reader = self._reader(job, budget, _NOTHING)
        reader.inherited = tuple(self.material.worlds)
        lm = load_model(start.folder)
        reader.ask(lm, 0, last=True)
        cost = {"updates": 0, "input_tokens": 0, "loss_tokens": 0, "left_out": 0,
                "trainable": 0, "stopped": "end", "seconds": 0.0}  # fmt: skip
        sizes = sizes_of(start.folder, None)
        self._write(job, budget, start, "", sizes, pl.DataFrame(), cost, folder,
                    end=_hash_of(lm, start.folder))  # fmt: skip

    def _passed(self, reader: ArmReader, step: int) -> bool:
        unit = unit_name(reader.node.run_id(reader.seed), step)
        answers = self.run.read("fiction_answers", [unit])
        values = self.asker.gate(answers, reader.node)
        return bool(values) and min(values.values()) >= self.config.eval.gate

    def _write(
        self,
        job: Job,
        budget: Budget,
        start: Start,
        data_hash: str,
        sizes: Sizes,
        read: pl.DataFrame,
        cost: Mapping[str, Any],
        folder: Path,
        *,
        end: str,
    ) -> None:
        about = describe(
            self.config, job.node, job.seed, budget, start_hash=start.digest,
            data_hash=data_hash, adapted=sizes.layers,
        )  # fmt: skip
        about["target"] = job.node.target
        about["design"]["source"] = job.node.source
        about["asked"] = self.asker.languages()
        about["components"] = self.asker.components(job.node)
        trained = job.node.kind != "none"
        about["machine"] = machine_of(folder) if trained else {}
        by_language = spent(read) if read.height else {}
        about["spent"] = {**cost, "by_language": by_language}
        about["end"] = {"hash": end}
        write_json(about, folder / NAME)


def _hash_of(lm: LanguageModel, folder: Path) -> str:
    """Hash of a model's weights as they are in memory, in the number formats of its folder."""
    formats = {one.name: getattr(torch, one.dtype) for one in fingerprint(folder)}
    return weight_hash(fingerprint_model(lm.model, formats))


class _Nothing:
    """Rows of a training that reads none."""

    def until(self, updates: int) -> pl.DataFrame:
        return pl.DataFrame()


_NOTHING: Any = _Nothing()


def _state() -> PartialState:
    return PartialState(cpu=not torch.accelerator.is_available())


def is_main() -> bool:
    """Whether this process writes files."""
    return bool(_state().is_main_process)


def processes() -> int:
    """Processes that train together."""
    return int(_state().num_processes)
