"""Where continued training begins: which weights, at which step, and with whose optimizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polylore.errors import ModelError
from polylore.files import read_json, read_parquet
from polylore.models.fingerprint import fingerprint, weight_hash
from polylore.models.resolve import resolve
from polylore.models.store import Source, Store
from polylore.training.checkpoint import step_name
from polylore.training.config import TrainConfig
from polylore.training.schedule import learning_rate


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint was trained, as far as that is known."""

    learning_rate: float | None = None
    """Rate of its last update."""
    beta1: float | None = None
    beta2: float | None = None
    eps: float | None = None
    weight_decay: float | None = None
    clip: float | None = None


@dataclass(frozen=True)
class Start:
    """A checkpoint to go on from."""

    folder: Path
    """An ordinary `from_pretrained` folder."""
    step: int
    """Its step; 0 if that is unknown."""
    tokens: int | None
    """Tokens it has read, if known."""
    digest: str
    """Fingerprint of its weights, whatever files they lie in."""
    source: str
    """What the caller named."""
    optimizer: Path | None = None
    """State of its optimizer: a state folder of polylore, a safetensors file or optimizer.pt."""
    made: int | None = None
    """Updates that this optimizer has made, if known."""
    recipe: Recipe = Recipe()
    """How it was trained."""


def open_start(
    source: str | Path,
    *,
    revision: str | int | None = None,
    optimizer: str | Path | None = None,
    cache_dir: str | None = None,
) -> Start:
    """Find the checkpoint to go on from; of a series the last one, unless another is named.

    Args:
        source: a model folder, a folder of a training run of polylore (from scratch or continued)
            or one of its checkpoints, any folder of checkpoints, or a repository of the hub, whose
            files are fetched into the hub's cache and stay there.
        revision: step or name of the checkpoint within a series.
        optimizer: state of the optimizer, if it lies elsewhere: `*.safetensors` with moments by
            the names of weights, or `optimizer.pt` of torch, of which only tensors are read.
        cache_dir: the hub's cache, if not the usual one.

    Raises:
        ModelError: no such checkpoint or optimizer state, or damaged weights.
        ConfigError: a revision that cannot be meant.
    """
    schedule: Any = "all" if revision is None else [revision]
    rows = resolve(str(source), schedule=schedule, duplicates="keep", cache_dir=cache_dir).chosen
    row = rows.row(-1, named=True)
    folder = Path(row["path"]) if row["path"] else _fetch(row, cache_dir)
    found = Start(
        folder=folder,
        step=int(row["step"] or 0),
        tokens=row["tokens"],
        digest=row["weight_hash"] or weight_hash(fingerprint(folder)),
        source=str(source),
    )
    found = _with_optimizer(found)
    if optimizer is None:
        return found
    if not Path(optimizer).is_file():
        raise ModelError(f"There is no optimizer state {optimizer}.")
    return Start(**vars(found) | {"optimizer": Path(optimizer), "made": None})


def _fetch(row: dict[str, Any], cache_dir: str | None) -> Path:
    with Store(cache_dir, keep=True).open(Source.of(row)) as folder:
        return folder


def _with_optimizer(start: Start) -> Start:
    """The start with the optimizer that lies beside it, and how it was trained."""
    run = start.folder.resolve().parent.parent
    manifest = _manifest(run)
    if manifest.get("kind") == "training":
        config = TrainConfig.parse(manifest["config"], f"{run}/manifest.json")
        rate = learning_rate(start.step, int(manifest["steps"]), config) if start.step else None
        known = {name: getattr(config, name) for name in _SETTINGS if name != "eps"}
        return _beside(start, run, start.step, start.step, Recipe(rate, eps=1e-8, **known))
    if manifest.get("kind") == "continued":
        t = int(read_json(start.folder / "polylore.json")["t"])
        known = {name: manifest["optimizer"][name] for name in _SETTINGS}
        recipe = Recipe(_last_rate(run, t), **known)
        return _beside(start, run, t, int(manifest["optimizer"]["made"]) + t, recipe)
    for name in ("optimizer.safetensors", "optimizer.pt"):
        if (start.folder / name).is_file():
            return Start(**vars(start) | {"optimizer": start.folder / name})
    return start


_SETTINGS = ("beta1", "beta2", "eps", "weight_decay", "clip")


def _beside(start: Start, run: Path, at: int, made: int, recipe: Recipe) -> Start:
    """The state of a run of polylore, if the one that belongs to the checkpoint was kept."""
    state = run / "state" / step_name(at)
    there = made > 0 and (state / "state.json").is_file()
    found: dict[str, Any] = {"recipe": recipe}
    if there:
        found |= {"optimizer": state, "made": made}
    return Start(**vars(start) | found)


def _last_rate(run: Path, t: int) -> float | None:
    rates: Sequence[float] = (
        read_parquet(run / "updates.parquet").filter(t=t)["lr"].to_list() if t else []
    )
    return rates[0] if rates else None


def _manifest(run: Path) -> dict[str, Any]:
    path = run / "manifest.json"
    values = read_json(path) if path.is_file() else None
    return values if isinstance(values, dict) else {}
