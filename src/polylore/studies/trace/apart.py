"""Free answers of one checkpoint in all languages at once, by a program of its own (vLLM).

Starting it costs far more than any one language, so it writes all of them in one pass; candidates
are scored afterwards.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise

from polylore.models import Generation, LanguageModel, PreparedPrompts
from polylore.models.vllm import generate_vllm
from polylore.studies.trace.config import AskConfig, ExecutionConfig
from polylore.studies.trace.sheet import Tokenised


def write_apart(
    lm: LanguageModel,
    folder: str,
    tokens: Mapping[str, Tokenised],
    ask: AskConfig,
    execution: ExecutionConfig,
) -> dict[str, list[Generation]]:
    """Answers by language.

    Args:
        lm: the checkpoint in transformers.
        folder: its folder.
        tokens: prompts and their caps by language.
        ask, execution: settings.
    """
    written = generate_vllm(
        lm,
        folder,
        PreparedPrompts.join([own.prompts for own in tokens.values()]),
        max_new_tokens=[cap for own in tokens.values() for cap in own.caps],
        stop_at_newline=ask.stop_at_newline,
        gpu_memory_utilization=execution.gpu_memory_utilization,
    )
    ends = accumulate((len(own.caps) for own in tokens.values()), initial=0)
    parts = [written[start:end] for start, end in pairwise(ends)]
    return dict(zip(tokens, parts, strict=True))
