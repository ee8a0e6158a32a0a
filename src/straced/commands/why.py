"""straced why: why is it stuck, and who holds it up?"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from straced import __version__, errors, units
from straced.commands.group import verb

if TYPE_CHECKING:
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
@click.option("-d", "--duration", default="2s", show_default=True, help="How long to watch before the verdict.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as one JSON object.")
@click.option("--dot", "as_dot", is_flag=True, help="The wait graph for Graphviz.")
@click.option("--bundle", metavar="FILE", help="Also write a text for a ticket (paths and arguments redacted).")
@click.option("--no-redact", is_flag=True, help="Leave names, paths and arguments in the bundle.")
@click.option("--python-stack", is_flag=True, help="Add the Python stack (needs py-spy).")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines of --all.")
def command(
    target: str | None,
    pid: str | None,
    everybody: bool,
    duration: str,
    as_json: bool,
    as_dot: bool,
    bundle: str | None,
    no_redact: bool,
    python_stack: bool,
    limit: int,
) -> None:
    """Say in one sentence why a process is stuck, with the chain of those who hold it up, and the evidence.

    The chain leads across processes to the root cause. Only /proc and sock_diag are read: nobody is traced,
    stopped or slowed.

    TARGET is a pid or a thread id; name:GLOB, cgroup:/path and unit:x.service stand for all that match.
    """
    named = [text for text in (target, pid) if text is not None]
    if len(named) + everybody != 1:
        hint = "straced why 4242, or straced why --all"
        raise errors.InvalidArgument("give one target, or --all", hint=hint)
    if everybody and bundle:
        raise errors.InvalidArgument("--bundle is about one process", hint=f"straced why PID --bundle {bundle}")
    duration_ns = units.parse_duration_ns(duration)
    from straced.waits.selection import pids_of

    pids = None if everybody else pids_of(named[0])
    if pids is not None and len(pids) == 1:
        _one(pids[0], duration_ns, as_json, as_dot, bundle, not no_redact, python_stack)
    else:
        if bundle:
            raise errors.InvalidArgument(f"{named[0]} is {len(pids or ())} processes", hint="--bundle needs one pid")
        _many(pids, duration_ns, as_json, as_dot, limit)


def _one(
    pid: int, duration_ns: int, as_json: bool, as_dot: bool, bundle: str | None, redact: bool, python_stack: bool
) -> None:
    from straced import through_service
    from straced.waits.answer import why_process

    why = why_process(pid, duration_ns, sharpen=through_service.counter())
    if python_stack and why.chain is not None:
        why = _with_python_stack(why)
    if bundle:
        _write_bundle(bundle, why, redact)
    if as_json:
        click.echo(msgspec.json.encode(why.to_dict()).decode())
    elif as_dot:
        from straced.views.why_dot import dot

        click.echo(dot([why]))
    elif bundle != "-":
        from straced.views.why_text import report

        click.echo(report(why))
    if why.verdict == "gone":
        raise click.exceptions.Exit(errors.NoSuchProcess.exit_code)


def _many(pids: list[int] | None, duration_ns: int, as_json: bool, as_dot: bool, limit: int) -> None:
    from straced.waits.everybody import why_everybody

    found = why_everybody(duration_ns, pids)
    if as_json:
        click.echo(msgspec.json.encode(found.to_dict()).decode())
    elif as_dot:
        from straced.views.why_dot import dot

        click.echo(dot(found.processes))
    else:
        from straced.views.why_text import overview

        click.echo(overview(found, limit))


def _with_python_stack(why: Why) -> Why:
    from straced.waits.python_stack import python_stack

    lines, refusal = python_stack(why.pid)
    not_seen = (*why.not_seen, refusal) if refusal else why.not_seen
    return msgspec.structs.replace(why, python_stack=lines, not_seen=not_seen)


def _write_bundle(path: str, why: Why, redact: bool) -> None:
    """Write the bundle to a new file that only its owner can read, or to stdout for ``-``."""
    from straced.views.why_bundle import bundle

    text = bundle(why, redact=redact, version=__version__)
    if path == "-":
        click.echo(text)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except FileExistsError as error:
        raise errors.OutputExists(f"there is a file {path!r} already", hint="name another one") from error
    except OSError as error:
        raise errors.OutputError(f"cannot write {path!r}: {error.strerror}", hint="name another file") from error
    click.echo(f"wrote {path}", err=True)


def run(arguments: list[str] | None = None) -> int:
    """This verb alone, as a program: ``python -m straced.commands.why``."""
    try:
        status = command.main(arguments, prog_name="straced why", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except errors.StracedError as error:
        click.echo(f"straced: {error.reason}" + (f"\n  {error.hint}" if error.hint else ""), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130


if __name__ == "__main__":
    sys.exit(run())
