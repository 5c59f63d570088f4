"""float64 from the first operation to the last, where a model was loaded in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in the format that sums and logarithms are taken in: float64 stays, else float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@contextmanager
def unrounded(dtype: torch.dtype) -> Iterator[None]:
    """No operation on a float64 tensor gives float32 inside; nothing changes in other formats.

    The models of transformers ask for float32 where half precision would be too coarse, in norms
    and routers for instance, and so round a model in float64 in the middle of every layer.

    Args:
        dtype: format of the model's weights.
    """
    if dtype != torch.float64:
        yield
        return
    with _Unrounded():
        yield


class _Unrounded(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64:
            if func is torch.Tensor.float:
                return args[0]
            args = tuple(_widened(arg) for arg in args)
            kwargs = {name: _widened(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _widened(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value
