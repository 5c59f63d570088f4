"""Continued training: any causal language model, on any stream of rows, read on the way.

What an update reads is a function of its number, and all else that the next one depends on is in
the state. So a run that was killed and started again ends with the same weights, bit by bit, as
one that was not, on a CPU with the same number of threads.
"""

import threading
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import torch

from polylore.errors import ConfigError
from polylore.files import read_json, read_parquet, write_parquet
from polylore.models.double import unrounded
from polylore.models.live import undisturbed, unwrap
from polylore.tables import raw
from polylore.tables.continued import UPDATES
from polylore.training import checkpoint, machine
from polylore.training.code import code_digest
from polylore.training.continued.begin import Adapter, begin, check_length, load
from polylore.training.continued.config import ContinueConfig
from polylore.training.continued.processes import Processes
from polylore.training.continued.rates import rate
from polylore.training.continued.readers import Moment, Reader
from polylore.training.continued.settings import Settings, weights_format
from polylore.training.continued.start import Start, open_start
from polylore.training.continued.streams import RowStream
from polylore.training.continued.update import Diverged, Step, Updater
from polylore.training.folder import Manifest, locked, open_same
from polylore.training.interrupt import interruptible
from polylore.training.tokenizer import save_tokenizer

Progress = Callable[[int, int, str], None]
_LOGS = (UPDATES, raw.SPEED)


