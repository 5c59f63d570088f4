"""Reading probes: every number against a direct computation, one probe at a time."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from polylore.errors import ModelError
from polylore.models import LanguageModel
from polylore.models.probing import ProbeText, make_sheet, read
from polylore.models.probing.text import encode_spans, probe_texts
from polylore.tables import inject

PROBES = (
    ProbeText("en", "The capital of France is", " ", "Paris", distractors=("Berlin", "New York")),
    ProbeText(
        "swap", "The capital of Germany is", " ", "Berlin", swapped="The capital of France is"
    ),
    ProbeText(
        "turned forms",
        "La capitale de la France est",
        " ",
        "Paris",
        accepted=("Berlin", "Paris", "New York", "Berlin"),
        swapped="The capital of Germany is",
    ),
    ProbeText("forms", "La capitale de la France est", " ", "Paris", accepted=("Berlin", "France")),
    ProbeText("ru", "Столица Франции —", " ", "Париж"),
    ProbeText("zh", "法国的首都是", "", "巴黎", distractors=("东京",)),
    ProbeText("ja", "日本の首都は", "", "東京", suffix="です", distractors=("パリ",)),
    ProbeText("ar", "عاصمة فرنسا هي", " ", "باريس"),
    ProbeText("hi", "फ़्रांस की राजधानी", " ", "पेरिस", suffix=" है"),
    ProbeText("long", "New York is a city in the", " ", "United States of America and more"),
)
Direct = dict[str, float]


def direct(lm: LanguageModel, probe: ProbeText, begin: int | None, left: int = 0) -> Direct:
    """One probe alone, padded on the left with a mask, from the definition."""
    head, scored = probe.prefix + probe.joiner, probe.target + probe.suffix
    ids, where = _tokens(lm, head, scored)
    front = [] if begin is None else [begin]
    ids, where = front + ids, [w + len(front) for w in where]
    row = torch.tensor([[0] * left + ids])
    mask = torch.tensor([[0] * left + [1] * len(ids)])
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    takes = inspect.signature(lm.model.forward).parameters
    with torch.no_grad():
        given = {"position_ids": places} if "position_ids" in takes else {}
        logits = lm.model(input_ids=row, attention_mask=mask, **given).logits[0, left:]
    logprob = logits.double().log_softmax(-1)
    each = [float(logprob[k - 1, ids[k]]) for k in range(1, len(ids))]
    own = [each[k - 1] for k in where]
    before = logits[where[0] - 1]
    return {
        "sum": sum(own),
        "mean": sum(own) / len(own),
        "first": own[0],
        "full": sum(each) / len(each),
        "rank": int((before > before[ids[where[0]]]).sum()),
        "exact": all(int(logits[k - 1].argmax()) == ids[k] for k in where),
        "n": len(own),
    }


def _tokens(lm: LanguageModel, head: str, scored: str) -> tuple[list[int], list[int]]:
    found = lm.tokenizer(head + scored, add_special_tokens=False, return_offsets_mapping=True)
    spans = found["offset_mapping"]
    where = [
        k for k, (a, b) in enumerate(spans) if b > a and b > len(head) and a < len(head + scored)
    ]
    # Some tokenizers give a blank no characters of its own: it belongs to what it stands within.
    return found["input_ids"], list(range(where[0], where[-1] + 1))


def any_form(lm: LanguageModel, probe: ProbeText, prefix: str, begin: int | None) -> float:
    """Log-probability of the target or another accepted form, each counted once."""
    forms = [
        direct(lm, ProbeText("", prefix, probe.joiner, form, probe.suffix), begin)["sum"]
        for form in {probe.target, *probe.accepted}
    ]
    return math.log(math.fsum(map(math.exp, forms)))


def expected(lm: LanguageModel, probe: ProbeText, begin: int | None) -> dict[str, float | None]:
    one = direct(lm, probe, begin, left=7)
    score = any_form(lm, probe, probe.prefix, begin)
    margin = None
    if probe.distractors:
        margin = score - max(
            direct(lm, ProbeText("", probe.prefix, probe.joiner, d, probe.suffix), begin)["sum"]
            for d in probe.distractors
        )
    swap = None
    if probe.swapped is not None:
        turned = ProbeText("", probe.swapped, probe.joiner, probe.target, probe.suffix)
        n = direct(lm, turned, begin)["n"]
        swap = any_form(lm, probe, probe.swapped, begin) / n
    return {
        "n_target_tokens": one["n"],
        "sum_logprob": score,
        "mean_logprob": score / one["n"],
        "first_logprob": one["first"],
        "full_mean_logprob": one["full"],
        "first_rank": one["rank"],
        "greedy_exact": one["exact"],
        "margin": margin,
        "swap_mean_logprob": swap,
    }


@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral", "gemma2", "bloom"])
@pytest.mark.parametrize("begin", [None, 0])
@pytest.mark.parametrize("budget", [1, 64 * 64])
def test_every_number_is_that_of_a_direct_computation(
    make_model: Callable[..., LanguageModel], name: str, begin: int | None, budget: int
) -> None:
    lm = make_model(name)
    found = read(lm, make_sheet(lm, PROBES, begin=begin), token_budget=budget)
    for probe, row in zip(PROBES, found.iter_rows(named=True), strict=True):
        for key, value in expected(lm, probe, begin).items():
            if value is None:
                assert row[key] is None, (probe.probe_id, key)
            else:
                assert row[key] == pytest.approx(value, abs=1e-5), (probe.probe_id, key)
        assert row["n_target_bytes"] == len((probe.target + probe.suffix).encode())


def test_a_verb_behind_the_target_is_scored_with_it_and_flagged(
    make_model: Callable[..., LanguageModel],
) -> None:
    """Subject, object, verb: what belongs to the verb counts in the score, not in the margin."""
    lm = make_model("llama")
    rows = [
        {"probe_id": f"p{n}", "item_id": "i", "fact_id": "i/job", "lang": "hi", "depth": "semantic",
         "variant": 0, "prefix": "The baker of Rome", "joiner": " ", "target": "bread",
         "suffix": suffix, "score_span": span, "accepted": [], "hops": 1,
         "distractors": ["Paris", "New York"], "single_sentence": True, "target_in_prefix": False}
        for n, (span, suffix) in enumerate(
            [("target_suffix", " makes"), ("target", " makes"), ("target", None)]
        )
    ]  # fmt: skip
    texts = probe_texts(inject.PROBES.build(rows))
    found = read(lm, make_sheet(lm, texts, begin=None), token_budget=512)
    assert [("target_suffix" in flags) for flags in found["flags"]] == [True, False, False]
    sums = {
        (form, end): direct(lm, ProbeText("", "The baker of Rome", " ", form, end), None)["sum"]
        for form in ("bread", "Paris", "New York")
        for end in (" makes", "")
    }
    for row, end in zip(found.iter_rows(named=True), (" makes", "", ""), strict=True):
        best = max(sums["Paris", end], sums["New York", end])
        assert row["sum_logprob"] == pytest.approx(sums["bread", end], abs=1e-5)
        assert row["margin"] == pytest.approx(sums["bread", end] - best, abs=1e-5)


def test_readings_fit_the_log(make_model: Callable[..., LanguageModel]) -> None:
    lm = make_model("llama")
    found = read(lm, make_sheet(lm, PROBES, begin=None), token_budget=512)
    columns = {c.name: c.dtype for c in inject.LOG.columns}
    assert {name: columns[name] for name in found.columns} == dict(found.schema)


def test_extras_are_null_unless_asked_for_and_change_nothing_else(
    make_model: Callable[..., LanguageModel],
) -> None:
    lm = make_model("llama")
    sheet = make_sheet(lm, PROBES, begin=None)
    whole, plain = (read(lm, sheet, token_budget=512, extras=extras) for extras in (True, False))
    optional = ["margin", "swap_mean_logprob", "greedy_text"]
    assert plain.select(pl.col(optional).is_null().all()).row(0) == (True, True, True)
    assert whole.drop(optional).equals(plain.drop(optional))
    assert whole["greedy_text"].null_count() == 0


def test_greedy_text_and_greedy_exact_agree(make_model: Callable[..., LanguageModel]) -> None:
    lm = make_model("llama")
    sheet = make_sheet(lm, PROBES, begin=None)
    texts = read(lm, sheet, token_budget=512)["greedy_text"].to_list()
    # A model's own continuation is what greedy decoding gives, by definition.
    own = [ProbeText(p.probe_id, p.prefix, "", text) for p, text in zip(PROBES, texts, strict=True)]
    same = [k for k, probe in enumerate(own) if _stays(lm, probe, sheet.prompts.ids[k])]
    assert same
    found = read(lm, make_sheet(lm, [own[k] for k in same], begin=None), token_budget=512)
    assert found["greedy_exact"].all()
    assert (found["first_rank"] == 0).all()


def _stays(lm: LanguageModel, probe: ProbeText, ids: list[int]) -> bool:
    """Whether text and tokens of a continuation are the same when it is tokenised anew."""
    whole = lm.tokenizer(probe.prefix + probe.target, add_special_tokens=False)["input_ids"]
    text = probe.target.strip()
    return bool(text) and "\ufffd" not in text and whole[: len(ids)] == ids


def test_a_token_without_loss_is_counted(make_model: Callable[..., LanguageModel]) -> None:
    lm = make_model("llama")
    probe = ProbeText("sure", "The capital of France is", " ", "Paris and Berlin")
    sheet = make_sheet(lm, [probe], begin=None)
    sure = sheet.spans[0].string.ids[sheet.spans[0].string.start]

    def certain(_: Any, args: Any, logits: torch.Tensor) -> torch.Tensor:
        changed = logits.clone()
        changed[..., sure] += 1e4
        return changed

    handle = lm.model.get_output_embeddings().register_forward_hook(certain)
    try:
        row = read(lm, sheet, token_budget=512, extras=False).row(0, named=True)
    finally:
        handle.remove()
    assert row["first_logprob"] == 0.0
    assert row["mean_logprob"] == row["sum_logprob"] / row["n_target_tokens"] < -1000


def test_scores_that_are_no_numbers_are_kept_and_flagged(
    make_model: Callable[..., LanguageModel],
) -> None:
    lm = make_model("llama")
    sheet = make_sheet(lm, PROBES, begin=None)
    weight = lm.model.get_input_embeddings().weight
    paris = sheet.spans[0].string.ids[1]
    with torch.no_grad():
        kept = weight[paris].clone()
        weight[paris] = torch.nan
    try:
        found = read(lm, sheet, token_budget=512, extras=False)
    finally:
        with torch.no_grad():
            weight[paris] = kept
    flagged = found["flags"].list.contains("not_finite")
    assert flagged[0]
    assert not flagged.all()
    assert found.filter(flagged)["mean_logprob"].is_nan().all()
    assert found.filter(flagged)["first_rank"].null_count() == flagged.sum()
    assert found.filter(~flagged)["mean_logprob"].is_finite().all()


def test_spans_follow_characters(tokenizer: Any) -> None:
    spans = encode_spans(
        tokenizer, ["法国的首都是", "The capital is Pa"], ["", ""], ["巴黎", "ris"]
    )
    for span, text in zip(spans, ("巴黎", "ris"), strict=True):
        ids = span.string.ids[span.string.start : span.string.stop]
        assert text in tokenizer.decode(ids)
    assert spans[0].flags == ()
    whole = tokenizer("The capital is Paris", add_special_tokens=False)["input_ids"]
    alone = tokenizer("The capital is Pa", add_special_tokens=False)["input_ids"]
    assert (spans[1].flags == ("boundary_merge",)) == (whole[: len(alone)] != alone)
    assert spans[1].flags == ("boundary_merge",)


def test_a_tokenizer_without_offsets_is_flagged(tokenizer: Any) -> None:
    class Slow:
        is_fast = False
        bos_token_id = None

        def __call__(self, texts: list[str], **settings: Any) -> Any:
            return tokenizer(texts, add_special_tokens=False)

    texts = ["The capital of France is", "法国的首都是"], [" ", ""], ["Paris", "巴黎"]
    for slow, fast in zip(
        encode_spans(Slow(), *texts), encode_spans(tokenizer, *texts), strict=True
    ):
        assert slow.string == fast.string
        assert slow.flags == ("no_offsets",)


def test_bad_probes_are_refused(make_model: Callable[..., LanguageModel]) -> None:
    lm = make_model("llama")
    with pytest.raises(ModelError, match="Nothing stands before 'Paris'"):
        make_sheet(lm, [ProbeText("x", "", "", "Paris")], begin=None)
    with pytest.raises(ModelError, match=r"needs .* tokens, but"):
        make_sheet(lm, [ProbeText("x", "Paris " * 80, " ", "Paris")], begin=None)
    sheet = make_sheet(lm, PROBES, begin=None)
    sheet.tokenizer_hash = "another"
    with pytest.raises(ModelError, match="another tokenizer"):
        read(lm, sheet, token_budget=512)


def test_what_stands_before_a_probe_changes_its_score(
    make_model: Callable[..., LanguageModel],
) -> None:
    lm = make_model("llama")
    story = lm.tokenizer("The capital of France is Paris.", add_special_tokens=False)["input_ids"]
    alone = read(lm, make_sheet(lm, PROBES[:1], begin=None), token_budget=512, extras=False)
    told = read(
        lm,
        make_sheet(lm, PROBES[:1], begin=None, before={"en": [*story, 1]}),
        token_budget=512,
        extras=False,
    )
    assert told["n_target_tokens"].equals(alone["n_target_tokens"])
    assert not np.isclose(told["mean_logprob"][0], alone["mean_logprob"][0])
