"""One definition drives YAML, flags and help."""

from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import Field

from polylore.cli.options import config_options, read_config
from polylore.config import Config
from polylore.errors import ConfigError


class Inner(Config):
    languages: list[str] | None = None
    """Languages to ask."""
    limit: int | None = Field(default=None, ge=1)
    """How many."""


class Outer(Config):
    model: str
    """Where the model lies."""
    mode: Literal["a", "b"] = "a"
    """Which way."""
    facts: Inner = Inner()
    """Facts."""


@click.command()
@config_options(Outer, positional="model")
def command(study: str | None, settings: tuple[str, ...], **flags: Any) -> None:
    config = read_config(Outer, study, settings, flags, positional="model")
    click.echo(config.model_dump_json())


def run(*words: str) -> Outer:
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Outer.model_validate_json(result.output)


def test_positional_is_the_model() -> None:
    assert run("some/folder").model == "some/folder"


@pytest.mark.parametrize("text", ["en,fr", "[en, fr]", "['en', 'fr']"])
def test_lists_as_people_type_them(text: str) -> None:
    assert run("m", "--facts.languages", text).facts.languages == ["en", "fr"]


def test_later_sources_win(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("model: from-yaml\nmode: b\nfacts:\n  limit: 3\n  languages: [en]\n")
    config = run(str(study), "--facts.limit", "4", "--set", "facts.languages=[zh]")
    assert (config.model, config.mode) == ("from-yaml", "b")
    assert (config.facts.limit, config.facts.languages) == (4, ["zh"])


def test_norwegian_is_not_false() -> None:
    assert run("m", "--facts.languages", "[en, 'no']").facts.languages == ["en", "no"]
    assert run("m", "--facts.languages", "en,no").facts.languages == ["en", "no"]
    assert run("m", "--facts.languages", "no").facts.languages == ["no"]


def test_a_single_value_is_a_list_of_one() -> None:
    assert run("m", "--facts.languages", "en").facts.languages == ["en"]
    assert run("m", "--set", "facts.languages=en").facts.languages == ["en"]


def test_commas_outside_lists_are_text() -> None:
    assert run("m", "--model", "a, b").model == "a, b"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("m", "--set", "facts.limits=3"), "facts.limits is not a known setting"),
        (("m", "--set", "facts.limit"), "write KEY=VALUE"),
        (("m", "--facts.limit", "0"), "facts.limit"),
        (("m", "--mode", "c"), "mode"),
        ((), "model must be given"),
        (("m", "--facts.languages", "[en"), "not valid YAML"),
        (("missing.yaml",), "no study file missing.yaml"),
    ],
)
def test_bad_values_are_named(words: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(command, words)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "\x00"])
def test_bad_study_files(tmp_path: Path, text: str) -> None:
    study = tmp_path / "s.yaml"
    study.write_text(text)
    result = CliRunner().invoke(command, [str(study)])
    assert isinstance(result.exception, ConfigError)
    assert "s.yaml" in str(result.exception)


def test_help_says_what_the_class_says() -> None:
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "Where the model lies. [required]" in text
    assert "--facts.languages STR,... Languages to ask." in text
    assert "a|b Which way. [default: a]" in text


def test_a_fault_is_looked_for_where_it_is(tmp_path: Path) -> None:
    study = tmp_path / "s.yaml"
    study.write_text("facts: {limit: 3}\n")
    wrong = CliRunner().invoke(command, [str(study), "--model", "m", "--set", "facts.colour=1"])
    assert str(wrong.exception) == "settings: facts.colour is not a known setting."
    study.write_text("facts: {colour: 3}\n")
    wrong = CliRunner().invoke(command, [str(study), "--model", "m", "--set", "facts.limit=4"])
    assert str(wrong.exception) == f"{study}: facts.colour is not a known setting."
    study.write_text("facts: {limit: 3}\n")
    missing = CliRunner().invoke(command, [str(study), "--set", "facts.limit=4"])
    assert str(missing.exception) == f"{study}: model must be given."
