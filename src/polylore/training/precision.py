"""Threads, number format, attention code and compilation, measured on the actual model and batch.

bfloat16 is fast on processors that multiply it natively and slow elsewhere; compiling costs about a
minute and gains about a third, so it pays only for jobs of some length; where others use the
machine too, several threads wait for each other and can be many times slower than one. None of
this is worth guessing.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from polylore.errors import ConfigError
from polylore.training import machine
from polylore.training.config import TrainConfig
from polylore.training.model import batch_loss

LONG_JOB = 300.0
"""Seconds of predicted training from which on `compile: auto` tries compiling."""
_ROUNDS = 4  # steps timed per candidate
_HOPELESS = 4.0  # times slower than the fastest


@dataclass(frozen=True)
class Precision:
    """How the forward and backward passes are computed."""

    dtype: str
    """float32 or bfloat16 (weights and optimizer stay float32)."""
    attention: str
    """eager or sdpa."""
    compiled: bool
    threads: int
    """CPU threads; part of the choice because sums depend on it in their last bits."""
    milliseconds: dict[str, float] = field(default_factory=dict)
    """Measured time of forward and backward pass per candidate; machine-dependent."""
    note: str = ""
    """Why it was chosen."""

    @property
    def torch_dtype(self) -> torch.dtype:
        """The number format as torch names it."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32

    def plain(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return asdict(self)


def choose(
    model: Any, rows_BT: torch.Tensor, pad: int, steps: int, config: TrainConfig
) -> Precision:
    """Measure what the configuration leaves open and take the fastest.

    The weights are not changed. Compiling is tried with the fastest of the other choices, if asked
    for or if the job is predicted to take longer than `LONG_JOB`.

    Raises:
        ConfigError: compile is "always", but the model cannot be compiled on this machine.
    """
    dtypes = ["float32", "bfloat16"] if config.precision == "auto" else [config.precision]
    attentions = ["eager", "sdpa"] if config.attention == "auto" else [config.attention]
    counts = [config.threads] if config.threads else machine.thread_choices(rows_BT.device.type)
    times: dict[str, float] = {}
    if len(counts) > 1:
        first = [Precision(dtypes[0], attentions[0], False, n) for n in counts]
        times = _measure(first, lambda p: _time(model, rows_BT, pad, p, model))
        counts = [min(first, key=lambda p: times[_name(p)]).threads]
    open_ = [Precision(dtype, kind, False, counts[0]) for dtype in dtypes for kind in attentions]
    if len(open_) > 1 or config.compile == "auto":
        times |= _measure(open_, lambda p: _time(model, rows_BT, pad, p, model))
    best = min(open_, key=lambda p: times.get(_name(p), 0.0))
    predicted = times.get(_name(best), 0.0) * steps
    note = f"fastest of {len(open_)}" if len(open_) > 1 else "as configured"
    compiled = False
    if config.compile == "always" or (config.compile == "auto" and predicted > LONG_JOB):
        compiled, why = _try_compile(model, rows_BT, pad, best, times, config.compile == "always")
        note += f"; {why}"
    elif config.compile == "auto":
        note += f"; not compiled, since the job was predicted to take {predicted:.0f} s only"
    milliseconds = {name: round(1000 * seconds, 2) for name, seconds in times.items()}
    return replace(best, compiled=compiled, milliseconds=milliseconds, note=note)


def prepare(model: Any, precision: Precision) -> Callable[..., Any]:
    """Apply the choice: the model itself, or its compiled form."""
    model.set_attn_implementation(precision.attention)
    return torch.compile(model) if precision.compiled else model


def _name(precision: Precision) -> str:
    name = f"{precision.dtype}-{precision.attention}-threads{precision.threads}"
    return name + "-compiled" * precision.compiled


def _measure(open_: list[Precision], timed: Callable[[Precision], float]) -> dict[str, float]:
    """Shortest time per candidate.

    Rounds are interleaved so that a busy moment hits all candidates; one that is hopeless in the
    first round (many threads on a busy machine, emulated bfloat16) is not timed again.
    """
    timed(open_[0])  # the very first pass also sets things up
    times = {_name(p): [timed(p)] for p in open_}
    limit = _HOPELESS * min(first for (first,) in times.values())
    for _ in range(_ROUNDS - 1):
        for precision in open_:
            if times[_name(precision)][0] <= limit:
                times[_name(precision)].append(timed(precision))
    return {name: min(values) for name, values in times.items()}


def _time(model: Any, rows_BT: torch.Tensor, pad: int, precision: Precision, call: Any) -> float:
    model.set_attn_implementation(precision.attention)
    with machine.threads(precision.threads):
        start = time.perf_counter()
        loss: Any = batch_loss(call, rows_BT, pad, precision.torch_dtype)
        loss.backward()
        if rows_BT.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    model.zero_grad(set_to_none=True)
    return seconds


def _try_compile(
    model: Any,
    rows_BT: torch.Tensor,
    pad: int,
    best: Precision,
    times: dict[str, float],
    required: bool,
) -> tuple[bool, str]:
    model.set_attn_implementation(best.attention)
    compiled = replace(best, compiled=True)
    try:
        call = torch.compile(model)
        first = _time(model, rows_BT, pad, compiled, call)
        times |= _measure([compiled], lambda p: _time(model, rows_BT, pad, p, call))
    except Exception as error:  # the compiler and its C++ tool chain fail in many ways
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no message"
        if required:
            raise ConfigError(
                f"compile is 'always', but compiling failed ({type(error).__name__}: {reason}); "
                "install a C++ compiler or set compile to never."
            ) from error
        return False, f"not compiled, compiling failed ({type(error).__name__})"
    if required or times[_name(compiled)] < times[_name(best)]:
        return True, f"compiled, which took {first:.0f} s"
    return False, "not compiled, it was no faster"
