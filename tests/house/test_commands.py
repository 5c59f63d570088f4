"""What holds of every command: whole lines of help, and numbers with bounds."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from polylore.cli.main import cli


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for inner in command.list_commands(ctx):
            found = command.get_command(ctx, inner)
            assert found is not None
            yield from walk(found, f"{name} {inner}")


COMMANDS = dict(walk(cli, "polylore"))
GROUPS = [name for name, command in COMMANDS.items() if isinstance(command, click.Group)]


@pytest.mark.parametrize("name", GROUPS)
def test_no_line_of_help_is_cut(name: str) -> None:
    context = click.Context(COMMANDS[name], info_name=name, terminal_width=78)  # of 80 columns
    cut = [line for line in COMMANDS[name].get_help(context).splitlines() if line.endswith("...")]
    assert [line for line in cut if not line.startswith("Usage:")] == []


def test_whole_numbers_have_bounds() -> None:
    # Of real numbers `unify world make --amount` alone is one; its preset knows the bounds.
    free = [
        f"{name} {option.name}"
        for name, command in COMMANDS.items()
        for option in command.params
        if isinstance(option.type, click.types.IntParamType)
        and not isinstance(option.type, click.IntRange)
    ]
    assert free == []


@pytest.mark.parametrize(
    "words",
    [
        ["facts", "show", "cldr", "-n", "-5", "-l", "en"],
        ["runs", "show", "nowhere", "-n", "-1"],
        ["corpus", "sample", "currency:JP", "nowhere", "-n", "-1"],
        ["corpus", "agree", "a", "b", "--draws", "-1"],
    ],
)
def test_negative_numbers_are_refused(words: list[str]) -> None:
    told = CliRunner().invoke(cli, words)
    assert told.exit_code == 2
    assert "is not in the range" in told.output
