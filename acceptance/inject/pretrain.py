"""Stage 1: polylore trains the model that facts are put into, once per configuration."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from acceptance.inject.world import World, WorldConfig
from polylore.config import Config, digest
from polylore.files import read_json, read_parquet
from polylore.training.config import ModelConfig, ScheduleConfig, TrainConfig
from polylore.training.loop import train

RATE = 5e-4
"""Learning rate of stage 2; stage 1 ends with it."""
EARLY = 400
"""Step of the early checkpoint."""


class PretrainConfig(Config):
    """Stage 1."""

    world: WorldConfig = WorldConfig()
    documents: int = 92_400
    """Background documents; with 32 rows of 64 tokens they make some 1200 steps."""
    train: TrainConfig = TrainConfig(
        context=64,
        batch_size=32,
        learning_rate=1e-3,
        warmup=100 / 1200,
        final_rate=RATE / 1e-3,
        weight_decay=0.1,
        beta2=0.95,
        precision="float32",
        attention="sdpa",
        compile="never",
        threads=1,
        model=ModelConfig(
            hidden_size=128, layers=4, heads=4, intermediate_size=448, max_positions=64
        ),
        checkpoints=ScheduleConfig(per_decade=0, every=EARLY),
    )


@dataclass(frozen=True)
class Pretrained:
    """A model of stage 1."""

    run: Path
    """Folder of the training run."""
    world: World

    @property
    def log(self) -> pl.DataFrame:
        """Contract `tables.raw.TRAIN_LOG`."""
        return read_parquet(self.run / "train_log.parquet")

    @property
    def gate(self) -> tuple[float, float]:
        """Loss of the first update, and the mean of the last hundred steps."""
        log = self.log
        last = log.filter(pl.col("step") > int(log["step"].max() or 0) - 100)  # type: ignore[arg-type]
        return float(log["loss"][0]), float(last["loss"].mean() or 0.0)  # type: ignore[arg-type]

    @property
    def steps(self) -> int:
        """Updates made."""
        return int(self.log["step"].max() or 0)  # type: ignore[arg-type]


def tell(done: int, total: int, what: str) -> None:
    """Print progress now and then."""
    if done % 100 == 0 or done == total:
        print(f"{what}: {done} of {total}", flush=True)


def _place(folder: Path, config: PretrainConfig) -> Path:
    return folder / f"stage1-{digest(config.plain())[:12]}"


def opened(folder: Path, config: PretrainConfig) -> Pretrained:
    """A model that was trained before; nothing is trained.

    Raises:
        SystemExit: it was not.
    """
    run = _place(folder, config) / "run"
    manifest = run / "manifest.json"
    if not (manifest.is_file() and read_json(manifest).get("finished")):
        raise SystemExit(f"{run} holds no finished training; leave out --page-only to make one")
    return Pretrained(run, World(config.world))


def pretrain(folder: Path, config: PretrainConfig) -> Pretrained:
    """Train the model, or open it if it was trained before with the same configuration.

    Raises:
        SystemExit: the loss is not below a fifth of the first one.
    """
    world = World(config.world)
    place = _place(folder, config)
    world.compose(place / "corpus", config.documents, seed=0)
    world.save_tokenizer(place / "tokenizer")
    run = train(
        place / "corpus",
        place / "run",
        config.train,
        tokenizer=place / "tokenizer",
        progress=tell,
    )
    made = Pretrained(run, world)
    first, last = made.gate
    if last >= first / 5:
        raise SystemExit(f"stage 1 ends with a loss of {last:.3f}, not below {first:.3f} / 5")
    return made
