"""Ways in which two processes of a Trainer read rows with passages: right ones, and wrong ones."""

from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader
from trainer_runs import BACKGROUND, InOrder, Run, injector
from transformers import Trainer

from polylore.training.injection.trainer import InjectedDataset, collate


class Undivided(InOrder):
    """Every process reads the same rows."""

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_dataset, batch_size=2, collate_fn=collate)


class Turned(InOrder):
    """The processes divide the rows, but read them from the last to the first."""

    def _get_train_sampler(self, train_dataset=None):
        return list(reversed(range(len(BACKGROUND))))


def _two(
    folder: Path, *, per_device: int = 2, weight: float = 1.0, resume: str = "", **options
) -> Run:
    parts = {"gradient_accumulation_steps": 2 // per_device, "ddp_backend": "gloo"}
    run = Run(folder, injector(weight), per_device=per_device, **parts | options)
    run.go_on = {"resume_from_checkpoint": str(folder.parent / resume)} if resume else {}
    return run


_MAPPED = {"kind": InjectedDataset, "trainer": InOrder}
WAYS = {
    "stream": _two,
    "stream in parts": partial(_two, per_device=1),
    "stream read by each": partial(_two, accelerator_config={"dispatch_batches": False}),
    "weighted": partial(_two, per_device=1, weight=0.25),
    "mapped": partial(_two, **_MAPPED, save_strategy="steps", save_steps=2),
    "mapped in parts": partial(_two, per_device=1, **_MAPPED),
    "mapped, handed out": partial(_two, **_MAPPED, accelerator_config={"dispatch_batches": True}),
    "resumed": partial(_two, **_MAPPED, resume="mapped/checkpoint-2"),
    "shuffled": partial(_two, kind=InjectedDataset, trainer=Trainer),
    "undivided": partial(_two, kind=InjectedDataset, trainer=Undivided),
    "turned": partial(_two, kind=InjectedDataset, trainer=Turned),
    "split": partial(_two, **_MAPPED, accelerator_config={"split_batches": True}),
    "too many": partial(_two, gradient_accumulation_steps=2),
    "wrapped": partial(_two, **_MAPPED, max_steps=7),
    "restarted": partial(_two, **_MAPPED, resume="mapped/checkpoint-2", ignore_data_skip=True),
}
