"""A key/value cache that does not copy itself for every new token."""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer with room for tokens to come.

    transformers' own dynamic layer concatenates, so each step copies all earlier steps; in small
    models that costs as much as the model itself. Keys and values are views of a larger buffer.
    """

    def __init__(self, filled: DynamicLayer, room: int) -> None:
        """Take over a filled layer and make room for `room` more tokens."""
        super().__init__()
        self.dtype, self.device = filled.keys.dtype, filled.keys.device
        self._buffers = [self._extended(t, room) for t in (filled.keys, filled.values)]
        self.is_initialized = True
        self._show(filled.keys.shape[-2])

    @staticmethod
    def _extended(states: torch.Tensor, room: int) -> torch.Tensor:
        batch, heads, length, width = states.shape
        buffer = states.new_empty(batch, heads, length + room, width)
        buffer[:, :, :length] = states
        return buffer

    def _show(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new states behind the old ones; shapes (batch, heads, new tokens, width)."""
        old, new = self.keys.shape[-2], key_states.shape[-2]
        if old + new > self._buffers[0].shape[-2]:
            self._buffers = [self._extended(t, old + new) for t in (self.keys, self.values)]
        self._buffers[0][:, :, old : old + new] = key_states
        self._buffers[1][:, :, old : old + new] = value_states
        self._show(old + new)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows of the batch."""
        length = self.keys.shape[-2]
        self._buffers = [buffer[indices] for buffer in self._buffers]
        self._show(length)


def make_room(cache: Any, room: int) -> None:
    """Replace the plain layers of a filled cache, in place; layers of other kinds stay."""
    layers = getattr(cache, "layers", [])
    for index, layer in enumerate(layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            layers[index] = RoomyLayer(layer, room)
