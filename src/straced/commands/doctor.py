"""``straced doctor``: what works here, and the line that makes the rest work."""

from __future__ import annotations

import sys

import click

from straced.commands import options
from straced.commands.group import verb
from straced.targets import TargetSpec, resolve

NO_TRACER = 5


@verb(
    "doctor",
    examples=(
        ("straced doctor", "what works on this machine?"),
        ("straced doctor 4242", "could this process be traced, and how?"),
    ),
)
@click.argument("target", required=False, type=options.TargetType(), metavar="[TARGET]")
@options.json
@options.color
def command(target: TargetSpec | None, as_json: bool, color: str) -> int:
    """Say what works here and, of TARGET, what would work on it; for the rest, the line to type.

    Nothing is attached to, nothing is changed. The status is 0 when a tracer would serve, else 5.
    """
    from straced import doctor

    pids = resolve(target) if target is not None else (None,)
    diagnosed = [doctor.examine(pid) for pid in pids]
    for diagnosis in diagnosed:
        if as_json:
            import msgspec

            click.echo(msgspec.json.format(msgspec.json.encode(diagnosis.to_dict()), indent=2))
        else:
            from straced.views import doctor_text, terminal

            terminal.show(doctor_text.lines(diagnosis), sys.stdout, color=options.use_color(sys.stdout, color))
    return 0 if all(diagnosis.usable for diagnosis in diagnosed) else NO_TRACER
