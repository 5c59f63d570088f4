"""The built-in studies: YAML files whose first line says what they are for."""

from collections.abc import Iterator
from pathlib import Path

from polylore.errors import ConfigError

_FOLDER = Path(__file__).parent / "built_in"


def built_in() -> Iterator[tuple[str, str]]:
    """Name and purpose of every built-in study."""
    for path in sorted(_FOLDER.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        yield path.stem, first.removeprefix("#").strip()


def study_file(study: str) -> Path:
    """The YAML file of a built-in study, or one's own.

    Raises:
        ConfigError: it is neither.
    """
    if study.endswith((".yaml", ".yml")):
        return Path(study)
    names = [name for name, _ in built_in()]
    if study not in names:
        raise ConfigError(
            f"There is no built-in study {study}; choose {', '.join(names)}, or give a YAML file."
        )
    return _FOLDER / f"{study}.yaml"
