"""`polylore bench score`: how fast candidates are scored, against ways one would pick instead.

All ways run in one process with the same threads, in turn and several times over, so their ratios
hold on a noisy machine. They must also agree on every log-probability.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from polylore.models import LanguageModel, Question, prepare, score_prepared, wrap
from polylore.models.engines import Progress

SIZES = {"20M": (384, 8), "80M": (768, 10)}
"""Hidden size and layers of the random-weight Llamas; about that many parameters."""
VOCABULARY = 4096
_CONTENT = [f"w{number}" for number in range(VOCABULARY - 4)]

Logprobs = list[list[float]]


@dataclass(frozen=True)
class Way:
    """One way of scoring, with its times and its largest difference from the plainest way."""

    name: str
    seconds: list[float]
    difference: float


def bench_score(
    size: str = "20M",
    *,
    questions: int = 24,
    rounds: int = 5,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time each way on one workload.

    The workload: demonstrations of 60 tokens that groups of questions share, questions of 8 to 20
    tokens, 10 candidates of 1 to 4 tokens each.

    Returns:
        Size, parameters, threads, and for each way its median seconds, questions per second, the
        ratio to one candidate per forward (median over rounds, with lowest and highest), and the
        largest difference in log-probability.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        lm = _model(*SIZES[size])
        workload = make_workload(questions, seed=0)
        prepared = prepare(lm, workload, bos=True)
        ways: dict[str, Callable[[], Logprobs]] = {
            "one candidate per forward": lambda: one_by_one(lm, prepared.strings, prepared.owner),
            "length-sorted batches, full logits": lambda: sorted_batches(
                lm, prepared.strings, prepared.owner
            ),
            "polylore": lambda: _polylore(lm, prepared),
        }
        measured = _measure(ways, rounds, progress)
    finally:
        torch.set_num_threads(before)
    base = measured[0]
    return {
        "size": size,
        "parameters": lm.model.num_parameters(),
        "threads": threads,
        "questions": questions,
        "rounds": rounds,
        "ways": [_summary(way, base, questions) for way in measured],
    }


def _measure(
    ways: dict[str, Callable[[], Logprobs]], rounds: int, progress: Progress | None
) -> list[Way]:
    results: dict[str, Logprobs] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    # The first round warms caches and the self-check up, and is not counted.
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            results[name] = way()
            if number:
                seconds[name].append(time.perf_counter() - start)
        if progress:
            progress(number, rounds, "rounds")
    plainest = results[next(iter(ways))]
    return [Way(name, seconds[name], _difference(results[name], plainest)) for name in ways]


def _difference(one: Logprobs, two: Logprobs) -> float:
    return max(
        abs(a - b)
        for row_a, row_b in zip(one, two, strict=True)
        for a, b in zip(row_a, row_b, strict=True)
    )


def _summary(way: Way, base: Way, questions: int) -> dict[str, Any]:
    ratios = [b / s for b, s in zip(base.seconds, way.seconds, strict=True)]
    median = statistics.median(way.seconds)
    return {
        "name": way.name,
        "seconds": median,
        "questions_per_second": questions / median,
        "ratio": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "largest_difference": way.difference,
    }


def make_workload(questions: int, seed: int) -> list[Question]:
    """Questions in groups of eight that share their demonstrations."""
    rng = random.Random(seed)

    def words(low: int, high: int) -> str:
        return " ".join(rng.choice(_CONTENT) for _ in range(rng.randint(low, high)))

    made, demonstrations = [], ""
    for number in range(questions):
        if number % 8 == 0:
            demonstrations = words(60, 60)
        candidates = {words(1, 4) for _ in range(10)}
        while len(candidates) < 10:
            candidates.add(words(1, 4))
        prompt = f"{demonstrations} {words(8, 20)}"
        made.append(Question(prompt, " ", tuple(sorted(candidates))))
    return made


def _model(hidden: int, layers: int) -> LanguageModel:
    """A Llama with random weights and a tokenizer whose words are single tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "<unk>", "<pad>", *_CONTENT])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        max_position_embeddings=512,
    )
    return wrap(LlamaForCausalLM(config).eval(), tokenizer, "random Llama")


def _polylore(lm: LanguageModel, prepared: Any) -> Logprobs:
    scores = score_prepared(lm, prepared, token_budget=2048)
    return [[score.logprob for score in row] for row in scores]


def one_by_one(lm: LanguageModel, strings: Any, owner: list[int]) -> Logprobs:
    """The plainest way: one forward pass for every candidate."""
    found: Logprobs = [[] for _ in range(owner[-1] + 1)]
    with torch.inference_mode():
        for string, question in zip(strings, owner, strict=True):
            logits_SV = lm.model(torch.tensor([string.ids])).logits[0].float()
            found[question].append(_sum(logits_SV, string))
    return found


def sorted_batches(lm: LanguageModel, strings: Any, owner: list[int], rows: int = 32) -> Logprobs:
    """What a careful loop does: batches of similar length, logits at every position."""
    order = sorted(range(len(strings)), key=lambda i: len(strings[i].ids))
    sums = [0.0] * len(strings)
    with torch.inference_mode():
        for first in range(0, len(order), rows):
            batch = order[first : first + rows]
            width = max(len(strings[i].ids) for i in batch)
            ids_BS = torch.zeros((len(batch), width), dtype=torch.long)
            for row, i in enumerate(batch):
                ids_BS[row, : len(strings[i].ids)] = torch.tensor(strings[i].ids)
            logits_BSV = lm.model(ids_BS).logits.float()
            for row, i in enumerate(batch):
                sums[i] = _sum(logits_BSV[row], strings[i])
    found: Logprobs = [[] for _ in range(owner[-1] + 1)]
    for value, question in zip(sums, owner, strict=True):
        found[question].append(value)
    return found


def _sum(logits_SV: torch.Tensor, string: Any) -> float:
    places = torch.arange(string.start - 1, string.stop - 1)
    tokens = torch.tensor(string.ids[string.start : string.stop])
    logprobs = logits_SV[places].log_softmax(-1)
    return float(logprobs[torch.arange(len(tokens)), tokens].double().sum())
