"""A checked plan, ready to be applied to any stream of rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from polylore.config import digest
from polylore.corpus.injection.dose import StepDose, check_dose, dose_table, labelled_tokens
from polylore.corpus.injection.format import RowFormat, Tokens, tokens_digest
from polylore.corpus.injection.transform import (
    AFTER_EOS,
    MODES,
    Block,
    Rows,
    apply,
    check_fits,
    documents,
    labelled,
)
from polylore.errors import DataError
from polylore.tables.inject import PLAN


class Injector:
    """Puts passages into rows, by optimiser step and row of the whole step.

    It holds no state: rows may be asked for in any order, by any number of processes, and a
    resumed run asks for the next step.

    Args:
        plan: contract `tables.inject.PLAN`.
        tokens: tokens of every passage of the plan.
        form: what rows look like.
        batch: rows of a whole optimiser step.
        steps: steps of the run; null if unknown.
        allow_dose: accept any dose; otherwise at most 10 % of rows and 5 % of loss weight. Where
            rows may be padded, the latter is known when they are: by `dose_in` or `check_step`,
            which the streams and data sets of polylore call.

    Raises:
        DataError: the plan is empty, places two passages at one place, or a passage where it does
            not fit, beyond the batch or the run, or exceeds the dose.
    """

    def __init__(
        self,
        plan: pl.DataFrame,
        tokens: Mapping[str, Tokens],
        form: RowFormat,
        batch: int,
        *,
        steps: int | None = None,
        allow_dose: bool = False,
    ) -> None:
        self.plan = PLAN.validate(plan).sort("step", "row", "slot")
        self.form, self.batch_size = form, batch
        self._tokens = tokens
        _check_places(self.plan, batch, None)
        if steps is not None:
            self.check_steps(steps)
        self._blocks = {key: self._block(key, rows) for key, rows in self._grouped().items()}
        self._doses = self._step_doses()
        self._allow_dose = allow_dose
        # Padding makes the share larger, never smaller.
        full = self._table(lambda step: batch * (form.length - 1))
        if not allow_dose:
            check_dose(full, at_least=form.pad is not None)
        unknown = pl.lit(None, dtype=pl.Float64).alias("loss_share")
        self.dose = full if form.pad is None else full.with_columns(unknown)
        """Contract `tables.inject.DOSE`, as far as the plan alone tells: the share of the loss
        weight is null if rows may be padded; `dose_in` finds it."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what is injected: a resumed run must have the same."""
        form = [self.form.length, self.form.eos, self.form.pad, self.form.head, self.batch_size]
        used = {name: self._tokens[name] for name in self.plan["passage_id"].unique()}
        return digest([form, self.plan.to_dicts(), tokens_digest(used)])

    @property
    def weighted(self) -> bool:
        """Whether some injected token has another weight than 1."""
        return bool((self.plan["loss_weight"] != 1).any())

    def row(self, step: int, row: int, tokens_L: Tokens) -> Tokens:
        """One row of a step."""
        return np.asarray(self.rows(step, [row], np.asarray(tokens_L)[None]).tokens[0])

    def rows(self, step: int, rows: Sequence[int] | Tokens, tokens_BL: Any) -> Rows:
        """Rows of a step with their passages.

        Args:
            step: optimiser step, from 0.
            rows: which rows of the whole step these are.
            tokens_BL: their tokens, (B, L).

        Raises:
            DataError: the rows have another length, or a passage does not fit into its row.
        """
        given = np.asarray(tokens_BL)
        numbers = np.asarray(rows, dtype=np.int64)
        self.check_shape(step, len(numbers), given)
        out = given.astype(np.int64)
        weights = np.ones(out.shape, dtype=np.float32)
        for place, number in enumerate(numbers.tolist()):
            block = self._blocks.get((step, number))
            if block is not None:
                out[place], where = apply(block, out[place], self.form)
                weights[place, where] = block.weights
        labels = labelled(out, self.form)
        return Rows(out, labels, weights, documents(out, self.form.eos), step, numbers)

    def check_shape(self, step: int, rows: int, tokens_BL: npt.NDArray[Any]) -> None:
        """Refuse rows of another number or length.

        Raises:
            DataError: they are not what the plan is made for.
        """
        if tokens_BL.shape != (rows, self.form.length):
            raise DataError(
                f"Rows of step {step} have the shape {tokens_BL.shape}; the plan is made for "
                f"{rows} rows of {self.form.length} tokens."
            )

    def check_steps(self, steps: int) -> None:
        """Refuse a run that ends before the plan does, or a plan that places nothing.

        Raises:
            DataError: a passage lies beyond the last step, or there is none.
        """
        if not self.plan.height:
            raise DataError("The plan places nothing; a run with it would show nothing.")
        _check_places(self.plan, self.batch_size, steps)

    def dose_in(self, real: Callable[[int], Tokens]) -> pl.DataFrame:
        """The dose in rows that can be looked at before a run; contract `tables.inject.DOSE`.

        Args:
            real: tokens without padding of every row of a step, (B,); not asked if rows are full.

        Raises:
            DataError: a passage does not fit into its row, or the dose exceeds what is allowed.
        """
        if self.form.pad is None:
            return self.dose
        found = {step: real(step) for step in self._doses}
        for (step, row), block in self._blocks.items():
            check_fits(block, int(found[step][row]), self.form)
        dose = self._table(lambda step: labelled_tokens(found[step]))
        if not self._allow_dose:
            check_dose(dose)
        return dose

    def check_step(self, step: int, labelled: int) -> None:
        """Refuse the dose of a step whose rows became known only now, before its update.

        Args:
            step: optimiser step, from 0.
            labelled: labelled tokens of all its rows; the first of a row is none.

        Raises:
            DataError: the dose exceeds what is allowed.
        """
        own = self._doses.get(step)
        if own is not None and not self._allow_dose:
            check_dose(dose_table({step: own}, self.batch_size, lambda _: labelled))

    def _grouped(self) -> dict[tuple[int, int], list[dict[str, Any]]]:
        groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for part in self.plan.iter_rows(named=True):
            groups.setdefault((part["step"], part["row"]), []).append(part)
        return groups

    def _block(self, key: tuple[int, int], parts: list[dict[str, Any]]) -> Block:
        """The passages of one row as one piece."""
        names = ", ".join(part["passage_id"] for part in parts)
        where = f"Passage {names} (step {key[0]}, row {key[1]})"
        modes = {part["mode"] for part in parts}
        if len(modes) > 1 or not modes <= set(MODES):
            raise DataError(f"{where} has the modes {', '.join(sorted(modes))}; one row has one.")
        if modes == {"own_row"} and len(parts) > 1:
            raise DataError(f"{where} should have its row to itself, but shares it.")
        pieces, weights = [], []
        for part in parts:
            piece = self._piece(part, where)
            pieces.append(piece)
            weights.append(np.full(len(piece), part["loss_weight"], dtype=np.float32))
        tokens = np.concatenate(pieces)
        if len(tokens) > self.form.capacity:
            raise DataError(
                f"{where} has {len(tokens)} tokens with its boundaries, but a row of "
                f"{self.form.length} holds {self.form.capacity}; use longer rows, fewer passages "
                "per row, or split the passage."
            )
        return Block(modes.pop(), tokens, np.concatenate(weights), where)

    def _piece(self, part: dict[str, Any], where: str) -> Tokens:
        whole = self._tokens.get(part["passage_id"])
        if whole is None:
            raise DataError(f"{where} is in the plan, but not among the passages.")
        end = part["offset"] + part["n_tokens"]
        if part["n_tokens"] < 1 or part["offset"] < 0 or end > len(whole):
            raise DataError(
                f"{where}: the plan places tokens {part['offset']} to {end} of a passage of "
                f"{len(whole)}; it was made with other passages or another tokenizer."
            )
        piece = whole[part["offset"] : end]
        if (piece == self.form.eos).any():
            raise DataError(f"{where} holds the boundary token {self.form.eos} inside its text.")
        return np.append(piece, self.form.eos) if end == len(whole) else piece

    def _step_doses(self) -> dict[int, StepDose]:
        groups: dict[int, list[Block]] = {}
        for (step, _), block in self._blocks.items():
            groups.setdefault(step, []).append(block)
        doses = {}
        for step, blocks in groups.items():
            weights = [self._predicted(block) for block in blocks]
            doses[step] = StepDose(
                rows=len(blocks),
                tokens=sum(len(block.tokens) for block in blocks),
                predicted=sum(map(len, weights)),
                weight=float(sum(own.sum(dtype=np.float64) for own in weights)),
            )
        return doses

    def _predicted(self, block: Block) -> npt.NDArray[np.float32]:
        """Weights of those tokens of a block that are predicted: not of one that opens its row."""
        opens = self.form.head == 0 and block.mode != AFTER_EOS
        return block.weights[1:] if opens else block.weights

    def _table(self, labelled: Callable[[int], int]) -> pl.DataFrame:
        return dose_table(self._doses, self.batch_size, labelled)


def _check_places(plan: pl.DataFrame, batch: int, steps: int | None) -> None:
    for bad, what in (
        ((pl.col("row") < 0) | (pl.col("row") >= batch), f"there are {batch} rows"),
        (pl.col("step") < 0, "steps start at 0"),
        (pl.col("step") >= (2**62 if steps is None else steps), f"the run has {steps} steps"),
        (pl.col("loss_weight") <= 0, "weights are positive"),
    ):
        found = plan.filter(bad)
        if found.height:
            row = found.row(0, named=True)
            raise DataError(
                f"The plan places passage {row['passage_id']} at step {row['step']}, row "
                f"{row['row']}, weight {row['loss_weight']}, but {what}."
            )
