"""``straced watch``: tell the service what to watch."""

from __future__ import annotations

import sys

import click

from straced.commands import habits, options, service_query
from straced.commands.group import verb, write_examples
from straced.commands.run import parse_labels
from straced.text.sanitize import scrub
from straced.text.units import format_count
from straced.views.text import streams, terminal
from straced.views.text.columns import FittedColumn, grid

EXAMPLES = (
    ("straced watch add name:postgres --label job=db", "from now on, and after a restart"),
    ("straced watch ls", "what is watched"),
    ("straced watch rm name:postgres", "no longer"),
)
COLUMNS = (
    FittedColumn("target", left=True, least=24, keeps="both"),
    FittedColumn("processes"),
    FittedColumn("labels", left=True, goes=1, least=16),
)


class WatchGroup(click.Group):
    """A group whose help begins with examples."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, EXAMPLES)
        super().format_help(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no such verb: {args[0]}\n{habits.for_group('watch', args[0])}", ctx=ctx)
        return super().resolve_command(ctx, args)


@click.group("watch", cls=WatchGroup)
def command() -> None:
    """Manage what the service watches. Descendants are watched too, with the same labels."""


@verb("add", examples=EXAMPLES[:2], short_help="Watch a process, a name, a unit, a container, a user.")
@click.argument("target", type=options.RuleType())
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label stored with all their data; may be repeated."
)
def add(target: str, labels: tuple[str, ...]) -> int:
    """Watch TARGET: a pid, children:PID, name:GLOB, unit:NAME.service, cgroup:/PATH, container:NAME,
    pod:NS/NAME or user:NAME.
    """
    rule = service_query.ask(lambda client: client.watch(target, parse_labels(labels)))
    click.echo(f"straced: watches {rule.target}", err=True)
    return 0


@verb("ls", examples=EXAMPLES[1:])
@options.json
@options.color
def ls(as_json: bool, color: str) -> int:
    """List the rules, with the number of processes that each matches now."""
    import msgspec

    rules = service_query.ask(lambda client: client.rules())
    if as_json:
        for rule in rules:
            click.echo(msgspec.json.encode(rule).decode())
        return 0
    if rules:
        rows = [
            (
                scrub(rule.target),
                format_count(rule.processes),
                scrub(" ".join(f"{key}={value}" for key, value in rule.labels.items())),
            )
            for rule in rules
        ]
        laid = grid(COLUMNS, rows, terminal.width_of(sys.stdout), lead="")
        terminal.show(laid.lines(), sys.stdout, color=options.use_color(sys.stdout, color))
    if not rules:
        streams.say("straced: nothing is watched; to add: straced watch add TARGET")
    return 0


@verb("rm", examples=EXAMPLES[1:])
@click.argument("target")
def rm(target: str) -> int:
    """Remove a rule."""
    service_query.ask(lambda client: client.unwatch(target))
    return 0


for each in (add, ls, rm):
    command.add_command(each)
