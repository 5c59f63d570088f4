"""Before a checkpoint's numbers are believed: what must hold, and whether it does.

The checks of the specification of `patch`, section 5. Numbers that are not finite are looked for
first, because the largest of differences that are not numbers would pass unseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from polylore.errors import SelfCheckError
from polylore.models.forward import evaluation
from polylore.models.loading import LanguageModel
from polylore.models.patching.blocks import Blocks
from polylore.models.patching.engines import distance, patch_logits, sample, three, tolerance
from polylore.models.patching.extract import states_at
from polylore.models.patching.prompts import PatchPrompt
from polylore.models.patching.tail import exact_tail
from polylore.models.questions import EngineReport

EFFECT = 1e-6
"""A donor must change some logit by more."""


@dataclass(frozen=True)
class Check:
    """One row of the table `patch_selfcheck`."""

    check: str
    value: float
    tolerance: float
    passed: bool
    note: str = ""
    """Why this engine, in the row that compares it with hooks."""


def self_check(
    lm: LanguageModel,
    blocks: Blocks,
    prompts: Sequence[PatchPrompt],
    vectors: Sequence[torch.Tensor],
    *,
    depth: int | None = None,
    report: EngineReport,
) -> list[Check]:
    """Hold an engine against what must be true, on a few prompts.

    Args:
        lm: the model.
        blocks: its blocks.
        prompts: of the first batch.
        vectors: what is written into them, of other concepts; as for `sweep`.
        depth: layers overwritten from the onset on; all if None.
        report: which engine patches, as `choose` found.

    Returns:
        finite: numbers that are none; identity: the prompt's own states change nothing; last_onset:
        neither does the last layer, which nobody reads; donor: `vectors` change something;
        batch_of_one: prompts answer alone as together; ENGINE_equals_hooks.
    """
    some = [prompts[k] for k in sample(prompts)]
    donors = [vectors[k] for k in sample(prompts)]
    engine = report.engine
    onsets = sorted({-1, 0, *three(len(blocks)), len(blocks) - 1})
    with evaluation(lm.model), exact_tail(lm.model, blocks):
        own_LNMD = states_at(
            lm.model, blocks, [p.ids for p in some], [p.first for p in some], some[0].patched
        )
        own = list(own_LNMD.unbind(1))

        def run(members: Sequence[int], written: Sequence[torch.Tensor], name: str) -> torch.Tensor:
            chosen = [some[k] for k in members]
            with_ = [written[k] for k in members]
            return patch_logits(lm, blocks, chosen, with_, onsets, depth, name)

        everyone = range(len(some))
        identity = run(everyone, own, engine)
        donor = run(everyone, donors, engine)
        alone = torch.cat([run([k], donors, engine) for k in everyone], dim=1)
        reference = run(everyone, donors, "hooks")
    clean, limit = donor[0], tolerance(lm.dtype, donor.nan_to_num(0, 0, 0))
    wrong = sum(int((~torch.isfinite(logits)).sum()) for logits in (identity, donor))
    checks = [
        _at_most("finite", float(wrong), 0.0),
        _at_most("identity", distance(identity[1:], identity[:1]), limit),
    ]
    if all(prompt.suffix for prompt in some):
        checks.append(_at_most("last_onset", distance(donor[-1], clean), limit))
    moved = float((donor[1:3] - clean).abs().nan_to_num(0, 0, 0).max())
    checks.append(Check("donor", moved, EFFECT, moved > EFFECT))
    checks.append(_at_most("batch_of_one", distance(alone, donor), limit))
    equal = _at_most(f"{engine}_equals_hooks", distance(donor, reference), limit)
    return [*checks, replace(equal, note=report.reason)]


def require(checks: Sequence[Check], name: str) -> None:
    """Stop at a checkpoint that failed; its rows can be written before.

    Raises:
        SelfCheckError: a check did not pass.
    """
    failed = [check for check in checks if not check.passed]
    if failed:
        said = "; ".join(f"{c.check} is {c.value:.3g}, not {_bound(c)}" for c in failed)
        raise SelfCheckError(
            f"{name} fails the self-check of patching ({said}), so its numbers would mean nothing; "
            "try float32, or engine hooks."
        )


def _at_most(name: str, value: float, limit: float) -> Check:
    return Check(name, value, limit, value <= limit)


def _bound(check: Check) -> str:
    return f"{'above' if check.check == 'donor' else 'at most'} {check.tolerance:.3g}"
