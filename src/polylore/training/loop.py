"""The training loop: from a composed corpus to a series of checkpoints, exactly resumable.

The batch, the learning rate and the checkpoints of a step are pure functions of the step, and all
else that the next update depends on is in the state. So a run that was killed and started again
ends with the same weights, bit by bit, as one that was not (same machine, same number of threads).
"""

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from polylore.corpus.injection.injector import Injector
from polylore.corpus.ledger import exposure_table
from polylore.errors import ConfigError
from polylore.files import write_parquet
from polylore.tables import raw
from polylore.training import checkpoint, machine
from polylore.training.config import TrainConfig
from polylore.training.documents import Documents, open_documents
from polylore.training.folder import Manifest, locked, open_manifest
from polylore.training.injection.loop import check_loop
from polylore.training.interrupt import interruptible
from polylore.training.model import batch_loss, new_model, parameter_groups
from polylore.training.packing import Packed, open_packed, pack_corpus, read_consumed
from polylore.training.precision import Precision, choose, prepare
from polylore.training.schedule import checkpoint_steps, learning_rate
from polylore.training.tokenizer import open_tokenizer, save_tokenizer, train_tokenizer

LOGS = (raw.TRAIN_LOG, raw.SPEED)
"""Contracts of the logs that a state of training holds."""
Progress = Callable[[int, int, str], None]
Hook = Callable[[int, int, torch.nn.Module], None]
"""Called after an update with (step, tokens read so far, model)."""


def train(
    corpus_folder: str | Path,
    out_folder: str | Path,
    config: TrainConfig,
    *,
    tokenizer: Path | None = None,
    progress: Progress | None = None,
    on_step: Sequence[Hook] = (),
    injector: Injector | None = None,
) -> Path:
    """Train a model from scratch on a composed corpus; go on where an earlier call stopped.

    The folder receives `tokenizer/`, `checkpoints/step-<n>/` (ordinary `from_pretrained` folders),
    `consumed.parquet`, `exposure.parquet`, `train_log.parquet`, `speed.parquet`, `manifest.json`,
    and `data/` and `state/`, which only training itself reads. A finished run is left as it is.
    On SIGINT or SIGTERM the current step is finished and its state saved.

    Args:
        corpus_folder: a composed corpus.
        out_folder: where to write.
        config: how to train.
        tokenizer: folder of a tokenizer to use instead of training one on the corpus.
        progress: called with (done, total, what).
        on_step: called after every update.
        injector: passages to put into the sequences (`training.injection.loop` says what its rows
            must look like); step k of its plan is update k + 1. The plan and its dose are
            written beside the tables. The ledger of the corpus still counts documents that give
            way to passages.

    Raises:
        ConfigError: a fact is longer than the context, processes do not divide the batch, or the
            plan is made for other rows.
        DataError: the corpus is missing, unfinished or damaged.
        RunError: the folder belongs to another run, is in use, damaged or cannot be written to.
        KeyboardInterrupt: after SIGINT or SIGTERM, when everything is saved.
    """
    out = Path(out_folder)
    documents = open_documents(corpus_folder)
    # Told that there is no accelerator, `accelerate` also shares work among CPU processes.
    accelerator = Accelerator(mixed_precision="no", cpu=not torch.accelerator.is_available())
    if config.batch_size % accelerator.num_processes:
        raise ConfigError(
            f"batch_size {config.batch_size} cannot be shared by {accelerator.num_processes} "
            "processes; choose a multiple."
        )
    planned = injector.digest if injector else None
    with locked(out) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            manifest = open_manifest(out, config, documents.digest, planned)
            if manifest.values.get("finished"):
                return out
            _prepare_data(documents, config, out, manifest, tokenizer, progress)
        accelerator.wait_for_everyone()
        manifest = open_manifest(out, config, documents.digest, planned)
        if accelerator.device.type == "cpu":
            machine.keep_large_blocks()
        run = _Run(config, out, manifest, accelerator, injector)
        with machine.threads(run.precision.threads), interruptible() as stopped:
            run.go(stopped, progress, on_step)
        if accelerator.is_main_process:
            manifest.add(finished=True)
    return out


def _prepare_data(
    documents: Documents,
    config: TrainConfig,
    out: Path,
    manifest: Manifest,
    tokenizer: Path | None,
    progress: Progress | None,
) -> None:
    """Tokenizer, sequences and ledger: everything known before the first step."""
    if not (out / "tokenizer").is_dir():
        if progress:
            progress(0, 2, "tokenizer")
        given = None if tokenizer is None else open_tokenizer(tokenizer)
        made = given or train_tokenizer(documents, config.tokenizer)
        save_tokenizer(made, out / "tokenizer")
    if not (out / "data").is_dir():
        if progress:
            progress(1, 2, "sequences")
        pack_corpus(documents, open_tokenizer(out / "tokenizer"), config, out / "data")
    if not (out / "exposure.parquet").exists():
        consumed = read_consumed(out / "data")
        write_parquet(consumed, out / "consumed.parquet")
        exposure = exposure_table(documents.table(), consumed, documents.expressed())
        write_parquet(exposure, out / "exposure.parquet")
    packed = open_packed(out / "data", config)
    manifest.add(
        corpus_folder=str(documents.folder.resolve()),
        steps=packed.steps,
        tokens=int(packed.n_tokens.sum()),
        padding_share=round(packed.padding_share, 6),
    )


