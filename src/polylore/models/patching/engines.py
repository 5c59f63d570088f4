"""Patching many prompts: which engine does it, in batches that fit into memory.

``hooks`` is the reference (see `polylore.models.patching.hooks`), ``packed`` and ``suffix`` compute
only what a patch can change. ``auto`` is the first of those that agrees with the reference on some
of the very prompts; architectures that neither can do are patched with hooks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch

from polylore.errors import DataError, ModelError
from polylore.models.forward import evaluation
from polylore.models.loading import LanguageModel
from polylore.models.memory import Budget, attempt, out_of_memory
from polylore.models.patching.blocks import Blocks
from polylore.models.patching.hooks import hooks_logits
from polylore.models.patching.onsets import checked
from polylore.models.patching.packed import Layout, packed_logits
from polylore.models.patching.prompts import PatchPrompt, check_prompts
from polylore.models.patching.read import Reading, read
from polylore.models.patching.suffix import suffix_logits
from polylore.models.patching.tail import exact_tail
from polylore.models.questions import EngineReport
from polylore.models.weights import said

Engine = Literal["auto", "packed", "suffix", "hooks"]
Progress = Callable[[int, int, str], None]
ENGINES: dict[str, Callable[..., torch.Tensor]] = {
    "packed": packed_logits,
    "suffix": suffix_logits,
    "hooks": hooks_logits,
}
"""Quickest first."""
_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
_COARSE = 0.05
"""Of half-precision formats, whose own rounding is of this size."""
SAMPLE = 4
"""Prompts that engines are compared on."""


def sweep(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors: Sequence[torch.Tensor],
    onsets: Sequence[int],
    *,
    depth: int | None = None,
    engine: str,
    token_budget: int,
    progress: Progress | None = None,
) -> list[Reading]:
    """Run every prompt clean and patched from each onset on; nothing of the vocabulary is kept.

    Args:
        lm: the model.
        blocks: its blocks.
        prompts: what is patched and what is asked.
        vectors: for each prompt what is written (L + 1, M, D): row 0 into the input of block 0, row
            l + 1 into the output of block l.
        onsets: ascending, from -1 to L - 1.
        depth: layers overwritten from the onset on; all if None.
        engine: packed, suffix or hooks; `choose` says which.
        token_budget: tokens in memory at once; halved when memory runs out.
        progress: called with (prompts done, prompts in all, what).

    Returns:
        One `Reading` per prompt, in order.

    Raises:
        ConfigError: onsets or a depth that the model does not have.
        DataError: a prompt that the model cannot read, or vectors that do not fit.
        ModelError: the engine cannot patch this model, or memory for not even one prompt.
    """
    onsets = checked(onsets, len(blocks), depth)
    check(lm, blocks, prompts, vectors)
    # Alike prompts stand together: a batch has one number of patched tokens and little padding.
    order = sorted(range(len(prompts)), key=lambda k: (*_shape(prompts[k]), k))
    sizes = [range(tokens(engine, prompts[k], onsets)) for k in order]
    heads = [len(prompts[k].tree.places) * (1 + len(onsets)) for k in order]
    budget = Budget.start(token_budget, lm.model.get_input_embeddings().weight.shape[0])
    found: dict[int, Reading] = {}
    with evaluation(lm.model), exact_tail(lm.model, blocks):
        while len(found) < len(prompts):
            first = len(found)
            members = order[first : first + budget.take(sizes, first, heads)]
            members = [k for k in members if prompts[k].patched == prompts[members[0]].patched]
            some, own = [prompts[k] for k in members], [vectors[k] for k in members]
            logits = attempt(partial(patch_logits, lm, blocks, some, own, onsets, depth, engine))
            if logits is None:
                budget.halve(len(members))
                continue
            found.update(zip(members, read(logits, some), strict=True))
            if progress:
                progress(len(found), len(prompts), "patching")
    return [found[k] for k in range(len(prompts))]


def patch_logits(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors: Sequence[torch.Tensor],
    onsets: Sequence[int],
    depth: int | None,
    engine: str,
) -> torch.Tensor:
    """Logits at every place of a batch, clean and for each onset: (1 + onsets, K, V)."""
    vectors_LNMD = torch.stack([vector.to(lm.device) for vector in vectors], dim=1)
    return ENGINES[engine](lm.model, blocks, prompts, vectors_LNMD, onsets, depth)


def choose(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors: Sequence[torch.Tensor],
    *,
    depth: int | None = None,
    engine: Engine = "auto",
    among: Sequence[str] = ("packed", "suffix"),
) -> EngineReport:
    """The first engine that agrees with hooks on some prompts and onsets; hooks if none does.

    Raises:
        ModelError: the engine that was asked for does not agree.
    """
    if engine == "hooks":
        return EngineReport("hooks", "asked for", 0, None)
    some = [prompts[k] for k in sample(prompts)]
    own = [vectors[k] for k in sample(prompts)]
    onsets = three(len(blocks))
    refused: list[str] = []
    with evaluation(lm.model), exact_tail(lm.model, blocks):
        plain = patch_logits(lm, blocks, some, own, onsets, depth, "hooks")
        for name in among if engine == "auto" else (engine,):
            try:
                logits = patch_logits(lm, blocks, some, own, onsets, depth, name)
            except Exception as error:
                if out_of_memory(error):
                    raise
                refused.append(f"{name} fails ({type(error).__name__}: {said(error)})")
                continue
            apart = distance(plain, logits) / tolerance(lm.dtype, plain)
            if apart <= 1:
                reason = "; ".join([f"{name} agrees with hooks", *refused])
                return EngineReport(name, reason, len(some), apart)
            refused.append(f"{name} differs by {apart:.3g} times the tolerance")
    reason = "; ".join(refused)
    if engine != "auto":
        raise ModelError(
            f"The {engine} engine is not exact for {lm.name} ({reason}); use engine='auto' or "
            "'hooks'."
        )
    return EngineReport("hooks", reason, len(some), None)


def sample(prompts: Sequence[PatchPrompt]) -> list[int]:
    """A few prompts of one number of patched tokens: the longest, the shortest, two between."""
    many = [k for k, prompt in enumerate(prompts) if prompt.patched == prompts[0].patched]
    many.sort(key=lambda k: (prompts[k].longest, k))
    last = len(many) - 1
    return [many[k] for k in sorted({last * step // (SAMPLE - 1) for step in range(SAMPLE)})]


def three(layers: int) -> list[int]:
    """Three onsets for comparisons: before all blocks, in the middle, before the last block."""
    return sorted({-1, layers // 2 - 1, layers - 2})


def tolerance(dtype: str, logits: torch.Tensor) -> float:
    """Largest difference of logits that is rounding (specification of `patch`, section 9)."""
    return _TOLERANCE.get(dtype, _COARSE) * max(1.0, float(logits.abs().max()))


def distance(one: torch.Tensor, two: torch.Tensor) -> float:
    """Largest difference; infinite where either is not a number, so that no check passes on NaN."""
    apart = (one.double() - two.double()).abs()
    return float(apart.nan_to_num(nan=torch.inf).max())


def tokens(engine: str, prompt: PatchPrompt, onsets: Sequence[int]) -> int:
    """Tokens that a prompt has in memory at once."""
    if engine == "packed":
        return Layout([prompt], onsets).width
    paths = len(prompt.tree.paths())
    if engine == "hooks":
        return paths * prompt.longest
    # Each row holds a copy of the cache of what stands before it.
    return paths * (1 + len(onsets)) * prompt.longest


def check(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors: Sequence[torch.Tensor],
) -> None:
    """Refuse what does not fit together, before the model is asked.

    Raises:
        DataError: prompts that the model cannot read, or vectors of another shape or not numbers.
    """
    check_prompts(prompts, lm.model.get_input_embeddings().weight.shape[0], lm.context)
    if len(vectors) != len(prompts):
        raise DataError(f"{len(prompts)} prompts cannot be patched with {len(vectors)} vectors.")
    for prompt, vector in zip(prompts, vectors, strict=True):
        shape = (len(blocks) + 1, prompt.patched, blocks.width)
        if tuple(vector.shape) != shape:
            raise DataError(
                f"A concept vector has the shape {tuple(vector.shape)}, but {lm.name} and its "
                f"prompt need {shape}: layers and the input, patched tokens, width."
            )


def _shape(prompt: PatchPrompt) -> tuple[Any, ...]:
    return prompt.patched, prompt.suffix, len(prompt.ids), len(prompt.tree.ids)
