"""Packages that only reading and counting large corpora needs; imported when they are used."""

from importlib import import_module
from typing import Any

from polylore.errors import ConfigError


def require(module: str, extra: str = "corpus") -> Any:
    """Import a package of an extra.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"This needs the package {module.split('.')[0]}; install it with "
            f"`pip install 'polylore[{extra}]'`."
        ) from error
