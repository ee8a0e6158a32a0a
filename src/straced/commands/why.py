"""straced why: why is it stuck, and who holds it up?"""

from __future__ import annotations

import sys

import click

from straced import errors, units

_EXAMPLES = """\b
straced why 4242              why does this process make no progress?
straced why --all             who is stuck on this machine, and behind whom?
"""


@click.command(help=_EXAMPLES + "\n\nSay in one sentence why a process is stuck, with the chain of those who hold it up and the "
    "evidence. Reads /proc only: the target is never traced, stopped or slowed. TARGET is a pid or a thread id.")
@click.argument("target", required=False)
@click.option("-p", "--pid", help="The same as TARGET.")
@click.option("--all", "everybody", is_flag=True, help="Every process, the most stuck first.")
@click.option("-d", "--duration", default="2s", show_default=True, help="How long to watch before the verdict.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@click.option("--dot", is_flag=True, help="The wait graph for Graphviz.")
@click.option("--bundle", metavar="FILE", help="Write a text for a ticket, names of files redacted.")
@click.option("--show-names", is_flag=True, help="Do not redact the bundle.")
@click.option("--python-stack", is_flag=True, help="Add the Python stack, by py-spy if it is installed.")
@click.option("-n", "--limit", default=20, show_default=True, help="Lines of --all.")
def command(
    target: str | None, pid: str | None, everybody: bool, duration: str, as_json: bool, dot: bool, bundle: str | None,
    show_names: bool, python_stack: bool, limit: int,
) -> None:
    try:
        duration_ns = units.parse_duration_ns(duration)
    except errors.StracedError as error:
        raise SystemExit(print_error(error)) from None
    from straced.why.answer import why_process
    from straced.views.why_text import report
    why = why_process(int(target or pid or 0), duration_ns)
    click.echo(report(why))

def print_error(e): return 1
if __name__ == "__main__": command()
