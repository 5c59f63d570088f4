"""The acceptance experiments, which tests do not run, can at least be started."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "acceptance").rglob("*.py")
    if not path.name.startswith("__")
)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    importlib.import_module(module)


def test_the_script_runs_them_all() -> None:
    script = (ROOT / "acceptance" / "run.sh").read_text("utf-8")
    called = {line.split()[1] for line in script.splitlines() if line.strip().startswith("try ")}
    programs = {
        path.parent.name if path.name == "__main__.py" else path.stem
        for path in (ROOT / "acceptance").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text("utf-8")
    }
    # One needs packages that users must ask for, one the run folders of designs given up.
    assert called == programs - {"realmodel", "tried"}
