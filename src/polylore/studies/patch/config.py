"""Everything that `patch` can be told, with the default and the published form of each choice."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from polylore.config import Config
from polylore.errors import ConfigError
from polylore.studies.patch.planning.settings import (
    CONTROLS,
    FURTHER,
    OF_SEEN,
    PIVOT,
    SEEN,
    SETTINGS,
    UNPATCHED,
    Pair,
    read_pair,
)
from polylore.studies.series import SeriesConfig

if TYPE_CHECKING:
    from polylore.facts.lexicon import Lexicon


C = TypeVar("C", bound=Config)


class LexiconConfig(Config):
    """Which concepts, and which words name them."""

    source: str = "cldr"
    """Lexicon: cldr (built in), a Multi-SimLex file, an exported lexicon, a table of words."""
    recovery: Literal["segment", "repeat"] = "segment"
    """Multi-SimLex: how multi-word forms are found."""
    first_form: Literal["majority", "stacking"] = "majority"
    """Multi-SimLex: form shown in prompts: that of most slots, or the first one stacked (paper)."""
    pos: str | None = "nouns"
    """Multi-SimLex: part of speech to keep; all if null."""
    subset: Literal["objects", "all"] = "objects"
    """CLDR: leave signs and punctuation out (objects), or keep all."""

    def load(self, languages: list[str]) -> "Lexicon":
        """The lexicon in the languages of a plan."""
        from polylore.facts.lexicon import load_lexicon

        return load_lexicon(self.source, languages, **self.model_dump(exclude={"source"}))


class FamilyConfig(Config):
    """A setting of one's own: vectors from named language pairs."""

    name: str = Field(min_length=1)
    """Name of the setting."""
    sources: list[str] = Field(min_length=1)
    """Language pairs of the source prompts that are averaged, such as de-it."""
    pairs: list[str] | None = None
    """Language pairs of the target prompt that it is for; all of the plan if not given."""
    intervention: str = Field(
        default="object:onset", pattern=r"^(object|span|last_token):(onset|single|window\d+)$"
    )
    """Site and reach of the patch: object, span or last_token; onset, single or window<k>."""


class PlanConfig(Config):
    """Which prompts are put before the model, and where the vectors come from."""

    pairs: list[str] | None = None
    """Language pairs of the target prompts, such as fr-en (with subtags: zh-Hant>en)."""
    seen: list[str] = Field(default=list(SEEN))
    """Languages that the model is known to be trained on."""
    pivot: str = PIVOT
    """Language that the shared space is made without, beside those of the target prompt."""
    languages: list[str] = Field(default=[])
    """Further languages in which naming a concept is looked for."""
    names: dict[str, str] = Field(default={})
    """What languages call themselves, where polylore does not know: {LANG: NAME}."""
    n_pairs: int = Field(default=256, ge=1)
    """Pairs of source and target concepts."""
    n_shots: int = Field(default=5, ge=1)
    """Demonstrations before each query."""
    seed: int = 42
    """Seed of pairs, demonstrations and draws."""
    settings: list[str] = Field(default=[*SETTINGS, *CONTROLS])
    """Settings and controls to make; further: seen_without, seen_balanced."""
    families: list[FamilyConfig] = Field(default=[])
    """Settings of one's own, as a list of {name, sources, pairs, intervention}."""
    intervention: str = Field(
        default="object:onset", pattern=r"^(object|span|last_token):(onset|single|window\d+)$"
    )
    """Site and reach of all other patches."""
    source_pairs: list[str] | None = None
    """Language pairs that the shared space may be made of, if not all of the seen ones."""
    allow_small_k: bool = False
    """Allow a shared space of fewer than 6 language pairs."""
    samek: list[int] = Field(default=[1, 2, 5, 10])
    """Numbers of language pairs that the control samek averages."""
    samek_draws: int = Field(default=5, ge=1)
    """Draws of the language pairs for each of these numbers."""
    boundary: Literal["repair", "drop", "split"] = "repair"
    """Object that merges with the closing quote: repair the ids, drop the pair, or always split."""
    compatible: Literal["languages", "cells"] = "languages"
    """First tokens of s and t differ in all languages of the plan, or in the asked cells alone."""
    compatible_shots: bool = False
    """Demonstrations share no first token with s and t either."""
    separable_only: bool = False
    """Only pairs whose words differ in and across languages."""
    match_length: bool = False
    """Only pairs whose shown words have equally many tokens."""
    accepted: Literal["sense", "all"] = "sense"
    """Forms that count: those of the prompt form's sense row, or all forms of the word (paper)."""

    @field_validator("settings")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        known = (*SETTINGS, *CONTROLS, *FURTHER)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"no setting {', '.join(unknown)}; there are {', '.join(known)}")
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            for text in (*(self.pairs or ()), *(self.source_pairs or ())):
                read_pair(text)
            for family in self.families:
                for text in (*family.sources, *(family.pairs or ())):
                    read_pair(text)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        names = [family.name for family in self.families]
        taken = {*SETTINGS, *CONTROLS, *FURTHER}
        if len(set(names)) < len(names) or taken & set(names):
            raise ValueError("families need names of their own, each once")
        if any(k < 1 for k in self.samek):
            raise ValueError("samek lists numbers of language pairs, 1 or more")
        return self

    @property
    def target_pairs(self) -> list[Pair]:
        """Language pairs of the target prompts.

        Raises:
            ConfigError: none is given, or one is of a single language.
        """
        pairs = list(dict.fromkeys(map(read_pair, self.pairs or ())))
        if not pairs:
            raise ConfigError("plan.pairs must name the language pairs to ask, such as fr-en.")
        same = [a for a, b in pairs if a == b]
        if same:
            raise ConfigError(f"plan.pairs: {same[0]}-{same[0]} is no pair of two languages.")
        return pairs

    @property
    def all_languages(self) -> list[str]:
        """Every language of the plan: seen ones, the pivot, those of all pairs, further ones."""
        families = [read_pair(t) for f in self.families for t in (*f.sources, *(f.pairs or ()))]
        sources = [read_pair(text) for text in self.source_pairs or ()]
        named = [lang for pair in (*self.target_pairs, *sources, *families) for lang in pair]
        shared = self.seen if OF_SEEN & set(self.settings) else []
        return list(dict.fromkeys([self.pivot, *shared, *named, *self.languages]))


