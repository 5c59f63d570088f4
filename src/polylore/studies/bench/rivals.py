"""Other people's programs, if they are installed: lm-eval's Hugging Face backend, and vLLM."""

import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from polylore.errors import ConfigError
from polylore.models import LanguageModel, Question, prepare
from polylore.models.vllm_engine import SETTINGS
from polylore.studies.bench.ways import Logprobs, Run, by_question

LM_EVAL = "pip install 'polylore[bench]'"
VLLM = "pip install 'polylore[vllm]'"


def has_lm_eval() -> bool:
    """Whether lm-eval is installed."""
    return find_spec("lm_eval") is not None


def has_vllm() -> bool:
    """Whether vLLM is installed."""
    return find_spec("vllm") is not None


def lm_eval(lm: LanguageModel, rows: int) -> Run:
    """`HFLM.loglikelihood` of lm-eval on the same model object.

    With its defaults, so requests that differ in their last token only share a forward pass.

    Raises:
        ConfigError: lm-eval is not installed.
    """
    if not has_lm_eval():
        raise ConfigError(f"lm-eval is not installed; get it with {LM_EVAL}.")
    with warnings.catch_warnings():
        # Its own dependencies' deprecations are none of the reader's business.
        warnings.simplefilter("ignore")
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        # It warns that options which come with a model object are not used.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        backend = HFLM(
            pretrained=lm.model,
            tokenizer=lm.tokenizer,
            backend="causal",
            batch_size=rows,
            add_bos_token=True,
        )

    def run(questions: Sequence[Question]) -> Logprobs:
        requests = [
            Instance("loglikelihood", {}, (question.prompt, question.delimiter + candidate), 0)
            for question in questions
            for candidate in question.candidates
        ]
        answers = iter(backend.loglikelihood(requests, disable_tqdm=True))
        return [[next(answers)[0] for _ in question.candidates] for question in questions]

    return run


def vllm(lm: LanguageModel, resources: ExitStack) -> Run:
    """vLLM's `prompt_logprobs`; it batches as it likes. Its engine starts once, uncounted.

    Args:
        lm: the model, which vLLM reads from a temporary folder.
        resources: closed when the engine is no longer needed.

    Raises:
        ConfigError: vLLM is not installed.
    """
    if not has_vllm():
        raise ConfigError(f"vLLM is not installed; get it with {VLLM}.")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from vllm import LLM, SamplingParams

    folder = resources.enter_context(tempfile.TemporaryDirectory())
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    # The model of the other ways stays on the same device, so vLLM may not take all of it.
    engine = LLM(model=folder, dtype=lm.dtype, gpu_memory_utilization=0.5)
    parameters = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1, detokenize=False)

    def run(questions: Sequence[Question]) -> Logprobs:
        prepared = prepare(lm, questions, bos=True)
        prompts = [{"prompt_token_ids": string.ids} for string in prepared.strings]
        outputs = engine.generate(prompts, parameters, use_tqdm=False)
        sums = [
            sum(_logprob(output, place, string.ids) for place in range(string.start, string.stop))
            for output, string in zip(outputs, prepared.strings, strict=True)
        ]
        return by_question(prepared, sums)

    return run


def _logprob(output: Any, place: int, ids: Sequence[int]) -> float:
    return float(output.prompt_logprobs[place][ids[place]].logprob)
