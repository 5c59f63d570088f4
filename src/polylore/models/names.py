"""What the name of a checkpoint says: its family, step, stage and tokens.

Names are hub revisions or local folders. Patterns are anchored at both ends and tried in a fixed
order; where two families share a pattern, the name of the repository decides (specification of
`trace`, section 4.1).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from polylore.errors import ConfigError, ModelError

_BILLION = 10**9

_STAGED = re.compile(
    r"stage(?P<stage>\d+)(?:-ingredient(?P<ingredient>\d+))?-step(?P<step>\d+)-tokens(?P<tokens>\d+)B",
    re.IGNORECASE,
)
_STEP_TOKENS = re.compile(r"step(?P<step>\d+)-tokens(?P<tokens>\d+)B", re.IGNORECASE)
_STEP = re.compile(r"step(?P<step>\d+)", re.IGNORECASE)
_GLOBAL_STEP = re.compile(r"global_step(?P<step>\d+)", re.IGNORECASE)
_PHASE = re.compile(r"phase_(?P<phase>\d+)_(?P<step>\d+)", re.IGNORECASE)
_PHASE_FOLDER = re.compile(r"(?P<folder>[^/]+)/iter_(?P<step>\d+)", re.IGNORECASE)
_TRAINER = re.compile(r"checkpoint-(?P<step>\d+)", re.IGNORECASE)
# [^\W_] is a letter or digit of any script.
_PLAIN = re.compile(
    r"(?<![^\W_])(?:global_step|checkpoint|iteration|iter|ckpt|step)[-_=]?"
    r"(?P<step>\d+)(?P<unit>[kM]?)(?![^\W_]|\.\d)",
    re.IGNORECASE,
)
_FINAL = re.compile(r"main|final", re.IGNORECASE)

_OLMO_2 = re.compile(r"(?:.*/)?olmo-?2(?:\b|-).*", re.IGNORECASE)
_OLMO_1_7B = re.compile(r"(?:.*/)?olmo-(?:1\.7-)?7b(?:-\d{4})?(?:-hf)?", re.IGNORECASE)
_APERTUS = re.compile(r"(?:.*/)?apertus\b.*", re.IGNORECASE)
_PYTHIA = re.compile(
    r"(?:.*/)?pythia-\d+(?:\.\d+)?[mb](?:-deduped)?(?:-v\d)?(?:-seed\d+)?", re.IGNORECASE
)


@dataclass(frozen=True)
class CheckpointName:
    """A name, understood."""

    name: str
    family: str
    """olmo2, olmo, apertus, pythia, bloom, phases, trainer, plain, pattern or final."""
    step: int | None
    """Step as named; null for a final model. Phases count on, see `continuous`."""
    stage: int | None = None
    """Stage or phase, where the family has them."""
    ingredient: int | None = None
    """Branch within a stage."""
    tokens: int | None = None
    """Tokens read, as labelled or computed; within its own stage."""
    tokens_exact: bool = False
    """Whether `tokens` is exact; labels in names are rounded to billions."""
    final: bool = False
    flags: tuple[str, ...] = ()
    """prefix_missing: an OLMo 2 name without its stage."""

    @property
    def order(self) -> tuple[bool, int, int, int]:
        """Key to sort by: numeric, never alphabetical; final models last."""
        return (self.final, self.stage or 0, self.ingredient or 0, self.step or 0)


def parse_name(
    name: str,
    *,
    repo: str = "",
    pattern: str | None = None,
    phases: Mapping[str, int] | None = None,
    tokens_per_step: int | None = None,
) -> CheckpointName | None:
    """Understand the name of one checkpoint.

    Args:
        name: revision or folder name (``<folder>/iter_<n>`` with `phases`).
        repo: repository or series it belongs to; settles patterns that families share.
        pattern: a regular expression with the group ``step`` (and, if wanted, ``stage``,
            ``ingredient`` and ``tokens``, the latter in billions) that must match the whole name;
            then no other pattern is tried.
        phases: number of each phase folder, for runs kept as ``<folder>/iter_<n>``.
        tokens_per_step: tokens of one step, where the user knows that it is constant.

    Returns:
        None for names that are left out on purpose (long-context variants).

    Raises:
        ConfigError: `pattern` is not usable.
        ModelError: the name says no step, or more than one.
    """
    if pattern is not None:
        return _by_pattern(name, pattern, tokens_per_step)
    if "longctx" in name.lower():
        return None
    parsed = _by_family(name, repo, phases or {}) or _plain(name)
    per_step = tokens_per_step or _tokens_per_step(parsed, repo)
    if per_step and parsed.step is not None and (parsed.stage or 1) == 1:
        return replace(parsed, tokens=parsed.step * per_step, tokens_exact=True)
    return parsed


def continuous(names: Sequence[CheckpointName]) -> list[CheckpointName]:
    """Let the steps of later phases count on from the last step of the phase before."""
    offsets: dict[int, int] = {}
    total = 0
    phased = [n for n in names if n.family == "phases"]
    for phase in sorted({n.stage or 0 for n in phased}):
        offsets[phase] = total
        total += max(n.step or 0 for n in phased if (n.stage or 0) == phase)
    return [
        replace(n, step=(n.step or 0) + offsets[n.stage or 0]) if n.family == "phases" else n
        for n in names
    ]


def _by_family(name: str, repo: str, phases: Mapping[str, int]) -> CheckpointName | None:
    if match := _STAGED.fullmatch(name):
        return _read(name, "olmo2", match)
    if match := _STEP_TOKENS.fullmatch(name):
        if _OLMO_2.fullmatch(repo):
            return replace(_read(name, "olmo2", match), stage=1, flags=("prefix_missing",))
        return _read(name, "apertus" if _APERTUS.fullmatch(repo) else "olmo", match)
    if match := _STEP.fullmatch(name):
        return _read(name, "pythia" if _PYTHIA.fullmatch(repo) else "plain", match)
    if match := _GLOBAL_STEP.fullmatch(name):
        return _read(name, "bloom", match)
    if match := _PHASE.fullmatch(name):
        return replace(_read(name, "phases", match), stage=int(match["phase"]))
    if (match := _PHASE_FOLDER.fullmatch(name)) and match["folder"] in phases:
        return replace(_read(name, "phases", match), stage=phases[match["folder"]])
    if match := _TRAINER.fullmatch(name):
        return _read(name, "trainer", match)
    if _FINAL.fullmatch(name):
        return CheckpointName(name, "final", None, final=True)
    return None


def _read(name: str, family: str, match: re.Match[str]) -> CheckpointName:
    groups = match.groupdict()

    def number(key: str) -> int | None:
        return int(groups[key]) if groups.get(key) else None

    tokens = number("tokens")
    return CheckpointName(
        name=name,
        family=family,
        step=number("step"),
        stage=number("stage"),
        ingredient=number("ingredient"),
        tokens=None if tokens is None else tokens * _BILLION,
    )


def _plain(name: str) -> CheckpointName:
    matches = list(_PLAIN.finditer(name))
    if len(matches) != 1:
        what = "more than one number that could be its step" if matches else "no step"
        raise ModelError(
            f"The checkpoint name '{name}' says {what}; pass a pattern such as "
            "'run(?P<step>[0-9]+)' that matches the whole name."
        )
    factor = {"": 1, "k": 1_000, "m": 1_000_000}[matches[0]["unit"].lower()]
    return CheckpointName(name, "plain", int(matches[0]["step"]) * factor)


def _by_pattern(name: str, pattern: str, tokens_per_step: int | None) -> CheckpointName:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"'{pattern}' is not a regular expression ({error}).") from error
    if "step" not in compiled.groupindex:
        raise ConfigError(f"The pattern '{pattern}' needs a group named step: (?P<step>[0-9]+).")
    match = compiled.fullmatch(name)
    if match is None:
        raise ModelError(f"The pattern '{pattern}' does not match the checkpoint name '{name}'.")
    try:
        parsed = _read(name, "pattern", match)
    except ValueError as error:
        raise ConfigError(
            f"A group of the pattern '{pattern}' is not a number in '{name}'."
        ) from error
    if tokens_per_step and parsed.step is not None:
        return replace(parsed, tokens=parsed.step * tokens_per_step, tokens_exact=True)
    return parsed


def _tokens_per_step(parsed: CheckpointName, repo: str) -> int | None:
    """Tokens per step where the batch is known to be constant."""
    if parsed.family == "pythia":
        return 2**21
    if parsed.family == "olmo" and _OLMO_1_7B.fullmatch(repo):
        return 2**22
    return None