class PatchConfig(Config):
    """Configuration of the study `patch`."""

    model: str
    """Folder with checkpoints (or one checkpoint) to patch, or a hub model: ORG/NAME[+ORG/NAME]."""
    tokenizer: str | None = None
    """Folder or hub repository of the tokenizer; by default the model's."""
    preset: Literal["default", "paper", "dumas"] = "default"
    """Corrected form (default), or the published form of one of two studies."""
    series: SeriesConfig = SeriesConfig()
    """Which checkpoints, and how those on the hub are fetched."""
    lexicon: LexiconConfig = LexiconConfig()
    """Which concepts, and which words name them."""
    plan: PlanConfig = PlanConfig()
    """Which prompts are put before the model, and where the vectors come from."""

    def effective_lexicon(self) -> LexiconConfig:
        """`lexicon` with the published values of the preset where nothing else was said."""
        published = {"first_form": "stacking"} if self.preset == "paper" else {}
        return _with(self.lexicon, published)

    def effective_plan(self) -> PlanConfig:
        """`plan` with the published values of the preset where nothing else was said.

        Source: specification of `patch`, section 2, presets.
        """
        if self.preset == "paper":
            return _with(self.plan, {"accepted": "all"})
        return _with(self.plan, DUMAS) if self.preset == "dumas" else self.plan


def _with(config: C, values: Mapping[str, object]) -> C:
    said = config.model_fields_set
    return config.model_copy(update={k: v for k, v in values.items() if k not in said})


_MEAN = ["de-it", "nl-fi", "zh-es", "es-ru", "ru-ko"]
DUMAS: dict[str, object] = {
    "pairs": ["fr-zh", "fr-et"],
    "seen": ["en", "de", "it", "fr", "zh", "nl", "fi", "es", "ru", "ko", "et", "hi"],
    "n_pairs": 200,
    "settings": list(UNPATCHED),
    "compatible": "cells",
    "accepted": "all",
    "families": [
        FamilyConfig(
            name="dumas_last_token",
            sources=["de-it"],
            pairs=["fr-zh"],
            intervention="last_token:single",
        ),
        FamilyConfig(name="dumas_single", sources=["de-it"]),
        FamilyConfig(name="dumas_mean", sources=_MEAN, pairs=["fr-zh"]),
        FamilyConfig(
            name="dumas_mean_hi",
            sources=[f"{lang}-hi" for lang in ("de", "nl", "zh", "es", "ru")],
            pairs=["fr-et"],
        ),
    ],
}
"""Values of `preset="dumas"`: last-token, single-source and mean patches of Dumas et al. 2025."""
