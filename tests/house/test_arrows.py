"""The house's walls: which room may import which, and how light the front door is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import polylore

SOURCE = Path(polylore.__file__).parent
GROUND = {"tables", "text", "files", "config", "errors", "__init__"}
MAY_IMPORT = {
    "cli": {"studies", "report", "metrics", "training", "models", "corpus", "facts", "runs"},
    "studies": {"report", "metrics", "training", "models", "corpus", "facts", "runs"},
    "report": set(),
    "metrics": set(),
    "training": {"models", "corpus", "facts", "runs"},
    "models": set(),
    "corpus": {"facts"},
    "facts": set(),
    "runs": set(),
    "tables": set(),
    "text": set(),
}
TORCHLESS = {"facts", "corpus", "metrics", "tables", "report", "text", "runs"}
TORCH_FAMILY = {"torch", "transformers", "accelerate", "safetensors"}
HEAVY = {"torch", "transformers", "polars", "numpy", "pydantic", "altair", "scipy", "rich", "babel"}
HEAVY |= {"pyarrow", "fsspec", "stringzilla", "daachorse"}


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_arrows_point_one_way(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in {"__init__", "__main__"}:
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "polylore" and len(parts) > 1:
            target = parts[1]
            allowed = MAY_IMPORT.get(room, set()) | GROUND | {room, "__version__"}
            assert target in allowed, f"{room} must not import {name}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_without_models_never_import_torch(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in TORCHLESS:
        assert not {name.split(".")[0] for name in imports(path)} & TORCH_FAMILY


def heavy_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('\\n'.join(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split()) & HEAVY


def test_import_is_light() -> None:
    assert heavy_after("import polylore") == set()
    configs = "ArmsConfig", "AlignConductConfig", "AlignEvaluateConfig"
    named = heavy_after("; ".join(["import polylore", *(f"polylore.{name}" for name in configs)]))
    assert not named & TORCH_FAMILY


def test_help_is_light() -> None:
    help_ = (
        "import sys, contextlib, io; sys.argv = ['polylore', '--help']\n"
        "from polylore.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, "
        "contextlib.suppress(SystemExit):\n    main()\n"
        "assert 'trace' in out.getvalue()"
    )
    assert heavy_after(help_) == set()


def test_every_public_name_is_there() -> None:
    for name in polylore.__all__:
        assert getattr(polylore, name) is not None


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        polylore.no_such_name  # noqa: B018


def test_no_stray_room() -> None:
    rooms = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms == set(MAY_IMPORT)
