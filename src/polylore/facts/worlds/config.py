"""Every knob of a world (specification of `unify`, section 3.1)."""

import hashlib
import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from polylore.config import Config
from polylore.facts.worlds.cue_config import CueConfig

CLASSES = ("names", "relations", "values")
"""Classes of tokens that languages may share."""
SEEDS = ("world", "split", "init", "order", "cue", "eval")
"""What has a seed of its own."""
_ZIPF = re.compile(r"zipf\((\d+(?:\.\d*)?|\.\d+)\)")


class ShareConfig(Config):
    """Which share of token types has the same id in all languages, per class."""

    names: float = Field(default=1.0, ge=0, le=1)
    """Names; their letters where a name has several tokens."""
    relations: float = Field(default=0.0, ge=0, le=1)
    """Relation tokens, one per relation and template."""
    values: float = Field(default=0.0, ge=0, le=1)
    """Value tokens."""


class FalseFriendsConfig(Config):
    """Which share of token types has an id that means another type in the first language."""

    names: float = Field(default=0.0, ge=0, le=1)
    """Names; their letters where a name has several tokens."""
    relations: float = Field(default=0.0, ge=0, le=1)
    """Relation tokens."""
    values: float = Field(default=0.0, ge=0, le=1)
    """Value tokens."""


class SeedsConfig(Config):
    """Seeds that differ from those derived from `seed`."""

    world: int | None = Field(default=None, ge=0)
    """Homes, values, names and shared tokens."""
    split: int | None = Field(default=None, ge=0)
    """Which facts are parallel, and which entities are shown more often."""
    init: int | None = Field(default=None, ge=0)
    """Initial weights; the world itself does not use it."""
    order: int | None = Field(default=None, ge=0)
    """Order of presentations."""
    cue: int | None = Field(default=None, ge=0)
    """Draws of language cues and templates in training."""
    eval: int | None = Field(default=None, ge=0)
    """Samples of evaluation."""


class StageConfig(Config):
    """One stage of a curriculum; the last one goes on if training does."""

    steps: int = Field(ge=1)
    """Training steps of the stage."""
    show: Literal["all", "parallel", "mono"] = "all"
    """Facts that are presented: all, those seen in several languages, or those seen in one."""
    p: float | None = Field(default=None, ge=0, le=1)
    """Parallel fraction during the stage, at most that of the world; the world's if not given."""
    entities: float = Field(default=1.0, gt=0, le=1)
    """Share of the entities presented; a smaller share is part of a larger one."""
    weight_parallel: int = Field(default=1, ge=1)
    """Factor on the presentations of facts seen in several languages."""
    weight_mono: int = Field(default=1, ge=1)
    """Factor on the presentations of facts seen in one language."""
    cue: CueConfig | None = None
    """Language cue during the stage; the world's if not given."""


