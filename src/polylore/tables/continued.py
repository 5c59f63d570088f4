"""Contract of continued training."""

import polars as pl

from polylore.tables.contract import Column, Table

UPDATES = Table(
    "updates",
    "Continued training, update by update.",
    (
        Column("t", pl.Int64(), "updates made, this one included", "steps"),
        Column("global_step", pl.Int64(), "step of the checkpoint plus t", "steps"),
        Column("tokens", pl.Int64(), "tokens read so far, padding left out", "tokens"),
        Column("loss_tokens", pl.Int64(), "tokens predicted so far", "tokens"),
        Column("lr", pl.Float64(), "learning rate of this update"),
        Column("sum_lr", pl.Float64(), "sum of the learning rates so far"),
        Column("loss", pl.Float64(), "weighted loss of the batch", "nats per token"),
        Column("grad_norm", pl.Float64(), "norm of the gradient before clipping"),
        Column("update_norm", pl.Float64(), "norm of the update; null if not read", "", True),
    ),
    key=("t",),
    raw=True,
)

EVAL_LOSS = Table(
    "eval_loss",
    "Loss on texts that are not trained on.",
    (
        Column("t", pl.Int64(), "updates made", "steps"),
        Column("set", pl.String(), "name of the texts, such as their language"),
        Column("n_tokens", pl.Int64(), "tokens predicted", "tokens"),
        Column("loss", pl.Float64(), "mean cross-entropy", "nats per token"),
    ),
    key=("t", "set"),
    raw=True,
)
