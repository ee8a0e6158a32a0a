"""straced why: why is it stuck, and who holds it up?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
import msgspec

from straced import errors
from straced._version import __version__
from straced.commands import options
from straced.commands.group import verb
from straced.text.sanitize import scrub
from straced.views.text import terminal
from straced.waits import call_counts
from straced.waits.call_counts import TRACERS

if TYPE_CHECKING:
    from straced.views.text.summary import Line
    from straced.waits.model import Why


@verb(
    "why",
    examples=(
        ("straced why 4242", "why is it stuck, and who holds it up?"),
        ("straced why --all", "everybody, the most stuck and most waited-for first"),
    ),
)
@click.argument("target", required=False)
@click.option("-p", "--pid", metavar="PID", help="The same as TARGET.")
@click.option("--all", "everybody", is_flag=True, help="Every process, the most stuck and most waited-for first.")
@click.option(
    "-d",
    "--duration",
    "duration_ns",
    type=options.Duration(),
    default="2s",
    show_default=True,
    metavar="TIME",
    help="How long to watch before the verdict.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole answer as one JSON object.")
@click.option("--dot", "as_dot", is_flag=True, help="The wait graph for Graphviz.")
@click.option("--bundle", metavar="FILE", help="Also write a text for a ticket (paths and arguments redacted).")
@click.option("--no-redact", is_flag=True, help="Leave names, paths and arguments in the bundle.")
@click.option("--python-stack", is_flag=True, help="Add the Python stack (needs py-spy).")
@click.option(
    "--tracer",
    type=click.Choice(TRACERS),
    default="auto",
    show_default=True,
    help="Who counts the calls of a process that is at work. auto: eBPF, where it may run; strace slows it down.",
)
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines of --all.")
@options.color
def command(
    target: str | None,
    pid: str | None,
    everybody: bool,
    duration_ns: int,
    as_json: bool,
    as_dot: bool,
    bundle: str | None,
    no_redact: bool,
    python_stack: bool,
    tracer: str,
    limit: int,
    color: str,
) -> int:
    """Say in one sentence why a process is stuck, with the chain of those who hold it up, and the evidence.

    The chain leads across processes to the root cause. /proc and sock_diag are read; nobody is stopped.

    TARGET is a pid or a thread id; name:GLOB, cgroup:/path, unit:x.service, container:NAME and pod:NS/NAME
    stand for all that match.
    """
    named = [text for text in (target, pid) if text is not None]
    if len(named) + everybody != 1:
        raise errors.InvalidArgument("give one target, or --all", hint="straced why 4242, or straced why --all")
    if as_json and as_dot:
        raise errors.InvalidArgument("--json and --dot are two forms of one answer", hint="give one of them")
    if everybody and (bundle or python_stack):
        option = "--bundle" if bundle else "--python-stack"
        raise errors.InvalidArgument(f"{option} is about one process", hint=f"straced why PID {option}")
    from straced.commands.output import destination
    from straced.waits.selection import pids_of

    pids = None if everybody else pids_of(named[0])
    form = _Form(as_json=as_json, as_dot=as_dot, limit=limit, color=color)
    if pids is not None and len(pids) == 1:
        path = Path(bundle) if bundle and bundle != "-" else None
        with destination(path, False, sys.stdout) as stream:
            bundled = _Bundle(stream=stream, redact=not no_redact) if bundle else None
            status = _one(pids[0], duration_ns, tracer, form, bundled, python_stack)
        if path is not None:
            click.echo(f"wrote {scrub(str(path))}", err=True)
        return status
    if bundle or python_stack:
        option = "--bundle" if bundle else "--python-stack"
        raise errors.InvalidArgument(f"{named[0]} is {len(pids or ())} processes", hint=f"{option} needs one pid")
    return _many(pids, duration_ns, form)


class _Form(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer is printed."""

    as_json: bool
    as_dot: bool
    limit: int
    color: str

    def show(self, lines: list[Line]) -> None:
        terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, self.color))


class _Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The text for a ticket: where to, and whether names are taken out."""

    stream: IO[str]
    redact: bool


def _one(pid: int, duration_ns: int, tracer: str, form: _Form, bundled: _Bundle | None, with_python_stack: bool) -> int:
    from straced.waits.process import why_process
    from straced.workflows import delegation

    by_service = delegation.counter() if tracer == "auto" else None
    why = why_process(
        pid,
        duration_ns,
        sharpen=by_service or call_counts.by(tracer),
        eager=call_counts.is_eager(tracer),
        wakes=call_counts.sees_wakes(tracer),
    )
    if with_python_stack and why.chain is not None:
        why = _with_python_stack(why)
    if bundled is not None:
        from straced.views.why.bundle import bundle

        print(bundle(why, redact=bundled.redact, version=__version__), file=bundled.stream)
    if form.as_json:
        click.echo(msgspec.json.encode(why.to_dict()).decode())
    elif form.as_dot:
        from straced.views.why.dot import dot

        click.echo(dot([why]))
    elif bundled is None or bundled.stream is not sys.stdout:
        from straced.views.why.report import lines

        form.show(lines(why, terminal.width_of(sys.stdout)))
    return errors.NoSuchProcess.exit_code if why.verdict == "gone" else 0


def _many(pids: list[int] | None, duration_ns: int, form: _Form) -> int:
    from straced.waits.all_processes import why_everybody

    found = why_everybody(duration_ns, pids)
    if form.as_json:
        click.echo(msgspec.json.encode(found.to_dict()).decode())
    elif form.as_dot:
        from straced.views.why.dot import dot

        click.echo(dot(found.processes))
    else:
        from straced.views.why.overview import lines

        form.show(lines(found, form.limit, terminal.width_of(sys.stdout)))
    return 0


def _with_python_stack(why: Why) -> Why:
    from straced.waits.facts.python_stack import python_stack

    lines, refusal = python_stack(why.pid)
    not_seen = (*why.not_seen, refusal) if refusal else why.not_seen
    return msgspec.structs.replace(why, python_stack=lines, not_seen=not_seen)


if __name__ == "__main__":
    from straced.commands.group import run

    sys.exit(run(["why", *sys.argv[1:]]))
