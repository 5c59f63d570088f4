"""Devices that are not there are named before work begins."""

import pytest
import torch

from polylore.errors import ConfigError
from polylore.models.usable import usable


def test_what_is_there_is_given_back() -> None:
    assert usable("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_what_is_not_there_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no device '{name}'.*such as cpu"):
        usable(name)
