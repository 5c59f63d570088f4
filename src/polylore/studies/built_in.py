"""Configurations that come with polylore: YAML files whose first line says what they are for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polylore.errors import ConfigError


@dataclass(frozen=True)
class BuiltIn:
    """The built-in configurations of a study."""

    what: str
    """What one of them is, in a word."""
    folder: Path

    def purposes(self) -> Iterator[tuple[str, str]]:
        """Name and purpose of each."""
        for path in sorted(self.folder.glob("*.yaml")):
            first = path.read_text(encoding="utf-8").splitlines()[0]
            yield path.stem, first.removeprefix("#").strip()

    def file(self, study: str) -> str:
        """The YAML file of a built-in one, by its name or as presets/NAME.yaml, or one's own.

        Raises:
            ConfigError: it is none of these.
        """
        path = Path(study)
        if study.endswith((".yaml", ".yml")) and (path.is_file() or path.parent.name != "presets"):
            return study
        names = [name for name, _ in self.purposes()]
        if path.stem not in names:
            raise ConfigError(
                f"There is no built-in {self.what} {study}; choose {', '.join(names)}, "
                "or give a YAML file."
            )
        return str(self.folder / f"{path.stem}.yaml")


_HERE = Path(__file__).parent
ALIGN_RUNS = BuiltIn("run", _HERE / "align" / "arms" / "presets")
INJECT_STUDIES = BuiltIn("study", _HERE / "inject" / "presets")
UNIFY_SWEEPS = BuiltIn("sweep", _HERE / "unify" / "presets")
