"""Recompute the published form of `inject` from logs of probes (specification, section 9.3 to 9.6).

A log has one array per depth: items x probes x states, mean loss of the target in nats per token.
Which item is in which scenario, and when it was injected, is the published plan. No model takes
part.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from polylore.errors import DataError
from polylore.facts.people.published import N_ITEMS, N_PROBES, SCENARIOS
from polylore.files import sha256_file, write_json
from polylore.metrics.index import Array
from polylore.metrics.injection import crossfit, published
from polylore.metrics.injection.kernel import Mean, fit
from polylore.metrics.injection.kernel_by_exposure import fit_by_exposure
from polylore.metrics.injection.resample import ones
from polylore.metrics.injection.trajectories import Cell, Items

DEPTHS = ("mem", "gen", "gen_hard")
WINDOW, INTERVAL, INJECTIONS = 50, 100, 10
CURVE = 60
"""Lags 0 to 59 of the mean retainability are written."""
PRESETS = {"iqr_2.0": "repo", "iqr_1.5": "paper"}
STAGES = {
    "69181570c9a94874c314e0c6d54cdd06cb34c47313922ebb3ed41f7ca2fdcd50": "40000",
    "80fe04a4c0ae54f5681a7503840ab300796bc9bb72b07ce646c7db74f8d512bb": "113000",
    "a0da7b1650cb8d3a25147900d3fb97c028ed8f2c352056532c6a4f2b79c30a89": "339000",
}
"""Step of the checkpoint that a published log starts from, by the file's SHA-256."""
_PIECE = 1 << 22
_LARGEST_STATE = 1 << 27
Progress = Callable[[int, int, str], None]


def reproduce_inject(log: str | Path, out: str | Path) -> dict[str, Any]:
    """Write both published presets and the default form of a log in NumPy's format.

    Args:
        log: arrays `mem`, `gen` and `gen_hard`, [130 items, 5 probes, states].
        out: JSON file to write. `iqr_2.0` and `iqr_1.5` have the structure of the published golden
            file, an x-intercept being null where the line does not fall; `lines` holds errors, R^2,
            kept values and untrimmed means; `controls` the never-injected items; `default` the
            corrected form.

    Returns:
        What was written.

    Raises:
        DataError: the file is missing or breaks its layout.
    """
    result = _analysed(_read_npz(Path(log)))
    write_json(result, out)
    return result


