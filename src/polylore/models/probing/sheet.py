"""All probes of a study, tokenised and arranged once for every state that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from polylore.errors import ModelError
from polylore.models.answers import PreparedPrompts
from polylore.models.loading import LanguageModel
from polylore.models.packing import Row, plain_rows
from polylore.models.probing.text import ProbeText, Span, encode_spans
from polylore.models.questions import Prepared, Question
from polylore.models.spans import Encoded, tail

_Text = tuple[str, str, str, list[int]]
"""Prefix, joiner, scored text, and the tokens in front of it."""


@dataclass(frozen=True)
class Forms:
    """Further strings of the probes, of which only the sum is wanted."""

    prepared: Prepared
    owners: npt.NDArray[np.int64]
    """The probe of each string."""

    @property
    def n_tokens(self) -> npt.NDArray[np.int64]:
        """Scored tokens of each string."""
        return np.array([s.stop - s.start for s in self.prepared.strings], dtype=np.int64)


@dataclass
class Sheet:
    """Probes in tokens."""

    probes: tuple[ProbeText, ...]
    spans: list[Span]
    """The scored string of each probe."""
    rows: list[Row]
    """The same as rows to be read, longest first; `pair_string` is the probe."""
    accepted: Forms
    """Other forms that count as the target; needed for the score itself."""
    distractors: Forms
    """Wrong targets."""
    swapped: Forms
    """Targets and accepted forms after prefixes with another subject; the target of each probe
    first."""
    prompts: PreparedPrompts
    """Everything before each target, to be continued."""
    caps: list[int]
    """Tokens to be continued by: the longest of the target, other forms and distractors."""
    begin: int | None
    """Token in front of every string; None if training rows do not start documents with one."""
    tokenizer_hash: str
    n_tokens: list[int] = field(default_factory=list)
    """Scored tokens of each probe."""

    _parts: dict[tuple[int, int], "Extras"] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.probes)

    def part(self, rank: int, world: int) -> "Extras":
        """Every `world`-th string of each kind and every `world`-th prompt, from `rank` on."""
        if (rank, world) not in self._parts:
            own = slice(rank, None, world)
            accepted, distractors, swapped = (
                one.prepared.part(range(len(one.owners))[own])
                for one in (self.accepted, self.distractors, self.swapped)
            )
            prompts = PreparedPrompts(
                prompts=self.prompts.prompts[own],
                ids=self.prompts.ids[own],
                echoes=self.prompts.echoes[own],
                tokenizer_hash=self.prompts.tokenizer_hash,
            )
            self._parts[rank, world] = Extras(
                accepted, distractors, swapped, prompts, self.caps[own]
            )
        return self._parts[rank, world]


@dataclass(frozen=True)
class Extras:
    """One process's part of what is read beside the probes themselves."""

    accepted: Prepared
    distractors: Prepared
    swapped: Prepared
    prompts: PreparedPrompts
    caps: list[int]


def make_sheet(
    lm: LanguageModel,
    probes: Sequence[ProbeText],
    *,
    begin: int | None,
    before: Mapping[str, Sequence[int]] | None = None,
) -> Sheet:
    """Tokenise probes.

    Args:
        lm: the model, for its tokenizer and context.
        probes: what is asked.
        begin: token in front of every string, if training rows start documents with one.
        before: tokens that stand before a probe, by its identity; for the in-context ceiling.

    Raises:
        ModelError: a text that has no token of its own, nothing in front of it, or a string that
            is longer than the model's context.
    """
    probes = tuple(probes)
    fronts = [
        [*([] if begin is None else [begin]), *(before or {}).get(probe.probe_id, ())]
        for probe in probes
    ]
    spans = _encoded(
        lm,
        [
            (p.prefix, p.joiner, p.target + p.suffix, front)
            for p, front in zip(probes, fronts, strict=True)
        ],
    )
    forms: dict[str, list[tuple[int, _Text]]] = {"accepted": [], "distractors": [], "swapped": []}
    for number, (p, front) in enumerate(zip(probes, fronts, strict=True)):
        kinds = [("accepted", p.prefix, p.others), ("distractors", p.prefix, p.distractors)]
        if p.swapped is not None:
            kinds.append(("swapped", p.swapped, [p.target, *p.others]))
        for name, prefix, others in kinds:
            forms[name] += [(number, (prefix, p.joiner, o + p.suffix, front)) for o in others]
    found = {name: _forms(lm, probes, texts) for name, texts in forms.items()}
    strings = [span.string for span in spans]
    return Sheet(
        probes=probes,
        spans=spans,
        rows=plain_rows(strings),
        accepted=found["accepted"],
        distractors=found["distractors"],
        swapped=found["swapped"],
        prompts=_prompts(lm, probes, strings),
        caps=_caps(lm, strings, [found["accepted"], found["distractors"]]),
        begin=begin,
        tokenizer_hash=lm.tokenizer_hash,
        n_tokens=[string.stop - string.start for string in strings],
    )


def _encoded(lm: LanguageModel, texts: Sequence[_Text]) -> list[Span]:
    """Spans of (prefix, joiner, scored text, tokens in front), checked against the model."""
    columns = [list(column) for column in zip(*texts, strict=True)] or [[], [], []]
    found = []
    for (prefix, _, scored, front), span in zip(
        texts, encode_spans(lm.tokenizer, *columns[:3]), strict=True
    ):
        ids, start, stop = span.string
        string = Encoded([*front, *ids], start + len(front), stop + len(front))
        if string.start == 0:
            raise ModelError(
                f"Nothing stands before '{scored}', so its probability is not defined; give the "
                "probe a prefix."
            )
        lm.check_context(prefix, len(string.ids), f"with '{tail(scored, 40)}' ")
        found.append(Span(string, span.flags))
    return found


def _forms(
    lm: LanguageModel, probes: Sequence[ProbeText], texts: Sequence[tuple[int, _Text]]
) -> Forms:
    strings = [span.string for span in _encoded(lm, [text for _, text in texts])]
    owners = [number for number, _ in texts]
    prepared = Prepared(
        questions=tuple(Question(probe.prefix, probe.joiner, ()) for probe in probes),
        strings=strings,
        owner=owners,
        tokenizer_hash=lm.tokenizer_hash,
        longest=max((len(string.ids) for string in strings), default=0),
    )
    return Forms(prepared, np.array(owners, dtype=np.int64))


def _prompts(
    lm: LanguageModel, probes: Sequence[ProbeText], strings: list[Encoded]
) -> PreparedPrompts:
    ids = [string.ids[: string.start] for string in strings]
    decode = lm.tokenizer.decode
    return PreparedPrompts(
        prompts=tuple(probe.prefix for probe in probes),
        ids=ids,
        echoes=[
            decode(one, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            for one in ids
        ],
        tokenizer_hash=lm.tokenizer_hash,
    )


def _caps(lm: LanguageModel, strings: list[Encoded], others: Sequence[Forms]) -> list[int]:
    caps = [string.stop - string.start for string in strings]
    for forms in others:
        for probe, found in zip(forms.owners, forms.prepared.strings, strict=True):
            caps[probe] = max(caps[probe], found.stop - found.start)
    return [min(cap, lm.context - s.start) for cap, s in zip(caps, strings, strict=True)]
