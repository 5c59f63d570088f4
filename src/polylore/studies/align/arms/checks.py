"""What would fail only after hours of training, refused before (`align`, 4.7)."""

from collections.abc import Sequence

from polylore.errors import ConfigError
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.recipe import Kitchen
from polylore.studies.align.arms.tree import Node

POOLS = {
    "text": "texts to go on with (data.text)",
    "start": "texts of the start mixture (data.start_text)",
    "question": "questions to tune on (data.questions)",
}
"""Parts of the material in plain words."""


def check_arms(config: ArmsConfig, kitchen: Kitchen, nodes: Sequence[Node]) -> None:
    """Refuse comparisons of arms that there are not, and texts that there are not.

    Args:
        config, kitchen, nodes: the run.

    Raises:
        ConfigError: either of them.
    """
    names = [node.name for node in nodes]
    for one in config.compare:
        absent = [name for name in (one.arm, one.minus) if name not in names]
        if absent:
            raise ConfigError(
                f"compare names the arm '{absent[0]}', which is not trained; there are "
                f"{', '.join(names)}."
            )
    for node in nodes:
        for part, lang in kitchen.read(node):
            there = kitchen.languages(part)
            if lang not in there:
                raise ConfigError(
                    f"Arm {node.name} reads '{lang}', but {POOLS[part]} are in "
                    f"{', '.join(there) or 'no language'}; give such texts, or another language."
                )
