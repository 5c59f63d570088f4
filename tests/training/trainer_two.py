"""One of two processes of a Trainer: python trainer_two.py RANK STORE OUT."""

import json
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))


def main(rank: int, store: str, out: Path) -> None:
    """Train in every way, and write what this process saw."""
    words = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "unused"}
    os.environ.update({name: str(value) for name, value in words.items()})
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    from trainer_ways import WAYS

    from polylore.errors import PolyloreError

    for name, way in WAYS.items():
        run = way(out / name)
        before, error = run.weights().clone(), None
        try:
            run.train(**run.go_on)
        except PolyloreError as found:
            error = f"{type(found).__name__}: {found}"
        after = run.weights()
        told = {
            "seen": run.seen,
            "error": error,
            "moved": not torch.equal(before, after),
            "weights": after.tolist(),
        }
        (out / f"{name}-{rank}.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
