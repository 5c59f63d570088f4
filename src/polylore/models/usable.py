"""Whether a device is there, known before work begins on it."""

import torch

from polylore.errors import ConfigError


def usable(device: str | torch.device) -> torch.device:
    """The device, if torch can compute on it here.

    Raises:
        ConfigError: torch knows no such device, or this machine or build of torch has none.
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"There is no device '{device}' for torch here "
            f"({str(error).splitlines()[0].rstrip('.')}); take another, such as cpu."
        ) from error
    return found
