"""Free generation by vLLM: the same inputs, stop rules and results as `generation`.

vLLM reads the checkpoint folder itself, in a process of its own (`vllm_engine`); the model that is
already here waits on the CPU meanwhile, so the two never share a GPU's memory. Kernels and batches
are vLLM's: texts may differ from those of `generation` where two tokens are all but equally likely,
so which of the two wrote an answer is part of a run's identity.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from polylore.errors import ConfigError, ModelError
from polylore.models.answers import (
    Answer,
    Generation,
    PreparedPrompts,
    checked_caps,
    end_ids,
)
from polylore.models.loading import LanguageModel

Progress = Callable[[int, int, str], None]


def require_vllm() -> None:
    """Refuse early where vLLM is not installed.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "The backend vllm needs the package vllm; install it with `pip install "
            "'polylore[vllm]'`, or leave ask.backend at transformers."
        )


def generate_vllm(
    lm: LanguageModel,
    folder: str | Path,
    prepared: PreparedPrompts,
    *,
    max_new_tokens: Sequence[int] | int,
    stop_at_newline: bool = True,
    gpu_memory_utilization: float = 0.85,
    progress: Progress | None = None,
) -> list[Generation]:
    """Continue every prompt greedily with vLLM; the counterpart of `generate_prepared`.

    Args:
        lm: the same checkpoint in transformers: its tokenizer, context, number format and device
            are used; its weights wait on the CPU meanwhile.
        folder: the checkpoint's folder.
        prepared: the prompts, from `prepare_prompts`; vLLM is given their token ids.
        max_new_tokens: most tokens to write, for all prompts or for each.
        stop_at_newline: stop a prompt at the first newline after other text.
        gpu_memory_utilization: share of the GPU's memory that vLLM may take.
        progress: called with (prompts done, prompts in all, what).

    Returns:
        One `Generation` per prompt, in order.

    Raises:
        ConfigError: a bad cap, or vLLM is not installed.
        ModelError: another tokenizer, too long a prompt, or vLLM failed.
    """
    require_vllm()
    caps = checked_caps(lm, prepared, max_new_tokens)
    if not caps:
        return []
    show = progress or (lambda done, total, what: None)
    show(0, len(caps), "generating")
    ends = end_ids(lm)
    job = {
        "engine": {
            "model": str(folder),
            "dtype": lm.dtype,
            "max_model_len": max(len(i) + c for i, c in zip(prepared.ids, caps, strict=True)),
            "gpu_memory_utilization": gpu_memory_utilization,
            "trust_remote_code": False,
            "seed": 0,
        },
        "prompts": [{"ids": ids, "cap": cap} for ids, cap in zip(prepared.ids, caps, strict=True)],
        "ends": sorted(ends),
        "stop_at_newline": stop_at_newline,
    }
    with _parked(lm):
        written = _run(job, str(folder), lm.device)
    results = []
    for index, (cap, tokens) in enumerate(zip(caps, written, strict=True)):
        answer = Answer(lm.tokenizer, prepared, index, cap, ends, stop_at_newline)
        for token in tokens:
            if answer.accept(token):
                break
        else:
            raise ModelError(
                f"vLLM stopped after {len(tokens)} tokens of an answer of {folder} without a "
                "reason that polylore knows; leave ask.backend at transformers."
            )
        results.append(answer.result())
    show(len(caps), len(caps), "generating")
    return results


@contextmanager
def _parked(lm: LanguageModel) -> Iterator[None]:
    """Without the model's weights on its GPU."""
    if lm.device.type != "cuda":
        yield
        return
    lm.model.to("cpu")
    torch.cuda.empty_cache()
    try:
        yield
    finally:
        lm.model.to(lm.device)


def _run(job: dict[str, Any], name: str, device: torch.device) -> list[list[int]]:
    """Do a job in a fresh process.

    Raises:
        ModelError: it failed; with what it said last.
    """
    with TemporaryDirectory(prefix="polylore-vllm-") as folder:
        paths = [Path(folder) / part for part in ("job.json", "result.json", "log.txt")]
        paths[0].write_text(json.dumps(job), "utf-8")
        module = "polylore.models.vllm_engine"
        command = [sys.executable, "-m", module, *map(str, paths[:2])]
        with paths[2].open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(device)
            )
            try:
                process.wait()
            finally:
                process.kill()
                process.communicate()
        if paths[1].is_file():
            found = json.loads(paths[1].read_text("utf-8"))
        else:
            lines = paths[2].read_text("utf-8", errors="replace").strip().splitlines()
            found = {"error": lines[-1] if lines else "it ended without a word"}
    if "error" in found:
        raise ModelError(
            f"vLLM could not continue the prompts with {name} ({found['error'].rstrip('.')}); "
            "lower execution.gpu_memory_utilization if memory ran out, or set ask.backend to "
            "transformers."
        )
    tokens: list[list[int]] = found["tokens"]
    return tokens


def _environment(device: torch.device) -> dict[str, str]:
    """This process's own, with its import path, and only the GPU that is ours."""
    own = dict(os.environ)
    own["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if device.type == "cuda" and device.index is not None:
        visible = [n.strip() for n in own.get("CUDA_VISIBLE_DEVICES", "").split(",") if n.strip()]
        own["CUDA_VISIBLE_DEVICES"] = visible[device.index] if visible else str(device.index)
    return own
