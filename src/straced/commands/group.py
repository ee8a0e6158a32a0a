"""The ``straced`` command itself: finds the verb, runs it, and turns what goes wrong into words and a status."""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from straced._version import __version__
from straced.commands import error_report
from straced.commands.registry import BY_NAME, available

PROGRAM = "straced"
COMPLETE_VARIABLE = "_STRACED_COMPLETE"
INTRO = "What running processes ask of the kernel, and why a process is stuck."
EXAMPLES = (
    ("straced run -- make test", "what did it do?"),
    ("straced attach 4242", "what is it doing? until Ctrl-C"),
)
STATUSES = "0 fine, 1 a check failed, 2 usage, 3 target gone, 4 not permitted, 5 no tracer, 6 no service, 130 aborted"
Function = TypeVar("Function", bound=Callable[..., Any])


class ExampleCommand(click.Command):
    """A command whose help begins with examples."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, self.examples)
        super().format_help(ctx, formatter)


def write_examples(formatter: click.HelpFormatter, examples: Sequence[tuple[str, str]]) -> None:
    """The lines to type, and what each answers: beside it, or below it where one of them has no room for that."""
    with formatter.section("Examples"):
        indent = " " * formatter.current_indent
        width = max((len(line) for line, _ in examples), default=0)
        beside = all(len(indent) + width + 2 + len(meaning) <= formatter.width for _, meaning in examples)
        for line, meaning in examples:
            formatter.write(
                f"{indent}{line:<{width}}  {meaning}\n" if beside else f"{indent}{line}\n{indent}    {meaning}\n"
            )
    formatter.write_paragraph()


def verb(
    name: str,
    *,
    examples: Sequence[tuple[str, str]],
    cls: type[ExampleCommand] = ExampleCommand,
    **options: Any,
) -> Callable[[Function], ExampleCommand]:
    """Make a function the command of a verb; its docstring is the help text, its result the exit status.

    Args:
        name: as it is typed.
        examples: pairs of a line to type and what it answers; at least two.
        cls: a class that parses its command line in another way.
        options: passed on to :class:`click.Command`.
    """

    def decorate(function: Function) -> ExampleCommand:
        made = click.command(name, cls=cls, examples=examples, **options)(function)
        assert isinstance(made, ExampleCommand)
        return made

    return decorate


class VerbGroup(click.Group):
    """Lists verbs from the table and imports a verb's module when it is typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [each.name for each in available()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = BY_NAME.get(cmd_name)
        if known is None or not known.exists:
            return None
        command = importlib.import_module(known.module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(unknown_verb(args), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, EXAMPLES)
        super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(each.section for each in available()):
            with formatter.section(section):
                formatter.write_dl([(each.name, each.line) for each in available() if each.section == section])
        click.Command.format_options(self, ctx, formatter)


def unknown_verb(args: Sequence[str]) -> str:
    """Say what was probably meant by a first word that is no verb, as two lines."""
    from straced.commands import habits

    word = args[0]
    names = [each.name for each in available()]
    if word.isdecimal() and "attach" in names:
        meant = f"{PROGRAM} attach {word}"
    elif line := habits.verb_of_others(args):
        meant = line
    elif near := _nearest(word, names):
        meant = f"{PROGRAM} {near}"
    elif "run" in names and shutil.which(word):
        meant = f"{PROGRAM} run -- {' '.join(args)}"
    else:
        return f"no such verb: {word}"
    return f"no such verb: {word}\ndid you mean: {meant}"


def _nearest(word: str, names: Sequence[str]) -> str | None:
    import difflib

    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return found[0] if found else None


@click.command(
    PROGRAM,
    cls=VerbGroup,
    help=INTRO,
    epilog=f"'{PROGRAM} VERB --help' tells more. Exit status: {STATUSES}.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Hold the verbs; the words are in ``help``."""


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit status; words about failures go to stderr. Raises nothing."""
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    _settle_streams()
    status = error_report.guarded(lambda: _invoke(argv), verb_of(argv))
    return error_report.flushed(status)


def _settle_streams() -> None:
    """Give a program that was started with closed streams somewhere to write, and an ASCII locale its escapes."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _invoke(argv: Sequence[str]) -> int:
    try:
        with cli.make_context(PROGRAM, list(argv) or ["--help"]) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.NoSuchOption as error:
        from straced.commands import habits

        raise habits.explained(error, verb_of(argv), argv) from error
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def verb_of(argv: Sequence[str]) -> str:
    """The verb of a command line; ``""`` when there is none."""
    first = next((word for word in argv if not word.startswith("-")), "")
    return first if first in BY_NAME else ""
