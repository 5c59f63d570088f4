"""Without the published data their tests are skipped, and say so (`align`, section 9.7)."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_skipped_tests_name_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "tests"
    (folder / "align").mkdir(parents=True)
    shutil.copy(HERE.parent / "conftest.py", folder)
    for name in ("conftest.py", "test_published.py"):
        shutil.copy(HERE / name, folder / "align")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-q", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        cwd=folder.parent,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shared/published" in done.stdout
    assert "not on this machine" in done.stdout
    assert "passed" not in done.stdout.splitlines()[-1]
    assert "skipped" in done.stdout.splitlines()[-1]