class WorldConfig(Config):
    """A world of facts told in several languages, in which every cause is a knob."""

    languages: int = Field(default=2, ge=2, le=8)
    """Languages (L); a hand-made world takes them from its file."""
    entities: int = Field(default=256, ge=1)
    """Entities with facts (N)."""
    relations: int = Field(default=8, ge=1)
    """Relations of each entity (R)."""
    values: int = Field(default=20, ge=2)
    """Values of each relation (V), divisible by the number of languages."""
    never_seen: int = Field(default=32, ge=0)
    """Further entities that are asked but never shown."""
    value_prior: str = "uniform"
    """Prior of values within the block of each language: uniform or zipf(a)."""
    lam: float = Field(default=0.0, ge=0, le=1)
    """Attribute skew: probability that a value comes from the block of the fact's home language."""
    p: float = Field(default=0.0, ge=0, le=1)
    """Parallel fraction: share of entities, facts or relations shown in several languages."""
    parallel_langs: int | None = Field(default=None, ge=2, le=8)
    """Languages in which a parallel fact is shown, home included; all if not given."""
    split: Literal["entity", "fact", "relation"] = "entity"
    """What is parallel as a whole."""
    exposure: Literal["steps", "cell", "fact", "dup"] = "steps"
    """What is held constant when p changes; dup: some entities oftener, in one language."""
    delta: float = Field(default=0.0, ge=0, le=1)
    """Share of entities that mode dup shows L times as often."""
    ratio: list[float] | None = None
    """Share of home facts per language; equal shares if not given. Without parallel facts a share
    of 0 leaves a language its words alone: a monolingual control."""
    zipf_alpha: float = Field(default=0.0, ge=0)
    """Presentations of an entity fall with this power of its rank; 0 for equal ones."""
    name_len: int = Field(default=1, ge=1, le=8)
    """Tokens of a name; from two on they are letters of an alphabet."""
    name_pool: int = Field(default=32, ge=2)
    """Letters of the alphabet."""
    name_map: Literal["bijection", "scrambled"] = "bijection"
    """A name is spelt alike in all alphabets, or afresh in each."""
    share: ShareConfig = ShareConfig()
    """Tokens common to all languages."""
    false_friends: FalseFriendsConfig = FalseFriendsConfig()
    """Tokens common to all languages that mean something else in each."""
    pad_vocab: bool = True
    """Keep the ids that sharing leaves unused, so that all shares make equally large models."""
    templates: int = Field(default=1, ge=1)
    """Wordings of each relation (K), a token each."""
    train_templates: int | None = Field(default=None, ge=1)
    """Wordings in which an entity is shown; the others test it. K - 1 if not given and K > 1."""
    value_len: int = Field(default=1, ge=1, le=8)
    """Tokens of a value."""
    cue: CueConfig = CueConfig()
    """Language cue in front: none, tag, drop(q), syn(m), xor(e), or a trap: tag_noise(q) or
    xor(e)+xor_noise(q)."""
    code_switch: float = Field(default=0.0, ge=0, le=1)
    """Share of names and of relation tokens of parallel facts told in another language's tokens."""
    concatenate: float = Field(default=0.0, ge=0, le=1)
    """Share of presentations of parallel facts that follow the same fact in another language within
    one sample. A causal model reads the first of the two as if it stood alone, so a share of .5 is
    what a corpus of nothing but translation pairs says about these facts."""
    curriculum: list[StageConfig] = Field(default=[])
    """Stages of training; one stage of everything if empty."""
    facts: str | None = None
    """Hand-made facts (.csv or another table) instead of drawn ones; numbers follow from it."""
    allow_leak: bool = False
    """Make a world although held-out prompts are in training or facts follow from one another."""
    seed: int = Field(default=0, ge=0)
    """Seed from which all others are derived."""
    seeds: SeedsConfig = SeedsConfig()
    """Seeds given one by one."""

    @field_validator("value_prior")
    @classmethod
    def _known_prior(cls, value: str) -> str:
        if value != "uniform" and not _ZIPF.fullmatch(value):
            raise ValueError("must be uniform or zipf(a), such as zipf(1.0)")
        return value

    @field_validator("ratio")
    @classmethod
    def _shares(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and (min(value, default=-1) < 0 or abs(sum(value) - 1) > 1e-6):
            raise ValueError("must be shares from 0 on that add up to 1")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.facts is None:
            self.check_languages()
            self._check_drawn()
        else:
            self._check_handmade()
        self._check_always()
        return self

    def check_languages(self) -> None:
        """Refuse what the number of languages does not allow.

        Raises:
            ValueError: the sentence names the field.
        """
        if self.ratio is not None and len(self.ratio) != self.languages:
            raise ValueError(f"ratio must have {self.languages} shares, one per language")
        if (self.parallel_langs or 2) > self.languages:
            raise ValueError(f"parallel_langs must lie in 2..{self.languages}")
        if self.languages != 2 and any(c.kind == "xor" for c in self.cues):
            raise ValueError(f"cue xor needs languages: 2, not {self.languages}")

    def _check_drawn(self) -> None:
        if self.values % self.languages:
            raise ValueError(
                f"values must be divisible by the number of languages ({self.languages}), "
                f"not {self.values}"
            )
        names = self.entities + self.never_seen
        if self.name_len > 1 and self.name_pool**self.name_len < names:
            raise ValueError(
                f"name_pool ** name_len must be at least entities + never_seen ({names}), not "
                f"{self.name_pool**self.name_len}"
            )
        if self.name_len == 1 and self.name_map == "scrambled":
            raise ValueError("name_map scrambled needs name_len of 2 or more")
        for name in CLASSES:
            total = getattr(self.share, name) + getattr(self.false_friends, name)
            if total > 1 + 1e-9:
                raise ValueError(f"share.{name} + false_friends.{name} must lie in 0..1")
        shared = all(getattr(self.share, name) == 1 for name in CLASSES)
        if shared and any(c.kind == "none" for c in self.cues):
            raise ValueError(
                "cue none needs a share below 1 in some class: with all tokens shared, the "
                "languages are the same string; choose a cue such as tag"
            )

    def _check_handmade(self) -> None:
        for name in (
            "lam", "value_prior", "name_len", "name_pool", "name_map", "false_friends",
            "value_len", "pad_vocab",
        ):  # fmt: skip
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no meaning for hand-made facts; leave it out")
        for name in ("names", "values"):
            if getattr(self.share, name) != ShareConfig.model_fields[name].default:
                raise ValueError(f"share.{name} has no meaning for hand-made facts; leave it out")

    def _check_always(self) -> None:
        if self.train_templates is not None and self.train_templates > self.templates:
            raise ValueError(f"train_templates must lie in 1..{self.templates}")
        if self.exposure == "dup" and self.p > 0:
            raise ValueError("exposure dup is a control without parallel facts; p must be 0")
        if self.exposure != "dup" and self.delta > 0:
            raise ValueError("delta has a meaning only with exposure dup; it must be 0")
        for stage in self.curriculum:
            if stage.p is not None and stage.p > self.p:
                raise ValueError(f"curriculum: p of a stage must lie in 0..{self.p}, the world's p")
        if len({c.length for c in self.cues}) > 1:
            raise ValueError(
                "curriculum: the cues of all stages must have as many tokens as the world's cue"
            )

    @property
    def cues(self) -> list[CueConfig]:
        """The cue of evaluation, and those of all stages."""
        return [self.cue, *(stage.cue for stage in self.curriculum if stage.cue is not None)]

    @property
    def silent(self) -> list[int]:
        """Languages that nothing is told in, by number: no home, and no parallel facts."""
        if self.ratio is None or self.p > 0:
            return []
        return [lang for lang, share in enumerate(self.ratio) if share == 0]

    @property
    def n_train_templates(self) -> int:
        """Wordings in which each entity is shown."""
        return self.train_templates or max(1, self.templates - 1)

    @property
    def prior_exponent(self) -> float:
        """Exponent of the value prior; 0 for a uniform one."""
        found = _ZIPF.fullmatch(self.value_prior)
        return float(found.group(1)) if found else 0.0

    def seed_of(self, name: str) -> int:
        """One of `SEEDS`: as given, or SHA-256 of (seed, name), 63 bits of it."""
        given: int | None = getattr(self.seeds, name)
        return derived_seed(self.seed, name) if given is None else given

    def canonical(self) -> dict[str, Any]:
        """Plain values with all seeds resolved and without the path of hand-made facts."""
        values = self.plain()
        values["seeds"] = {name: self.seed_of(name) for name in SEEDS}
        values["facts"] = self.facts is not None
        del values["seed"]
        if not self.concatenate:  # worlds of the time before this knob keep their identity
            del values["concatenate"]
        return values


def derived_seed(seed: int, name: str) -> int:
    """A seed for one purpose: the first 63 bits of SHA-256 of seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:8]) >> 1
