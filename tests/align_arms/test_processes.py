"""Arms that several processes of a launcher train together."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from polylore.runs import RunFolder
from polylore.studies.align.arms import study
from polylore.training.continued.loop import read_updates

SCRIPT = "import sys; from polylore.cli.main import main; sys.argv[0] = 'polylore'; main()"


def test_two_processes_train_the_same_arms_as_one(small, tmp_path: Path) -> None:
    arms = [{"name": "cpt_B", "kind": "cpt", "lang": "qab"},
            {"name": "inj", "kind": "inject", "targets": "qab"}]  # fmt: skip
    config = small(arms=arms, train={"seeds": [0]})
    alone = study.run_arms(config, tmp_path / "alone", report=False)
    (tmp_path / "launched.py").write_text(SCRIPT)
    (tmp_path / "arms.yaml").write_text(json.dumps(config.plain()))
    launch = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone",
              "--nproc-per-node", "2", str(tmp_path / "launched.py")]  # fmt: skip
    words = ["align", "run", str(tmp_path / "arms.yaml"), "--out", str(tmp_path / "two"), "--quiet",
             "--no-report"]  # fmt: skip
    done = subprocess.run([*launch, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Tables:") == 1
    two = RunFolder.load(tmp_path / "two")
    keys = ["run_id", "updates", "input_tokens", "loss_tokens", "stopped"]
    assert two.table("align_arms").select(keys).equals(alone.table("align_arms").select(keys))
    for arm in ("start", "cpt_B", "inj@qab"):
        one, other = (read_updates(run.path / "arms" / arm / "seed-0") for run in (alone, two))
        np.testing.assert_allclose(one["loss"], other["loss"], atol=1e-4)
