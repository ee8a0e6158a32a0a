"""``straced top``: the live screen, one frame of it as text, or frames for programs."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from msgspec import Struct

from straced.commands import options
from straced.commands.group import verb
from straced.linux.targets import TargetSpec

if TYPE_CHECKING:
    from straced.live.protocols import FrameSource

SORTS = ("cpu", "calls", "errors", "working", "waiting", "wall", "rss", "pid", "name")
TRACERS = ("auto", "ebpf", "none")
SOURCES = ("auto", "local", "service")
MIN_INTERVAL_NS = 100_000_000


class Screen(Struct, frozen=True, kw_only=True):
    """What was asked for."""

    targets: tuple[TargetSpec, ...] = ()
    tracer: str = "auto"
    slower_ns: int | None = None
    place: str = "local"
    """``local``, ``service``, ``history``, or ``fallback``: a service that watches something, else local."""
    back_s: float = 0.0
    interval_s: float = 1.0
    sort: str = "calls"
    filter: str = ""
    flat: bool = False
    limit: int | None = None
    color: str = "auto"

    def source(self) -> FrameSource:
        """Where the rows come from."""
        if self.place == "history":
            from straced.live.history import HistorySource

            return HistorySource(self.back_s)
        if self.place == "fallback":
            from straced.live.fallback import ServiceOrLocal

            return ServiceOrLocal()
        if self.place == "service":
            from straced.live.service import ServiceSource

            return ServiceSource()
        from straced.live.local import LocalSource
        from straced.live.slow_calls import LIMIT_NS

        return LocalSource(self.targets, self.tracer, self.slower_ns or LIMIT_NS)


@verb(
    "top",
    examples=(
        ("straced top", "the live screen; h shows its keys"),
        ("straced top name:nginx -i 5s", "one tree of processes, every five seconds"),
        ("straced top --once -n 10", "one frame as text: the ten busiest processes"),
        ("straced top --trace 4242 -o t.txt", "every call, same as straced trace 4242 -o t.txt"),
    ),
)
@options.targets(required=False)
@options.interval
@click.option("--tracer", type=click.Choice(TRACERS), default="auto", show_default=True, help="none: /proc only.")
@click.option(
    "--source", type=click.Choice(SOURCES), default="auto", show_default=True, help="auto: a service, if one runs here."
)
@click.option(
    "--slower", "slower_ns", type=options.Duration(), metavar="TIME", help="What is a slow call.  [default: 100ms]"
)
@click.option(
    "--history", "history_ns", type=options.Duration(), metavar="TIME", help="Start TIME ago; step with [ and ]."
)
@click.option("--sort", type=click.Choice(SORTS), default="calls", show_default=True, help="The column to sort by.")
@click.option("--filter", "filter_text", default="", metavar="TEXT", help="Show only processes matching TEXT.")
@click.option("--flat", is_flag=True, help="A list instead of a tree.")
@click.option("--once", is_flag=True, help="Print one frame as text and exit.")
@click.option(
    "--json", "as_json", is_flag=True, help="Frames as JSON, one per line and interval; a single one with --once."
)
@options.limit
@options.color
@click.option("--trace", "traced", type=options.PidType(), metavar="PID", help="Same as straced trace PID.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="With --trace: write to FILE (mode 0600)."
)
def command(
    targets: tuple[TargetSpec, ...],
    interval_ns: int | None,
    tracer: str,
    source: str,
    slower_ns: int | None,
    history_ns: int | None,
    sort: str,
    filter_text: str,
    flat: bool,
    once: bool,
    as_json: bool,
    limit: int | None,
    color: str,
    traced: TargetSpec | None,
    output: Path | None,
) -> int:
    """Show what processes are doing, live: calls, errors, on-CPU and waiting time, current call.

    Shows what the service watches if one is running; otherwise all processes, or the TARGETs and their children.
    Calls are counted by eBPF where available; strace is never attached unless you ask: key t starts a full trace of
    one process, after confirmation.
    """
    if traced is not None:
        return _full_trace(traced, output, "ebpf" if tracer == "ebpf" else "auto")
    if output is not None:
        raise click.UsageError("-o goes with --trace\nto write frames to a file: straced top --json > FILE")
    if interval_ns is not None and interval_ns < MIN_INTERVAL_NS:
        raise click.UsageError("the interval must be at least 100ms")
    screen = Screen(
        targets=options.processes(targets, "top", "shown"),
        tracer=tracer,
        slower_ns=slower_ns,
        place=_place(source, history_ns, local=bool(targets) or tracer != "auto" or slower_ns is not None),
        back_s=(history_ns or 0) / 1e9,
        interval_s=1.0 if interval_ns is None else interval_ns / 1e9,
        sort=sort,
        filter=filter_text,
        flat=flat,
        limit=limit,
        color=color,
    )
    if as_json:
        asked = click.get_current_context().get_parameter_source("limit") is ParameterSource.COMMANDLINE
        return _json(screen, once, limit if asked else None)
    return _once(screen) if once else _live(screen)


def _place(source: str, history_ns: int | None, *, local: bool) -> str:
    """Where rows come from: targets and a tracer are for this process to count, so they rule a service out."""
    if local and (source == "service" or history_ns is not None):
        raise click.UsageError(
            "TARGET, --tracer and --slower are for the local source\nto add a process to the service: straced watch add"
        )
    if history_ns is not None:
        return "history"
    if local or source != "auto":
        return "local" if local else source
    import stat

    from straced.config.paths import sockets

    for path in sockets():
        try:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                break
        except OSError:
            continue
    else:
        return "local"
    from straced.client.client import is_there

    return "fallback" if is_there() else "local"


def _full_trace(target: TargetSpec, output: Path | None, tracer: str) -> int:
    from straced.commands.trace import DEFAULT_MAX_BYTES
    from straced.commands.trace_choice import TraceRequest, take_trace
    from straced.text.units import parse_size_bytes

    limit = parse_size_bytes(DEFAULT_MAX_BYTES)
    return take_trace(target, (), TraceRequest(tracer=tracer, output=output, max_bytes=limit))


def _json(screen: Screen, once: bool, limit: int | None) -> int:
    import msgspec

    from straced.live.frame_stream import stream
    from straced.model.frame import Frame

    def show(frame: Frame) -> None:
        if screen.filter or limit is not None:
            from straced.views.tui.rows import ProcessRows

            rows = ProcessRows(screen.sort, screen.filter, flat=True)
            rows.update(frame)
            chosen = [line.row for line in rows.lines() if line.row is not None]
            frame = msgspec.structs.replace(frame, processes=tuple(chosen[:limit]))
        sys.stdout.buffer.write(msgspec.json.encode(frame.to_dict()) + b"\n")
        sys.stdout.buffer.flush()

    return stream(screen.source, screen.interval_s, show, count=1 if once else None)


def _once(screen: Screen) -> int:
    from straced.live.frame_stream import stream
    from straced.model.frame import Frame
    from straced.views.text import terminal
    from straced.views.tui import once, status_lines
    from straced.views.tui.rows import ProcessRows

    rows = ProcessRows(screen.sort, screen.filter, flat=screen.flat)

    def show(frame: Frame) -> None:
        rows.update(frame)
        width = terminal.width_of(sys.stdout)
        state = status_lines.State(interval_s=screen.interval_s)
        lines = once.lines(frame, rows, limit=screen.limit, width=width, state=state)
        terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, screen.color))

    return stream(screen.source, screen.interval_s, show, count=1)


def _live(screen: Screen) -> int:
    """The screen itself, on a terminal; what is missing for it is said before anything is drawn."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # Textual draws on stderr
        raise click.UsageError("the live screen needs a terminal\none frame as text: straced top --once")
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        raise click.UsageError("this terminal cannot position the cursor (TERM)\none frame as text: straced top --once")
    if importlib.util.find_spec("textual") is None:
        raise click.UsageError("the live screen needs Textual\npip install 'straced[tui]', or: straced top --once")
    for name in ("COLUMNS", "LINES"):  # an exported size would be believed instead of the terminal's own
        os.environ.pop(name, None)
    from straced.live.actions import LocalActions
    from straced.live.worker import FrameWorker
    from straced.views.tui.app import TopApp
    from straced.views.tui.rows import ProcessRows

    screen.source()  # what is wrong with a target is said on the shell's screen
    worker = FrameWorker(screen.source, LocalActions(Path.cwd()), screen.interval_s)
    app = TopApp(worker, interval_s=screen.interval_s, rows=ProcessRows(screen.sort, screen.filter, flat=screen.flat))
    app.run()
    if app.error is not None:
        raise app.error
    return app.return_code or 0
