"""Command-line flags made from configuration classes.

One definition serves all: each field of a `Config` becomes a key in YAML, a flag `--section.field`
and a line of help. Later wins: defaults, then the YAML file, then flags, then `--set`.
"""

import types
import typing
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from polylore.config import Config
from polylore.errors import ConfigError

C = TypeVar("C", bound=Config)
F = TypeVar("F", bound=Callable[..., Any])


def config_options(
    model: type[Config],
    *,
    positional: str | None = None,
    short: Sequence[str] = (),
    study: bool = True,
) -> Callable[[F], F]:
    """Give a command the argument STUDY (YAML file), `--set`, and one flag per field of `model`.

    Args:
        model: the configuration class.
        positional: field that may also be given as the argument itself: an argument ending in
            .yaml or .yml is a study file, any other is the value of this field.
        short: fields whose flag also goes without its section (`--executor`).
        study: whether the command takes the argument STUDY.
    """

    def decorate(command: F) -> F:
        for name, field in reversed(list(_leaves(model))):
            flag = name.replace("_", "-")
            command = click.option(
                *([f"--{flag.rpartition('.')[2]}"] if name in short else []),
                f"--{flag}",
                _parameter(name),
                metavar=_metavar(field),
                help=_help(field),
            )(command)
        command = click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any setting as YAML, for example facts.languages='[en, fr]'; may be repeated.",
        )(command)
        if not study:
            return command
        metavar = f"[STUDY.yaml|{positional.upper()}]" if positional else "[STUDY.yaml]"
        return click.argument("study", required=False, metavar=metavar)(command)

    return decorate


def read_config(
    model: type[C],
    study: str | None,
    settings: tuple[str, ...],
    flags: dict[str, Any],
    *,
    positional: str | None = None,
    base: dict[str, Any] | None = None,
) -> C:
    """Merge the sources and validate.

    Args:
        model: the configuration class.
        study: the argument STUDY as given.
        settings: every `--set`.
        flags: the command's other keyword arguments.
        positional: as for `config_options`.
        base: values to start from instead of the defaults.

    Raises:
        ConfigError: an unreadable file, an unknown setting or a bad value.
    """
    values: dict[str, Any] = dict(base or {})
    where = "settings"
    written: dict[str, Any] = {}
    if study is not None and study.endswith((".yaml", ".yml")):
        values, where = _read_yaml(Path(study)), study
        written = deepcopy(values)
    elif study is not None and positional is not None:
        _assign(values, positional, study)
    elif study is not None:
        raise ConfigError(f"{study} is not a study file; its name should end in .yaml.")
    lists = {name for name, field in _leaves(model) if _is_list(field.annotation)}
    for name, _ in _leaves(model):
        text = flags.get(_parameter(name))
        if text is not None:
            _assign(values, name, _value(name, text, name in lists))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: write KEY=VALUE, such as facts.limit=100.")
        name = key.strip().replace("-", "_")
        _assign(values, name, _value(name, text, name in lists))
    try:
        return model.parse(values, where)
    except ConfigError:
        # A flag that is at fault must not be searched for in the file.
        if not _faults(model, values) & _faults(model, written):
            where = "settings"
        return model.parse(values, where)


def _faults(model: type[Config], values: dict[str, Any]) -> set[tuple[str, str]]:
    """Place and kind of all that is wrong with some values."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return {(".".join(map(str, one["loc"])), one["msg"]) for one in found}
    return set()


def _leaves(model: type[Config], prefix: str = "") -> typing.Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = _inner_config(field.annotation)
        if inner is not None:
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _inner_config(annotation: Any) -> type[Config] | None:
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    found = [a for a in options if isinstance(a, type) and issubclass(a, Config)]
    return found[0] if len(found) == 1 and not found[0].as_text else None


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _is_list(annotation: Any) -> bool:
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    return any(typing.get_origin(option) is list for option in options)


def _parameter(name: str) -> str:
    return "opt_" + name.replace(".", "__")


def _metavar(field: FieldInfo) -> str:
    def show(annotation: Any) -> str:
        if _is_union(annotation):
            return "|".join(show(a) for a in typing.get_args(annotation) if a is not type(None))
        origin = typing.get_origin(annotation)
        if origin is typing.Literal:
            return "|".join(str(a) for a in typing.get_args(annotation))
        if origin in (list, tuple):
            return f"{show(typing.get_args(annotation)[0])},..."
        if origin is dict:
            return "{KEY: VALUE}"
        if isinstance(annotation, type) and issubclass(annotation, Config):
            return "STR"
        return getattr(annotation, "__name__", str(annotation)).upper()

    return show(field.annotation)


def _help(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    default = field.get_default(call_default_factory=False)
    if default is PydanticUndefined:
        return f"{text} [required]"
    if default is None:
        return text
    if isinstance(default, Config):
        return f"{text} [default: {default}]"
    if isinstance(default, list):
        default = [item.plain() if isinstance(item, Config) else item for item in default]
    shown = yaml.safe_dump(default, default_flow_style=True, width=200).replace("\n...", "").strip()
    return f"{text} [default: {shown}]"


def _value(key: str, text: str, is_list: bool = False) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}={text} is not valid YAML; quote it or check brackets.") from error
    # YAML reads a bare `no` (Norwegian) as false; a language list must not lose it.
    if isinstance(value, bool) and text.lower() in ("no", "on"):
        value = text
    if not is_list or value is None or isinstance(value, list):
        return value
    # "en,fr" and "en" are the natural ways to type a list in a shell.
    parts = value.split(",") if isinstance(value, str) else [value]
    return [p.strip() if isinstance(p, str) else p for p in parts if p != ""]


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key}: {part} already has a plain value, so it has no settings.")
    values[last] = value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no study file {path}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is not a readable YAML file: {error}".split("\n")[0]) from error
    if values is None:
        raise ConfigError(f"{path} is empty; `polylore COMMAND --help` lists the settings.")
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold settings (KEY: VALUE), not a {type(values).__name__}.")
    return values