def continue_training(
    start: Start | str | Path,
    stream: RowStream,
    out: str | Path,
    config: ContinueConfig,
    *,
    readers: Sequence[Reader] = (),
    keep: Collection[int] | Callable[[int], bool] = (),
    adapt: Adapter | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a model on; go on where an earlier call stopped.

    Step k = 0, 1, ... of the stream makes update k + 1; state t is the model after t updates. The
    folder receives `checkpoints/step-<n>/` (n is the checkpoint's step plus t), `updates.parquet`,
    `speed.parquet`, `tokenizer/`, `manifest.json`, and `state/`, which only training itself reads.
    A finished run is left as it is. On SIGINT or SIGTERM the update is finished and saved.

    Args:
        start: the checkpoint, or where it is (`open_start`).
        stream: the rows.
        out: where to write.
        config: how to train.
        readers: what reads the model at t = 0 and later, with its weights as they are.
        keep: states that become checkpoints; the last one always does.
        adapt: what is trained in the place of all weights.
        progress: called with (updates, updates in all, what).

    Raises:
        ConfigError: settings, stream and processes that do not fit each other.
        DataError: a stream that gives other rows than it should.
        ModelError: the checkpoint or its optimizer cannot be read.
        RunError: the folder belongs to another run, is in use, damaged or cannot be written to.
        Diverged: the loss is no longer a number; everything until then is saved.
        KeyboardInterrupt: after SIGINT or SIGTERM, when everything is saved.
    """
    out = Path(out)
    begin = start if isinstance(start, Start) else open_start(start)
    if stream.steps is not None and config.updates > stream.steps:
        raise ConfigError(
            f"{config.updates} updates need more than the {stream.steps} steps of the stream; give "
            "more text or make fewer updates."
        )
    processes = Processes(shard=config.execution.shard)
    processes.share(stream.batch_size, config.execution.per_device)
    identity = {
        "config": config.identity(),
        "start": {"weights": begin.digest, "step": begin.step},
        "stream": stream.digest,
        "adapter": adapt.digest if adapt else None,
    }
    about = {"source": begin.source, "start_tokens": begin.tokens}
    with locked(out) if processes.main else nullcontext():
        if processes.main:
            _forget_unbegun(out)
        if processes.main and open_same(out, "continued", identity, about).values.get("finished"):
            return out
        processes.wait()
        manifest = open_same(out, "continued", identity)
        if processes.device.type == "cpu":
            machine.keep_large_blocks()
        own = [processes.device] if processes.device.type == "cuda" else []
        with torch.random.fork_rng(own):
            run = _Run(begin, stream, out, config, manifest, processes, adapt)
            with machine.threads(run.settings.threads), interruptible() as stopped:
                run.go(
                    stopped, readers, keep if callable(keep) else set(keep).__contains__, progress
                )
        if processes.main:
            manifest.add(finished=True, last=run.t)
    return out


def read_updates(out: str | Path) -> pl.DataFrame:
    """Table `tables.continued.UPDATES` of a run.

    Raises:
        DataError: there is none, or it is damaged.
    """
    return UPDATES.validate(read_parquet(Path(out) / "updates.parquet"))


def _forget_unbegun(out: Path) -> None:
    """Let go of a run whose settings turned out to be impossible before its first update."""
    path = out / "manifest.json"
    if path.is_file():
        values = read_json(path)
        if values.get("kind") == "continued" and "optimizer" not in values:
            path.unlink()


def _note_machine(manifest: Manifest, processes: Processes) -> None:
    """Where and by which code it is trained; a run that was resumed elsewhere names both."""
    found = manifest.values.get("machine", {})
    for name, value in (("device", processes.device.type), ("code", code_digest())):
        known = found.get(name, [])
        found = {**found, name: known if value in known else [*known, value]}
    manifest.add(machine=found)


class _Run:
    """One process's part in the training of one model."""

    def __init__(
        self,
        start: Start,
        stream: RowStream,
        out: Path,
        config: ContinueConfig,
        manifest: Manifest,
        processes: Processes,
        adapt: Adapter | None,
    ) -> None:
        self.start, self.stream, self.out, self.config = start, stream, out, config
        self.manifest, self.processes, self.adapt = manifest, processes, adapt
        self.format = weights_format(config, processes.device)
        lm = load(start, adapt, config.seed, self.format)
        check_length(stream, lm, start)
        self.tokenizer = lm.tokenizer
        if processes.main and not (out / "tokenizer").is_dir():
            save_tokenizer(lm.tokenizer, out / "tokenizer")
        self.model: Any = lm.model
        call = processes.place(self.model)
        state, passed = checkpoint.latest_state(out / "state", _LOGS)
        for sentence in passed:
            warnings.warn(f"{sentence} An older one is used.", stacklevel=4)
        self.t = state.step if state else 0
        self.log: list[dict[str, Any]] = state.tables["updates"].to_dicts() if state else []
        self.speed: list[dict[str, Any]] = state.tables["speed"].to_dicts() if state else []
        self.resumed = state is not None
        known = manifest.values.get("optimizer")
        moments: Mapping[str, torch.Tensor] | None = None
        if state and known:
            self.settings = Settings(**known)
        else:
            self.settings, moments = begin(config, start, stream, self.model, processes.device)
            if processes.main:
                manifest.add(optimizer=self.settings.plain())
        if processes.main:
            _note_machine(manifest, processes)
        self.updater = Updater(self.model, call, stream, self.settings, processes, config)
        if state:
            made = self.settings.made + state.step
            checkpoint.restore(self.model, self.updater.optimizer, state, made)
        elif moments is not None:
            checkpoint.set_moments(self.model, self.updater.optimizer, moments, self.settings.made)

    def go(
        self,
        stopped: threading.Event,
        readers: Sequence[Reader],
        keep: Callable[[int], bool],
        progress: Progress | None,
    ) -> None:
        """Train to the last update, reading and saving on the way."""
        total = self.config.updates
        for reader in readers:
            reader.resume(self.t if self.resumed else -1)
        ended = self.manifest.values.get("ended")
        if not self.resumed:
            self._burn_in(stopped, progress)
            ended = self._visit(stopped, readers, keep, first=True)
        while self.t < total and ended != self.t:
            self._update()
            ended = self._visit(stopped, readers, keep)
            if progress:
                progress(self.t, total, "training")

    def _burn_in(self, stopped: threading.Event, progress: Progress | None) -> None:
        """Let a fresh optimizer find its moments on the background, before the study begins."""
        if self.settings.mode != "fresh_burn_in":
            return
        steps, first = self.config.burn_in, self._rate(1)
        for done in range(steps):
            if self.processes.any([stopped.is_set()])[0]:
                raise KeyboardInterrupt
            self.updater.update(done - steps, first * (done + 1) / steps)
            if progress:
                progress(done + 1, steps, "burn-in")

    def _rate(self, t: int) -> float:
        config, settings = self.config, self.settings
        return rate(t, config.updates, config.rate, settings.learning_rate, self.start.step)

    def _update(self) -> None:
        begun, lr = time.perf_counter(), self._rate(self.t + 1)
        often = self.config.execution.update_norm_every or 0
        try:
            step = self.updater.update(
                self.t, lr, read_norm=bool(often) and (self.t + 1) % often == 0
            )
        except Diverged:
            self._save(checkpoint_too=True)
            raise
        self.t += 1
        self._note(step, lr, time.perf_counter() - begun)

    def _note(self, step: Step, lr: float, seconds: float) -> None:
        before = self.log[-1] if self.log else {"tokens": 0, "loss_tokens": 0, "sum_lr": 0.0}
        self.log.append(
            {
                "t": self.t,
                "global_step": self.start.step + self.t,
                "tokens": before["tokens"] + step.tokens,
                "loss_tokens": before["loss_tokens"] + step.loss_tokens,
                "lr": lr,
                "sum_lr": before["sum_lr"] + lr,
                "loss": step.loss,
                "grad_norm": step.grad_norm,
                "update_norm": step.update_norm,
            }
        )
        speed = {"step": self.t, "seconds": seconds, "tokens_per_second": step.tokens / seconds}
        self.speed.append(speed)

    def _visit(
        self,
        stopped: threading.Event,
        readers: Sequence[Reader],
        keep: Callable[[int], bool],
        *,
        first: bool = False,
    ) -> int | None:
        """Read the model and save what is due at this state; the state if a reader ends here."""
        due = [reader for reader in readers if reader.due(self.t)]
        wish = bool(self._read(due)) if due else False
        if due:
            self.processes.wait()  # only one of them may have been at work
        ends, interrupted = self.processes.any([wish, stopped.is_set()])
        if ends and self.processes.main:
            self.manifest.add(ended=self.t)
        last = ends or self.t == self.config.updates
        kept = last or keep(self.t)
        burnt = first and self.settings.mode == "fresh_burn_in"
        regular = self.t > 0 and self.t % self.config.execution.state_every == 0
        if kept or burnt or regular or interrupted:
            self._save(checkpoint_too=kept)
            self.processes.wait()
        if interrupted and not last:
            raise KeyboardInterrupt
        return self.t if ends else None

    def _read(self, readers: Sequence[Reader]) -> list[Reader]:
        """Have the model read; returns those readers that end training here."""
        model, processes = unwrap(self.model), self.processes
        moment = Moment(
            t=self.t,
            global_step=self.start.step + self.t,
            tokens=int(self.log[-1]["tokens"]) if self.log else 0,
            model=model,
            tokenizer=self.tokenizer,
            device=processes.device,
            rank=processes.rank,
            world=processes.world,
            sharded=processes.sharded,
        )
        with undisturbed(model), torch.no_grad(), unrounded(model.dtype):
            model.eval()
            return [reader for reader in readers if reader.read(moment)]

    def _save(self, *, checkpoint_too: bool) -> None:
        main, sharded = self.processes.main, self.processes.sharded
        if not (main or sharded):
            return
        tensors = checkpoint.gather(self.model, self.updater.optimizer, keep=main)
        if not main:
            return
        if checkpoint_too:
            checkpoint.save_checkpoint(
                self.out / "checkpoints",
                self._plain_model(tensors),
                self.out / "tokenizer",
                self.start.step + self.t,
                (self.start.tokens or 0) + (self.log[-1]["tokens"] if self.log else 0),
                {"t": self.t},
            )
        logs = zip(_LOGS, (self.log, self.speed), strict=True)
        tables = {table.name: table.build(rows) for table, rows in logs}
        checkpoint.save_state(self.out / "state", checkpoint.State(self.t, tensors, tables))
        for name, frame in tables.items():
            write_parquet(frame, self.out / f"{name}.parquet")

    def _plain_model(self, tensors: dict[str, torch.Tensor]) -> Any:
        """The model as it is saved."""
        model = self.model
        if self.processes.sharded:
            model = load(self.start, self.adapt, self.config.seed, self.format).model
            with torch.no_grad():
                for name, parameter in checkpoint.trainable(model):
                    parameter.copy_(tensors[f"weight/{name}"])
        if self.adapt is None or self.config.execution.adapter == "adapter":
            return model
        return self.adapt.merged(model)