def reproduce_published_logs(
    folder: str | Path, out: str | Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the same for every per-step log of a folder, by stage.

    Args:
        folder: the per-step logs as JSON files; they are read state by state.
        out: JSON file to write: `stages`, and `table`, which has the decay constants in the order
            of the paper's main table (scenario, depth, stage): published, by the kernel with one
            gain for all exposures, and by the one with a gain for each.
        progress: called with (done, total, what).

    Raises:
        DataError: there is no log, or one breaks its layout.
    """
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        raise DataError(f"{folder} holds no per-step log (*.json).")
    stages = {}
    for done, path in enumerate(files):
        if progress:
            progress(done, len(files), f"reading {path.name}")
        stages[STAGES.get(sha256_file(path), path.stem)] = _analysed(_read_states(path))
    if progress:
        progress(len(files), len(files), "logs")
    table = [
        {"scenario": arm, "depth": depth, "stage": stage}
        | {name: found[name][f"{arm}/{depth}"]["decay_constant"] for name in PRESETS}
        | {
            name: found["default"][f"{arm}/{depth}"][of]
            for name, of in (("default", "a_kernel"), ("by_exposure", "a_by_exposure"))
        }
        for arm in ("duplication", "paraphrase")
        for depth in DEPTHS
        for stage, found in stages.items()
    ]
    result = {"table": table, "stages": stages}
    write_json(result, out)
    return result


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except (ValueError, OSError, BadZipFile, EOFError) as error:
        raise DataError(f"{path} is not a readable .npz file of plain arrays ({error}).") from error
    return _checked({depth: arrays.get(depth) for depth in DEPTHS}, path)


def _checked(arrays: Mapping[str, Array | None], path: Path) -> dict[str, Array]:
    found = {}
    for depth, values in arrays.items():
        if values is None:
            raise DataError(f"{path} lacks the array {depth}.")
        if values.ndim != 3 or values.shape[:2] != (N_ITEMS, N_PROBES) or values.dtype.kind != "f":
            raise DataError(
                f"{path}: {depth} must hold numbers of {N_ITEMS} items x {N_PROBES} probes x "
                f"states, not {values.dtype} {values.shape}."
            )
        found[depth] = np.asarray(values, dtype=np.float64)
    lengths = {values.shape[2] for values in found.values()}
    needed = INTERVAL * (INJECTIONS - 1) + WINDOW + 3
    if len(lengths) != 1 or min(lengths) < needed:
        raise DataError(
            f"{path} must hold equally many states of every depth, at least {needed}; it has "
            f"{', '.join(map(str, sorted(lengths)))}."
        )
    return found


def _read_states(path: Path) -> dict[str, Array]:
    """A published per-step log: a list of states, read one by one."""
    columns: dict[str, list[Array]] = {depth: [] for depth in DEPTHS}
    steps: list[int] = []
    for n, state in enumerate(_states(path)):
        where = f"{path}, state {n}"
        if not isinstance(state, dict) or not isinstance(state.get("step"), int):
            raise DataError(f"{where} must be an object with a whole number `step`.")
        steps.append(state["step"])
        for depth in DEPTHS:
            try:
                values = np.array(state[f"{depth}_target"], dtype=np.float64)
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(f"{where} has no numbers {depth}_target.") from error
            if values.shape != (N_ITEMS, N_PROBES):
                raise DataError(f"{where}: {depth}_target must be {N_ITEMS} x {N_PROBES}.")
            columns[depth].append(values)
    gaps = sorted(set(range(steps[0], steps[-1] + 1)) - set(steps)) if steps else []
    if gaps or steps != sorted(set(steps)):
        shown = ", ".join(map(str, gaps[:10])) or "order"
        raise DataError(f"{path} must hold every state once, in order; it lacks {shown}.")
    stacked = {d: np.stack(v, axis=2) if v else None for d, v in columns.items()}
    return _checked(stacked, path)


def _states(path: Path) -> Iterator[Any]:
    """Elements of a JSON list, one after the other: half a gigabyte is never held as a whole."""
    decoder = json.JSONDecoder()
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_PIECE).lstrip()
            if not text.startswith("["):
                raise DataError(f"{path} must be a JSON list of states.")
            text = text[1:]
            while True:
                text = text.lstrip().removeprefix(",").lstrip()
                if text.startswith("]"):
                    return
                try:
                    value, end = decoder.raw_decode(text)
                except json.JSONDecodeError as error:
                    more = stream.read(_PIECE)
                    if not more or len(text) > _LARGEST_STATE:
                        raise DataError(f"{path} is not valid JSON ({error}).") from error
                    text += more
                    continue
                yield value
                text = text[end:]
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}).") from error


def _cells(losses: Mapping[str, Array]) -> Iterator[tuple[str, Cell]]:
    """The nine cells of the published plan: (name, cell)."""
    every = INTERVAL * np.arange(INJECTIONS)
    for arm in ("paraphrase", "duplication", "once"):
        for depth, loss in losses.items():
            times = every[:1] if arm == "once" else every
            cell = Cell(
                {"arm": arm, "depth": depth},
                np.arange(loss.shape[2]),
                _items(loss, SCENARIOS[arm], times),
                _items(loss, SCENARIOS["never"], every[:0]),
                {"": (int(every[0]), int(every[-1]))},
            )
            yield f"{arm}/{depth}", cell


def _items(loss: Array, places: range, times: Array) -> Items:
    y = -loss[places.start : places.stop]
    names = tuple(map(str, places))
    return Items(
        y.reshape(-1, loss.shape[2]),
        np.repeat(np.arange(len(places)), N_PROBES),
        names,
        ("",) * len(names),
        np.tile(times, (len(names), 1)),
    )


def _analysed(losses: Mapping[str, Array]) -> dict[str, Any]:
    result: dict[str, Any] = {name: {} for name in PRESETS}
    result |= {"lines": {name: {} for name in PRESETS}, "default": {}}
    for name, cell in _cells(losses):
        peaks = published.find_peaks(cell, cell.injected, WINDOW)
        last = published.horizon(cell, WINDOW)
        kept = published.retained(cell, cell.injected, peaks, last)
        for preset, factor in ((k, published.FACTORS[v]) for k, v in PRESETS.items()):
            curve = published.mean_curve(kept.share_QL, factor)
            line = published.semilog(curve)
            value, dropped = published.trimmed_mean(peaks.gain_QN.ravel(), factor)
            result[preset][name] = {
                "effectivity": value,
                "retainability": curve[:CURVE].tolist(),
                "decay_constant": line.a,
                "x_intercept_log10": _or_none(line.x_intercept_log10),
            }
            result["lines"][preset][name] = {
                "intercept": line.intercept,
                "r2": _or_none(line.r2),
                "naive_se": _or_none(line.naive_se),
                "horizon": last,
                "values": int(peaks.gain_QN.size),
                "kept": int(peaks.gain_QN.size - dropped),
                "untrimmed": float(peaks.gain_QN.mean()),
            }
        result["default"][name] = _default(cell)
    result["controls"] = _controls(losses)
    return result


def _or_none(value: float) -> float | None:
    return None if value != value else value


def _default(cell: Cell) -> dict[str, Any]:
    gains = crossfit.Gains.of(cell, WINDOW)
    weights = ones(cell)
    effect = crossfit.effectivity(gains, weights)
    lags = np.arange(min(CURVE, published.horizon(cell, WINDOW) + 1))
    kept = crossfit.retention(gains, weights, lags)
    mean = Mean(gains, WINDOW)
    kernel = fit(mean, weights)
    own = kernel.a if kernel else None  # of one exposure both kernels are the same
    if kernel and cell.injected.times_JN.shape[1] > 1:
        own = float(fit_by_exposure(mean, weights, mean.curve(weights)).a_D[0])
    return {
        "effectivity": float(effect.value_D[0]),
        "by_exposure": effect.by_exposure_DN[0].tolist(),
        "retention": [_or_none(share) for share in kept.share_DL[0].tolist()],
        "a_kernel": kernel.a if kernel else None,
        "a_by_exposure": own,
        "gain_at_peak": kernel.gain_at_peak if kernel else None,
        "p": kernel.p if kernel else None,
        "r": kernel.r if kernel else None,
    }


def _controls(losses: Mapping[str, Array]) -> dict[str, Any]:
    """Never-injected items with ten pseudo-exposures: what no learning gives."""
    found: dict[str, Any] = {}
    for name, cell in _cells(losses):
        arm, _, depth = name.partition("/")
        if arm != "duplication":
            continue
        gains = crossfit.Gains.of_controls(cell, WINDOW)
        drawn = published.find_peaks(cell, gains.items, WINDOW).gain_QN.ravel()
        found[depth] = {
            preset: published.trimmed_mean(drawn, published.FACTORS[factor])[0]
            for preset, factor in PRESETS.items()
        } | {"default": float(crossfit.control_effectivity(gains, ones(cell))[0])}
    return found
