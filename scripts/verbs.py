"""The verbs with those below them, and the examples of their help: what man pages and the reference are made from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from straced.commands.group import PROGRAM, cli


def commands(name: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    """A verb and, where it has them, those below it: as it is typed, the command, its context."""
    top = click.Context(cli, info_name=PROGRAM)
    command = cli.get_command(top, name)
    assert command is not None, name
    context = click.Context(command, info_name=name, parent=top)
    yield f"{PROGRAM} {name}", command, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield f"{PROGRAM} {name} {each}", below, click.Context(below, info_name=each, parent=context)


def examples_of(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    """The pairs with which the help of a command begins, as on a terminal that is wide enough for a line each."""
    wide = click.Context(command, info_name=context.info_name, parent=context.parent, terminal_width=999)
    lines = command.get_help(wide).splitlines()
    found = [line for line in lines[1 : lines.index("")] if line.startswith("  ")]
    return [(typed, answer) for typed, _, answer in (re.split(r"(  +)", line.strip(), maxsplit=1) for line in found)]
