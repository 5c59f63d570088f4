"""Everything that a generated world can be told (specification of `align`, section 3.7)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from polylore.config import Config
from polylore.text import check_language

Direction = Literal["t>s", "s>t"]


class TargetLanguage(Config):
    """One language that facts should carry over to."""

    lang: str
    """Language code; each target has a world of its own with the same facts."""
    overlap: float = Field(default=0.0, ge=0, le=1)
    """Share of the parts of names that are written as in the source language."""
    script: str | None = None
    """ISO 15924 code of its letters (Latn, Cyrl, Grek, Armn, Geor); by default CLDR's, or Latn."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_language(self.lang)
        return self


class FormConfig(Config):
    """What stands around a question about an invented fact, and around its answer."""

    before: str = ""
    """Text before the question, such as an instruction."""
    between: str = "\n"
    """Text between question and answer."""
    end: str = "\n"
    """Text after the answer in training; asked models stop at a newline or end of text."""


class WorldConfig(Config):
    """A generated world. The defaults are the published design: preset clika."""

    source: str = "en"
    """Language that all facts are taught in."""
    targets: list[TargetLanguage] = Field(default=[TargetLanguage(lang="de")], min_length=1)
    """Languages that they should carry over to, such as [{lang: de, overlap: 0.5}]."""
    relations: int = Field(default=1, ge=1)
    """Relations, each with answers and subjects of its own."""
    answers: int = Field(default=20, ge=2)
    """Answers per relation."""
    subjects: int = Field(default=20, ge=1)
    """Subjects per answer: answers are balanced."""
    taught_in_both: float = Field(default=0.5, ge=0, le=1)
    """Share of each answer's subjects that are of type 0: taught in source and target."""
    parts: int = Field(default=40, ge=2)
    """Parts that names of subjects are made of, per language."""
    length: int = Field(default=2, ge=1, le=4)
    """Parts in a name."""
    shared_answers: float = Field(default=0.0, ge=0, le=1)
    """Share of answers written as in the source: conduction cannot be told from copying there."""
    train_wordings: int = Field(default=10, ge=1)
    """Wordings of a fact in training, per relation and language."""
    test_wordings: int = Field(default=1, ge=1)
    """Other wordings, in which facts are asked afterwards."""
    exposures: int = Field(default=10, ge=1)
    """Training rows per taught fact and language, over the wordings in turn."""
    held_out: Literal["wordings", "pairs"] = "wordings"
    """What tests hold out: wordings that no row has, or of every fact and name one of the training
    wordings, which are known from others then; test_wordings does not count."""
    translate: list[Direction] = Field(default=["t>s"])
    """Directions in which translations are taught."""
    translate_what: Literal["names", "answers", "both"] = "both"
    """What is translated."""
    parallel_exposure: bool = False
    """Also teach facts of type 1 in the target: the ceiling."""
    parallel_sentences: bool = False
    """Also teach sentences about facts of type 0 as translations of each other."""
    code_switched: bool = False
    """Also teach facts of type 0 in source sentences with the target's name of the subject."""
    distractors: int = Field(default=0, ge=0)
    """Rows without facts, half in each language."""
    shuffled: bool = False
    """Teach answers shuffled over the subjects: a control that tests must not find learned."""
    seed: int = 0
    """Seed of everything drawn."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        langs = [target.lang for target in self.targets]
        if len({self.source, *langs}) <= len(langs):
            raise ValueError("source and targets must be different languages")
        wanted = self.relations * self.answers * self.subjects
        if self.parts**self.length < wanted:
            raise ValueError(
                f"{self.parts} parts in names of {self.length} make {self.parts**self.length} "
                f"names, but {wanted} subjects need one; give more parts or length"
            )
        if self.held_out == "pairs" and self.train_wordings < 2:
            raise ValueError("held_out: pairs needs two train_wordings or more")
        check_language(self.source)
        return self


class PrimerConfig(Config):
    """Ordinary facts in the languages of an invented world: what a small start model grows up on.

    The defaults are those of the acceptance experiment (specification of `align`, section 9.6).
    """

    subjects: int = Field(default=200, ge=2)
    """Subjects, named with the same parts as the invented ones, but by other names."""
    relations: int = Field(default=3, ge=1)
    """Relations; every subject has a fact of each."""
    objects: int = Field(default=15, ge=4)
    """Objects per relation, one part each."""
    wordings: int = Field(default=4, ge=2)
    """Wordings of a relation in a language; each fact is told in all but one, which tests it."""
    told: float = Field(default=0.5, ge=0, le=1)
    """Share of the facts that the start model reads in each language but the source."""
    translated: int = Field(default=100, ge=0)
    """Subjects whose names are translated between the source and each other language."""
    instructed: float = Field(default=0.5, gt=0, lt=1)
    """Share of the facts that instruction tuning asks about; the others test it."""
    seed: int = 0
    """Seed of everything drawn."""
