"""The processes that share a run: one, several with a copy of the model each, or with parts of it.

Started by hand there is one; under a launcher that says how many there are (torchrun, accelerate),
all of them.
"""

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from polylore.corpus.injection.format import Tokens
from polylore.errors import ConfigError

PATIENCE = timedelta(days=30)
"""How long processes wait for one that works alone; one that dies ends the others' wait at once."""


def wait() -> None:
    """Wait for all other processes, however long one of them works alone.

    Exchanges of gradients time out after minutes, so that a process that hangs is noticed. One that
    asks the model or writes its weights may take hours, so the others wait for it apart from them.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        torch.distributed.barrier(group=_patient())


@cache
def _patient() -> Any:
    """The same processes, waiting on their CPUs; all of them must come here together."""
    return torch.distributed.new_group(backend="gloo", timeout=PATIENCE)


class Processes:
    """This process among all that share the run."""

    def __init__(self, *, shard: bool) -> None:
        # Told that there is no accelerator, `accelerate` also shares work among CPU processes.
        self.accelerator = Accelerator(
            mixed_precision="no", cpu=not torch.accelerator.is_available()
        )
        self.rank = int(self.accelerator.process_index)
        self.world = int(self.accelerator.num_processes)
        self.device: torch.device = self.accelerator.device
        self.sharded = shard and self.world > 1
        """Whether weights are spread over processes."""

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait for all others (`wait`)."""
        wait()

    def place(self, model: Any) -> Any:
        """Put a model where it is to be trained; returns what is to be called.

        Call it before the optimizer is made: weights that are spread are other tensors.
        """
        if self.sharded:
            return _spread(model, self.device, self.world)
        model.to(self.device)
        return model if self.world == 1 else self.accelerator.prepare_model(model)

    def alone(self, call: Any, *, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged only in the last part of a step."""
        if self.world == 1 or self.sharded or last:
            return nullcontext()
        return call.no_sync()  # type: ignore[no-any-return]

    def total(self, counts: Tokens) -> Tokens:
        """Sums over all processes."""
        if self.world == 1:
            return counts
        summed = self.accelerator.reduce(torch.from_numpy(counts).to(self.device), "sum")
        return np.asarray(summed.cpu().numpy())

    def any(self, wishes: list[bool]) -> list[bool]:
        """Whether some process has each of these wishes."""
        return [bool(n) for n in self.total(np.array(wishes, dtype=np.int64))]

    def mean(self, value: torch.Tensor) -> float:
        """Mean over all processes."""
        return float(value if self.world == 1 else self.accelerator.reduce(value, "mean"))

    def share(self, batch: int, per_device: int | None) -> int:
        """Rows that a process reads at once.

        Raises:
            ConfigError: the step cannot be divided so.
        """
        rows = per_device or max(1, batch // self.world)
        if batch % (rows * self.world):
            raise ConfigError(
                f"A step of {batch} rows cannot be divided into parts of {rows} rows on "
                f"{self.world} processes; choose per_device and processes whose product divides "
                f"{batch}."
            )
        return rows


def _spread(model: Any, device: torch.device, world: int) -> Any:
    """Spread a model over the processes, layer by layer (FSDP)."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world,))
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def _layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The decoder's layers: the longest list of modules."""
    lists = [list(part) for part in model.modules() if isinstance(part, torch.nn.ModuleList)]
    return max(lists, key=lambda found: len(found), default=[])
