"""One of several processes of a run: python two_processes.py RANK WORLD STORE FOLDER OUT WAYS."""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))


class Slow:
    """Works on the first process alone, for longer than an exchange may take."""

    def due(self, t: int) -> bool:
        return t == 2

    def resume(self, t: int) -> None:
        pass

    def read(self, moment: object) -> None:
        if moment.main:  # type: ignore[attr-defined]
            time.sleep(float(os.environ["SLOW"]))


def main(rank: int, world: int, store: str, folder: str, out: str, ways: str) -> None:
    """Train the model of `folder` in each of the ways (a JSON object of configurations)."""
    words = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "unused"}
    os.environ.update({name: str(value) for name, value in words.items()})
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=float(os.environ.get("TIMEOUT", "60"))),
    )
    from small_runs import Sums, make_config, make_stream

    from polylore.training.continued.loop import continue_training

    for name, values in json.loads(ways).items():
        config = make_config(**values)
        reader = Sums(Path(out) / f"{name}.json")
        readers = [Slow()] if "SLOW" in os.environ else [reader]
        continue_training(folder, make_stream(), Path(out) / name, config, readers=readers)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
