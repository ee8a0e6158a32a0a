"""``straced doctor``: what works here, and the line that makes the rest work."""

from __future__ import annotations

import sys

import click

from straced.commands import options
from straced.commands.group import verb
from straced.linux.targets import TargetSpec, resolve_all

NO_TRACER = 5


@verb(
    "doctor",
    examples=(
        ("straced doctor", "what works on this machine?"),
        ("straced doctor 4242", "could this process be traced, and how?"),
    ),
)
@options.targets(required=False)
@options.json
@options.color
def command(targets: tuple[TargetSpec, ...], as_json: bool, color: str) -> int:
    """Check what works on this machine and on each TARGET, and how to enable the rest.

    Attaches to nothing and changes nothing. Exit status 0 if a tracer would work, else 5.
    """
    from straced.workflows import doctor

    pids: tuple[int | None, ...] = (None,)
    if targets:
        pids = resolve_all(options.processes(targets, "doctor", "checked"))
    diagnosed = [doctor.examine(pid) for pid in pids]
    for diagnosis in diagnosed:
        if as_json:
            click.echo(diagnosis.to_json(indent=2 if len(diagnosed) == 1 else 0))
        else:
            from straced.views.text import doctor as doctor_text
            from straced.views.text import terminal

            lines = doctor_text.lines(diagnosis, terminal.width_of(sys.stdout))
            terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, color))
    return 0 if all(diagnosis.usable for diagnosis in diagnosed) else NO_TRACER
