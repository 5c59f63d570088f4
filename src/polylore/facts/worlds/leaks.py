"""Are held-out prompts in training? Decided by enumeration, never by the name of a cue.

E is the set of all evaluation prompts of held-out cells (all cue draws and wordings), T that of all
prompts that training can show, both as tuples of token ids; they must not meet. A prompt is a cue
and a body (name, relation). Bodies are compared as a whole, and cues language by language, so that
many synonyms cost nothing. Source: specification of `unify`, section 3.3.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylore.errors import ConfigError
from polylore.facts.worlds.cues import Cue
from polylore.facts.worlds.world import World

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

HELD_OUT = 2
"""Position of `mono_unseen` among the populations."""


@dataclass(frozen=True, eq=False)
class LeakReport:
    """What was found."""

    n_eval: int
    """Size of E, prompts."""
    n_train: int
    """Size of T, prompts."""
    n_leaks: int
    """Held-out cells of which a prompt is in T."""
    n_same: int
    """Cells of which a prompt is also one of a cell in another language."""
    n_templates: int
    """Held-out cells that are asked in a wording in which training shows their fact."""
    per_epoch: tuple[float, ...]
    """Presentations per held-out cell and epoch that show its prompt or share its wording; one
    number per stage."""
    epoch_sizes: tuple[int, ...]
    """Presentations per epoch in every stage."""
    stage_steps: tuple[int, ...]
    """Steps of all stages but the last."""
    examples: tuple[str, ...]
    """Three such prompts at most."""

    @property
    def clean(self) -> bool:
        """Whether nothing leaks."""
        return not (self.n_leaks or self.n_same or self.n_templates)

    def expected(self, steps: int, batch_size: int) -> float:
        """Expected presentations per held-out cell that should not be, in a whole training."""
        total, left = 0.0, steps
        lengths = [*self.stage_steps, steps]
        for rate, size, length in zip(self.per_epoch, self.epoch_sizes, lengths, strict=True):
            own = min(left, length)
            total += rate * own * batch_size / size
            left -= own
        return total

    def sentence(self, steps: int | None = None, batch_size: int | None = None) -> str:
        """One sentence for the error and the card."""
        if self.clean:
            return (
                f"No held-out prompt is in training ({self.n_eval} prompts against {self.n_train})."
            )
        found = []
        if self.n_same:
            found.append(f"{self.n_same} cells are asked with a prompt of another language")
        if self.n_leaks:
            found.append(f"prompts of {self.n_leaks} held-out cells are in training")
        if self.n_templates:
            found.append(
                f"{self.n_templates} held-out cells are asked in a wording in which training shows "
                "their fact"
            )
        rate = max(self.per_epoch)
        count = f"{rate:.4g} such presentations per held-out cell and epoch"
        if steps is not None and batch_size is not None:
            count += f", {self.expected(steps, batch_size):.4g} in {steps} steps of {batch_size}"
        examples = "; ".join(repr(text) for text in self.examples)
        return f"{' and '.join(found)}: expect {count}; for example {examples}."


def check_leaks(world: World) -> LeakReport:
    """Enumerate what is asked and what is shown, and see whether they meet."""
    return _Check(world).report()


def refuse_leaks(report: LeakReport, steps: int | None = None, batch: int | None = None) -> None:
    """Refuse a world that leaks.

    Raises:
        ConfigError: with three example prompts and the expected number of leaks.
    """
    if not report.clean:
        raise ConfigError(
            f"The world leaks: {report.sentence(steps, batch)} Choose another cue, share fewer "
            "tokens or hold wordings out; allow_leak: true makes it all the same, marked leaky."
        )


class _Check:
    def __init__(self, world: World) -> None:
        self.world = world
        held = np.flatnonzero(world.population == HELD_OUT)
        asked = np.flatnonzero(world.population <= HELD_OUT)
        stages = [self._shown(number) for number in range(len(world.stage_weights))]
        bodies = [
            _bodies(world, held, world.eval_templates),
            _bodies(world, asked, world.eval_templates),
            *(bodies for bodies, _ in stages),
        ]
        ids = np.unique(np.concatenate(bodies), axis=0, return_inverse=True)[1].ravel()
        parts = np.split(ids, np.cumsum([len(own) for own in bodies])[:-1])
        n_templates = world.eval_templates.shape[1]
        self.eval = self._frame(parts[0], np.repeat(held, n_templates))
        self.asked = self._frame(parts[1], np.repeat(asked, n_templates))
        self.train = [
            rows.with_columns(body=pl.Series(part))
            for part, (_, rows) in zip(parts[2:], stages, strict=True)
        ]

    def _frame(self, body: Ids, cell: Ids) -> pl.DataFrame:
        return pl.DataFrame({"body": body, "cell": cell, "lang": self.world.lang[cell]})

    def _shown(self, stage: int) -> tuple[Ids, pl.DataFrame]:
        """Bodies that a stage can show, and their cell, language and presentations per epoch."""
        world = self.world
        weights = world.stage_weights[stage]
        cells = np.flatnonzero(weights)
        n = world.train_templates.shape[1]
        parts = []
        ways = world.switches(cells)
        for (name, by_name), (word, by_word) in product(ways, ways):
            prob = by_name * by_word
            template = world.train_templates[cells]
            relation = world.relation_tokens[
                world.relation[cells][:, None], world.lang[word][:, None], template
            ]
            names = np.repeat(world.name_tokens[name][:, None], n, axis=1)
            body = np.concatenate([names, relation[..., None]], axis=2)
            each = np.repeat((weights[cells] * prob / n)[:, None], n, axis=1)
            keep = each > 0
            parts.append((body[keep], np.repeat(cells[:, None], n, axis=1)[keep], each[keep]))
        bodies, cell, each = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return bodies, pl.DataFrame({"cell": cell, "lang": world.lang[cell], "weight": each})

    @cached_property
    def _overlap(self) -> list[Floats]:
        """[stages][languages, languages] P(cue of training in l is one of evaluation in l')."""
        shown = self.world.cue.shown
        return [_overlap(cue, shown) for cue in self.world.stage_cues]

    def report(self) -> LeakReport:
        world, pairs = self.world, []
        for number, (train, overlap) in enumerate(zip(self.train, self._overlap, strict=True)):
            met = self.eval.join(train, on="body", suffix="_train")
            share = overlap[met["lang_train"].to_numpy(), met["lang"].to_numpy()]
            met = met.with_columns(stage=pl.lit(number), leak=met["weight"] * pl.Series(share))
            pairs.append(met.filter(pl.col("leak") > 0).select("cell", "stage", "leak"))
        leaks, same, wordings = pl.concat(pairs), self._same(), self._wordings()
        found = pl.concat([leaks, wordings])
        held = max(1, self.eval["cell"].n_unique())
        rates = [
            float(found.filter(pl.col("stage") == s)["leak"].sum()) / held
            for s in range(len(self.train))
        ]
        # Where every cell is shown there is no held-out one; what is the same is the example then.
        cells = [*found["cell"].unique(maintain_order=True).head(3), *same[:3]][:3]
        return LeakReport(
            n_eval=_distinct([self.eval], [world.cue.shown]),
            n_train=_distinct(self.train, [_support(cue) for cue in world.stage_cues]),
            n_leaks=leaks["cell"].n_unique(),
            n_same=len(same),
            n_templates=wordings["cell"].n_unique(),
            per_epoch=tuple(rates),
            epoch_sizes=tuple(int(weights.sum()) for weights in world.stage_weights),
            stage_steps=tuple(stage.steps for stage in world.config.curriculum[:-1]),
            examples=tuple(world.facts["prompt"][int(cell)] for cell in cells),
        )

    def _same(self) -> list[int]:
        """Cells that share an evaluation prompt with a cell of another language."""
        shown = self.world.cue.shown
        alike = np.array([[_meet(a, b) for b in shown] for a in shown])
        np.fill_diagonal(alike, False)
        if not alike.any():
            return []
        met = self.asked.join(self.asked, on="body", suffix="_other")
        both = alike[met["lang"].to_numpy(), met["lang_other"].to_numpy()]
        return met.filter(pl.Series(both))["cell"].unique(maintain_order=True).to_list()

    def _wordings(self) -> pl.DataFrame:
        """Presentations of a held-out cell's fact in wordings that are kept for its evaluation."""
        world, rows = self.world, []
        shares = np.zeros(len(world.fact))
        if world.config.templates > 1:
            both = world.eval_templates[:, :, None] == world.train_templates[:, None, :]
            shares = both.any(axis=1).mean(axis=1)
        held = np.flatnonzero((world.population == HELD_OUT) & (shares > 0))
        siblings = world.cell_of[world.fact[held]]
        for number, weights in enumerate(world.stage_weights):
            told = np.where(siblings >= 0, weights[siblings], 0).sum(axis=1)
            rows.append(
                pl.DataFrame(
                    {
                        "cell": held,
                        "stage": np.full(len(held), number),
                        "leak": told * shares[held],
                    },
                    schema={"cell": pl.Int64(), "stage": pl.Int32(), "leak": pl.Float64()},
                )
            )
        return pl.concat(rows)


def _bodies(world: World, cells: Ids, templates: Ids) -> Ids:
    """[cells x templates, name_len + 1] tokens of name and relation."""
    wordings = templates[cells]
    n = wordings.shape[1]
    relation = world.relation_tokens[
        world.relation[cells][:, None], world.lang[cells][:, None], wordings
    ]
    names = np.repeat(world.name_tokens[cells], n, axis=0)
    return np.concatenate([names, relation.reshape(-1, 1)], axis=1)


def _support(cue: Cue) -> list[Ids]:
    """[languages][variants, length] cues that training can show."""
    return [own[prob > 0] for own, prob in zip(cue.tokens, cue.prob, strict=True)]


def _overlap(cue: Cue, shown: Ids) -> Floats:
    asked = [{tuple(row) for row in own.tolist()} for own in shown]
    return np.array(
        [
            [
                sum(p for row, p in zip(own.tolist(), prob, strict=True) if tuple(row) in there)
                for there in asked
            ]
            for own, prob in zip(cue.tokens, cue.prob, strict=True)
        ]
    )


def _meet(a: Ids, b: Ids) -> bool:
    return bool({tuple(row) for row in a.tolist()} & {tuple(row) for row in b.tolist()})


def _distinct(frames: list[pl.DataFrame], cues: list[Ids] | list[list[Ids]]) -> int:
    """Number of different prompts, given bodies with languages and the cues of each stage."""
    pairs = pl.concat(
        [
            frame.select("body", key=pl.col("lang") + 1000 * number).unique()
            for number, frame in enumerate(frames)
        ]
    )
    groups = pairs.group_by("body").agg(pl.col("key").sort()).group_by("key").len()
    total = 0
    for keys, n in groups.iter_rows():
        rows = {tuple(row) for key in keys for row in cues[key // 1000][key % 1000].tolist()}
        total += n * len(rows)
    return total
