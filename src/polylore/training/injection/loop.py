"""Injection into the sequences of polylore's own training loop."""

from typing import Any

import numpy as np
import polars as pl

from polylore.corpus.injection.format import Encode, RowFormat, Tokens
from polylore.corpus.injection.injector import Injector
from polylore.errors import ConfigError
from polylore.training.packing import Packed
from polylore.training.tokenizer import encode


def loop_format(context: int, tokenizer: Any) -> RowFormat:
    """Rows of the loop: the boundary, documents that each end in it, and padding.

    Args:
        context: tokens that are predicted per sequence.
        tokenizer: tokenizer of the run.
    """
    return RowFormat(context + 1, tokenizer.eos_token_id, tokenizer.pad_token_id, head=1)


def encoder(tokenizer: Any) -> Encode:
    """Token ids of texts, as the loop encodes documents."""
    return lambda texts: encode(tokenizer, texts)


def check_loop(injector: Injector, packed: Packed, tokenizer: Any) -> pl.DataFrame:
    """Refuse a plan that was made for other rows, before the first step.

    Returns:
        The dose in these rows; contract `tables.inject.DOSE`.

    Raises:
        ConfigError: the rows, their number per step or the tokenizer are others.
        DataError: a passage does not fit into its row or lies beyond the last step, or the dose
            exceeds what is allowed.
    """
    form = loop_format(packed.sequences.shape[1] - 1, tokenizer)
    if injector.form != form or injector.batch_size != packed.batch_size:
        raise ConfigError(
            f"The plan is made for {injector.batch_size} rows of {injector.form}, but training "
            f"reads {packed.batch_size} rows of {form}; make the plan with this run's context, "
            "batch_size and tokenizer."
        )
    injector.check_steps(packed.steps)
    size = packed.batch_size

    def real(step: int) -> Tokens:
        own = packed.n_tokens[step * size : (step + 1) * size] + 1
        return np.concatenate([own, np.zeros(size - len(own), dtype=np.int64)])

    return injector.dose_in(real)