class _Run:
    """One process's part in the training of one model."""

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        manifest: Manifest,
        accelerator: Accelerator,
        injector: Injector | None,
    ) -> None:
        self.config, self.out, self.manifest, self.accelerator = config, out, manifest, accelerator
        self.packed: Packed = open_packed(out / "data", config)
        self.tokens = self.packed.tokens()
        tokenizer = open_tokenizer(out / "tokenizer")
        self.injector = injector
        if injector is not None:
            self._write_plan(injector, check_loop(injector, self.packed, tokenizer))
        self.model: Any = new_model(config, tokenizer)
        self.model.to(accelerator.device)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.model, config.weight_decay),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            fused=True,
        )
        self.precision = self._precision()
        state, passed = checkpoint.latest_state(out / "state", LOGS)
        for sentence in passed:
            warnings.warn(f"{sentence} An older one is used.", stacklevel=4)
        self.step = state.step if state else 0
        self.log: list[dict[str, Any]] = state.tables["train_log"].to_dicts() if state else []
        self.speed: list[dict[str, Any]] = state.tables["speed"].to_dicts() if state else []
        if state:
            checkpoint.restore(self.model, self.optimizer, state)
        self.optimizer_ready: Any
        call = prepare(self.model, self.precision)
        self.call, self.optimizer_ready = accelerator.prepare(call, self.optimizer)
        self.tick = (time.perf_counter(), self.step)

    def _precision(self) -> Precision:
        """The choice recorded in the manifest; the main process makes it if there is none yet."""
        known = [self.manifest.values.get("precision")]
        if known[0] is None and self.accelerator.is_main_process:
            steps, pad = self.packed.steps, self.packed.pad
            known[0] = choose(self.model, self._rows(1)[0], pad, steps, self.config).plain()
            self.manifest.add(precision=known[0])
        return Precision(**broadcast_object_list(known)[0])

    def _rows(self, step: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """This process's share of the step's batch: [sequences, context + 1], and its weights."""
        share = self.config.batch_size // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        rows = self.packed.batch(step)[first : first + share]
        device = self.accelerator.device
        if self.injector is None:
            return torch.from_numpy(rows).to(device), None
        found = self.injector.rows(step - 1, range(first, first + share), rows)
        tokens = torch.from_numpy(found.tokens).to(device)
        if not self.injector.weighted:
            return tokens, None
        return tokens, torch.from_numpy(found.loss_weight).to(device)

    def _write_plan(self, injector: Injector, dose: pl.DataFrame) -> None:
        if self.accelerator.is_main_process:
            write_parquet(injector.plan, self.out / "inject_plan.parquet")
            write_parquet(dose, self.out / "inject_dose.parquet")

    def go(
        self, stopped: threading.Event, progress: Progress | None, on_step: Sequence[Hook]
    ) -> None:
        """Train to the last step, saving on the way."""
        total = self.packed.steps
        due = set(checkpoint_steps(total, self.config.checkpoints))
        if self.step == 0:
            self._save(checkpoint_too=True)
        while self.step < total:
            self._update()
            for hook in on_step:
                hook(self.step, int(self.tokens[self.step]), self.model)
            if self.step in due or self.step % self.config.state_every == 0 or stopped.is_set():
                self._save(checkpoint_too=self.step in due)
            if progress:
                progress(self.step, total, "training")
            if stopped.is_set():
                raise KeyboardInterrupt
        self._write_tables()

    def _update(self) -> None:
        """One optimiser step."""
        step, total = self.step + 1, self.packed.steps
        rate = learning_rate(step, total, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        n_tokens = int(self.tokens[step] - self.tokens[step - 1])
        # Gradients are averaged over processes, so each one's sum is scaled up by their number.
        scale = self.accelerator.num_processes / n_tokens
        precision = self.precision.torch_dtype
        rows, weights = self._rows(step)
        loss = batch_loss(self.call, rows, self.packed.pad, precision, weights) * scale
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer_ready.step()
        self.optimizer_ready.zero_grad(set_to_none=True)
        self.step = step
        if step % self.config.log_every == 0 or step in (1, total):
            self._log(loss.detach(), float(norm), rate)

    def _log(self, loss: torch.Tensor, norm: float, rate: float) -> None:
        now, (then, since) = time.perf_counter(), self.tick
        tokens = int(self.tokens[self.step])
        mean = float(self.accelerator.reduce(loss, "mean"))
        row = {"step": self.step, "tokens": tokens, "loss": mean, "lr": rate, "grad_norm": norm}
        rate_row = {
            "step": self.step,
            "seconds": now - then,
            "tokens_per_second": (tokens - int(self.tokens[since])) / (now - then),
        }
        self.log.append(row)
        self.speed.append(rate_row)
        self.tick = (now, self.step)

    def _save(self, *, checkpoint_too: bool) -> None:
        if not self.accelerator.is_main_process:
            return
        if checkpoint_too:
            checkpoint.save_checkpoint(
                self.out / "checkpoints",
                self.model,
                self.out / "tokenizer",
                self.step,
                int(self.tokens[self.step]),
            )
        tensors = checkpoint.gather(self.model, self.optimizer)
        checkpoint.save_state(
            self.out / "state", checkpoint.State(self.step, tensors, self._tables())
        )
        self._write_tables()

    def _write_tables(self) -> None:
        if self.accelerator.is_main_process:
            for name, frame in self._tables().items():
                write_parquet(frame, self.out / f"{name}.parquet")

    def _tables(self) -> dict[str, pl.DataFrame]:
        logs = (self.log, self.speed)
        return {table.name: table.build(rows) for table, rows in zip(LOGS, logs, strict=True)}
