"""What decides the weights of a training, kept in its folder from its beginning.

A folder whose training was decided by anything else is refused, so no arm gets another one's
weights: not if it was changed, nor if it was taken out of a configuration and put back changed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polylore.config import difference, digest
from polylore.errors import DataError, RunError
from polylore.files import read_json, write_json
from polylore.runs import RunFolder
from polylore.studies.align.arms.tree import Node, ancestors

NAME = "identity.json"


def identity_of(run: RunFolder, node: Node, seed: int, nodes: Sequence[Node]) -> dict[str, Any]:
    """All that decides a training before it begins: the run, the seed, its arm and those before."""
    stages = [one for one in (node, *ancestors(node, nodes)) if one.arm is not None]
    return {
        "run": digest([run.manifest["config"], run.manifest["inputs"]]),
        "seed": seed,
        "source": node.source,
        "targets": list(node.targets),
        "arms": {
            one.name: one.arm.plain() | {"kind": one.kind} for one in stages if one.arm is not None
        },
    }


def refuse_other(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse the folder of another training; one that is not there yet is nobody's.

    Args:
        folder: of the training.
        identity: of `identity_of`; with `start`, the hash of the weights that it goes on from, once
            they are there.

    Raises:
        RunError: what it was trained as differs, or is not known.
    """
    if not folder.is_dir():
        return
    known = _known(folder)
    if known is None:
        raise RunError(
            f"{folder / NAME}, which says what was trained there, is missing or damaged; delete "
            f"{folder} to train it again."
        )
    there = {name: known.get(name) for name in identity}
    changes = difference(there, identity)
    if changes:
        raise RunError(
            f"{folder} was trained as another arm {next(iter(identity['arms']), 'start')} "
            f"({'; '.join(changes[:5])}); give the arm another name, or choose another folder with "
            "--out."
        )


def _known(folder: Path) -> dict[str, Any] | None:
    """What a folder was trained as; None if nothing there says so."""
    try:
        known = read_json(folder / NAME)
    except DataError:
        return None
    return known if isinstance(known, dict) else None


def keep(folder: Path, identity: dict[str, Any]) -> None:
    """Write the identity, before anything else is."""
    if not (folder / NAME).is_file():
        write_json(identity, folder / NAME)
