"""What is measured of a run at one of its evaluations: raw tables, and nothing interpreted."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from polylore.facts.worlds import POPULATIONS, Renderings, World
from polylore.metrics.unification import (
    VARIANTS,
    Cells,
    Said,
    Variant,
    What,
    answer_rows,
    measure,
    probe_rows,
    value_rows,
)
from polylore.studies.unify.config import MeasureConfig
from polylore.studies.unify.sample import Sample, samples
from polylore.tables import unify as tables
from polylore.training.tiny.measure import answers, states
from polylore.training.tiny.stack import TinyModel

_ALWAYS = (Variant(), Variant(center="lang"))
_ASKED_VALUES = ("never_seen", "mono_unseen")
"""Populations whose probabilities of all values are kept."""
Frames = dict[str, pl.DataFrame]


@dataclass(eq=False)
class Meter:
    """Measures the models of one run; everything that stays the same is made once."""

    world: World
    run_hash: str
    config: MeasureConfig
    prompts: Renderings = field(init=False)
    samples: list[Sample] = field(init=False)

    def __post_init__(self) -> None:
        world = self.world
        self.prompts = world.evaluation(np.arange(len(world.fact)))
        self.samples = samples(world, self.config.items, populations=self.config.populations)
        self._cells = Cells(
            fact_ids=world.facts["fact_id"].to_list(),
            populations=world.facts["population"].to_list(),
            relation_C=world.relation,
            lang_C=world.lang,
            value_C=world.value,
            languages=world.languages,
            relations=world.relations,
            value_tokens_RLVK=world.value_tokens,
            owner_V=world.value_owner,
        )

    def __call__(
        self, model: TinyModel, step: int, tokens: int | None, *, first: bool, last: bool
    ) -> Frames:
        """Everything that is due at an evaluation."""
        found = self.answers(model, step, tokens)
        ends = first or last
        if ends or self.config.scores == "all":
            found |= self.scores(model, step, self.samples if last else self.samples[:2], last=last)
            found["unify_probe"] = self.probes(model, step, codelength=ends)
            found["unify_states"] = self.states(model, step)
        return found

    def answers(self, model: TinyModel, step: int, tokens: int | None) -> Frames:
        """Answers to all evaluation prompts, and probabilities of values."""
        world, prompts = self.world, self.prompts
        languages = len(world.languages)
        group = world.relation[prompts.cell] * languages + world.lang[prompts.cell]
        candidates = world.value_tokens.reshape(-1, *world.value_tokens.shape[2:])
        said = answers(model, prompts.tokens, prompts.gold, candidates, group)
        rows = answer_rows(
            Said(
                cell_M=prompts.cell,
                template_M=prompts.template,
                cue_M=prompts.cue_draw,
                pred_tokens_MK=said.pred,
                logp_gold_M=said.logp_gold,
                rank_M=said.rank,
                restricted_M=said.restricted,
                probs_MV=said.probabilities,
            ),
            self._cells,
            run_hash=self.run_hash,
            step=step,
            tokens=tokens,
        )
        wanted = [POPULATIONS.index(name) for name in _ASKED_VALUES]
        kept = np.isin(world.population[prompts.cell], wanted)
        shares = value_rows(
            said.probabilities[kept],
            prompts.cell[kept],
            self._cells,
            run_hash=self.run_hash,
            step=step,
        )
        return {"unify_answers": rows, "unify_values": shares}

    def scores(
        self, model: TinyModel, step: int, chosen: list[Sample], *, last: bool, init: int = 0
    ) -> Frames:
        """What items contribute to the unification scores."""
        sims, grid = [], []
        for number, sample in enumerate(chosen):
            headline = number < 2
            variants = VARIANTS if last and headline and self.config.variants else _ALWAYS
            found = measure(
                sample_states(model, sample),
                sample.items,
                self._what(sample, step, init),
                languages=self.world.languages,
                positions=sample.positions,
                variants=variants if headline else _ALWAYS[:1],
                seed=self.world.config.seed_of("eval") % 2**32,
            )
            sims.append(found[0])
            grid.append(found[1])
        if not sims:
            return {"unify_sims": tables.SIMS.empty(), "unify_grid": tables.GRID.empty()}
        return {"unify_sims": pl.concat(sims), "unify_grid": pl.concat(grid)}

    def probes(self, model: TinyModel, step: int, *, codelength: bool) -> pl.DataFrame:
        """How well the language can be read from the states of the headline items."""
        if not self.samples:
            return tables.PROBE.empty()
        sample = self.samples[0]
        return probe_rows(
            sample_states(model, sample),
            sample.items.entities,
            self._what(sample, step, 0),
            positions=list(sample.positions),
            codelengths=codelength and self.config.codelength,
            seed=self.world.config.seed_of("eval") % 2**32,
        )

    def states(self, model: TinyModel, step: int) -> pl.DataFrame:
        """Vectors of the first headline items, for figures: name and answer position."""
        if not self.config.states or not self.samples:
            return tables.STATES.empty()
        sample = self.samples[0]
        kept = slice(0, self.config.states)
        found = states(model, sample.prompts[kept].reshape(-1, self.world.prompt_len))
        at = sorted({self.world.name_span[1] - 1, self.world.prompt_len - 1})
        most = np.finfo(np.float16).max  # of a run about to diverge they may be larger
        half = found[:, :, at].clip(-most, most).astype("<f2")
        shape = (len(sample.facts[kept]), len(self.world.languages), half.shape[1], len(at))
        index = np.indices(shape).reshape(4, -1)
        names = pl.Series(sample.items.fact_ids, dtype=pl.String)
        langs = pl.Series(self.world.languages, dtype=pl.String)
        frame = pl.DataFrame(
            {
                "item": names.gather(index[0]),
                "lang": langs.gather(index[1]),
                "layer": index[2].astype(np.int32),
                "position": np.array(at, dtype=np.int32)[index[3]],
                "vector": [row.tobytes() for row in half.reshape(-1, half.shape[-1])],
            }
        )
        return tables.STATES.validate(
            frame.with_columns(
                run_hash=pl.lit(self.run_hash), step=pl.lit(step), item_kind=pl.lit(sample.kind)
            )
        )

    def _what(self, sample: Sample, step: int, init: int) -> What:
        return What(self.run_hash, step, sample.kind, sample.population, init)


def sample_states(model: TinyModel, sample: Sample) -> np.typing.NDArray[np.float32]:
    """[items, languages, hidden states, positions, width]."""
    n, languages, length = sample.prompts.shape
    found = states(model, sample.prompts.reshape(-1, length))
    chosen = found[:, :, list(sample.positions)]
    return chosen.reshape(n, languages, *chosen.shape[1:])
