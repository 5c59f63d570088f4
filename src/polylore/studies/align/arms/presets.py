"""The built-in runs: YAML files whose first line says what they are for."""

from collections.abc import Iterator
from pathlib import Path

from polylore.errors import ConfigError

_FOLDER = Path(__file__).parent / "presets"


def built_in() -> Iterator[tuple[str, str]]:
    """Name and purpose of every built-in run."""
    for path in sorted(_FOLDER.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        yield path.stem, first.removeprefix("#").strip()


def config_file(study: str) -> str:
    """The YAML file of a built-in run, by its name or as presets/NAME.yaml, or one's own.

    Raises:
        ConfigError: it is none of these.
    """
    path = Path(study)
    own = _FOLDER / f"{path.stem}.yaml"
    if study.endswith((".yaml", ".yml")) and (path.is_file() or path.parent.name != "presets"):
        return study
    if not own.is_file():
        names = ", ".join(name for name, _ in built_in())
        raise ConfigError(f"There is no built-in run {study}; choose {names}, or give a YAML file.")
    return str(own)
