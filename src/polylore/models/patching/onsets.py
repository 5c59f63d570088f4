"""From which layer on, and for how many layers, the residual stream is overwritten.

Layers are counted as in the specification of `patch`, section 2: layer l is the output of block l,
layer -1 the input of block 0. Onset j with `depth` d overwrites layers j to j + d - 1; without
`depth` it overwrites all from j on. Depth 1 is a patch of a single layer, a larger one a window.
"""

from collections.abc import Sequence

from polylore.errors import ConfigError

CLEAN = None
"""Instead of an onset: nothing is overwritten."""


def forced(layer: int, onset: int, depth: int | None) -> bool:
    """Whether a patch with this onset overwrites this layer."""
    return onset <= layer and (depth is None or layer < onset + depth)


def checked(onsets: Sequence[int], layers: int, depth: int | None) -> list[int]:
    """The onsets, if they are ascending layers of the model.

    Raises:
        ConfigError: they are not, or a depth below one.
    """
    if list(onsets) != sorted(set(onsets)) or any(not -1 <= j < layers for j in onsets):
        raise ConfigError(
            f"Onsets must be ascending layers from -1 to {layers - 1}, not {list(onsets)}."
        )
    if depth is not None and depth < 1:
        raise ConfigError(f"A patch must overwrite at least one layer, not {depth}.")
    return list(onsets)
