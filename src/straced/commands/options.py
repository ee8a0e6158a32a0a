"""Options that verbs share: each is a decorator, and what it hands over is checked and parsed.

Text becomes values here, at the door: durations are nanoseconds, targets are :class:`straced.linux.targets.TargetSpec`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from straced.errors import InvalidArgument
from straced.linux import targets as target_syntax
from straced.linux.targets import TargetSpec
from straced.text import moments
from straced.text.units import parse_duration_ns, parse_size_bytes

TRACERS = ("auto", "ebpf", "strace", "sampler")
SORT_KEYS = ("time", "total", "working", "waiting", "calls", "errors", "max", "name")
DEFAULT_LIMIT = 20
EVERY = "straced.every"
"""Of a context: whether ``--all`` was given."""
Function = TypeVar("Function", bound=Callable[..., Any])
Value = TypeVar("Value")


class Duration(click.ParamType):
    """``30s``, ``5m``, ``1h30m`` or seconds, as nanoseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return value if isinstance(value, int) else _checked(lambda: parse_duration_ns(value), param, ctx)


class When(click.ParamType):
    """A moment, as the text that it was written as: what it means depends on the present, and on others."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        _checked(lambda: moments.parse(str(value), time.time()), param, ctx)
        return str(value)


class Size(click.ParamType):
    """``500k``, ``50MB`` or ``1GiB``, as bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return value if isinstance(value, int) else _checked(lambda: parse_size_bytes(value), param, ctx)


class TargetType(click.ParamType):
    """A TARGET; completes to the processes that run, with their names."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TargetSpec:
        return value if isinstance(value, TargetSpec) else _target(value, target_syntax.parse, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if incomplete and not incomplete.isdecimal():
            kinds = [f"{kind}:" for kind in target_syntax.KINDS if kind != "pid"]
            return [CompletionItem(kind) for kind in kinds if kind.startswith(incomplete)]
        return [CompletionItem(str(pid), help=comm) for pid, comm in _running() if str(pid).startswith(incomplete)]


class RuleType(click.ParamType):
    """What a rule of the service is about, as text: the service reads it. A thread's id is its process's."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text: str = value
        if text.isascii() and text.isdecimal() and len(text) < 11:
            return str(target_syntax.process_of(int(text), "watch", "watched"))
        if ":" not in text:
            _target(text, target_syntax.parse, ctx)
        return text


class PidType(TargetType):
    """A pid and nothing else, as ``strace -p`` and ``py-spy -p`` have it."""

    name = "pid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TargetSpec:
        return value if isinstance(value, TargetSpec) else _target(value, _pid, ctx)


class PidList(PidType):
    """One pid or several, as ``strace -p 17,18`` and ``strace -p "$(pgrep x)"`` have it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        words = value.replace(",", " ").split()
        if not words:
            raise InvalidArgument("-p has no pid", hint="is there such a process? look for it: pgrep -af NAME")
        return tuple(_target(word, _pid, ctx) for word in words)


def _pid(text: str) -> TargetSpec:
    return TargetSpec("pid", str(target_syntax.validate_pid(text)))


def _target(text: str, parse: Callable[[str], TargetSpec], ctx: click.Context | None) -> TargetSpec:
    try:
        return parse(text)
    except InvalidArgument as error:
        from straced.commands import habits

        raise habits.for_word(text, (ctx and ctx.info_name) or "attach") or error from None


def processes(specs: tuple[TargetSpec, ...], verb: str, done: str) -> tuple[TargetSpec, ...]:
    """The same with the process in place of the id of one of its threads, which is said."""
    return tuple(
        TargetSpec("pid", str(target_syntax.process_of(int(spec.value), verb, done))) if spec.kind == "pid" else spec
        for spec in specs
    )


def _checked(parse: Callable[[], Value], param: click.Parameter | None, ctx: click.Context | None) -> Value:
    try:
        return parse()
    except InvalidArgument as error:
        raise click.BadParameter(f"{error.reason}; {error.hint}", ctx=ctx, param=param) from error


def _running() -> list[tuple[int, str]]:
    from straced.linux import procfs

    found = []
    for pid in procfs.pids():
        try:
            facts = procfs.stat(pid)
        except (procfs.Gone, OSError):
            continue
        if not facts.is_kernel_thread:
            found.append((pid, facts.comm))
    return found


def tracer(function: Function) -> Function:
    """``--tracer``, as ``tracer: str``."""
    return click.option(
        "--tracer",
        type=click.Choice(TRACERS),
        default="auto",
        show_default=True,
        help="Tracer to use. One given by name never falls back to another.",
    )(function)


def json(function: Function) -> Function:
    """``--json``, as ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="As JSON, on stdout.")(function)


def follow(function: Function) -> Function:
    """``--follow/--no-follow``, as ``follow: bool``."""
    return click.option(
        "--follow/--no-follow",
        default=True,
        show_default=True,
        help="Include existing and future children. On by default, unlike strace; threads are always included.",
    )(function)


def sort(function: Function) -> Function:
    """``--sort``, as ``sort: str``: a key of :func:`straced.model.aggregation.sort_rows`."""
    return click.option(
        "--sort",
        type=click.Choice(SORT_KEYS),
        default="time",
        show_default=True,
        callback=lambda ctx, param, value: "time" if value == "total" else value,
        help="The column to sort by; time is the column 'total'.",
    )(function)


def every(specs: tuple[TargetSpec, ...]) -> tuple[TargetSpec, ...]:
    """The targets of a verb whose ``--all`` also means all processes of a name."""
    wanted = bool(click.get_current_context().meta.get(EVERY))
    return tuple(spec._replace(every=wanted) for spec in specs)


def limit(function: Function, all_help: str = "Show all rows.") -> Function:
    """``-n/--limit`` and ``--all``, as ``limit: int | None``; ``None`` is all rows."""

    def everything(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        ctx.meta[EVERY] = value
        if value:
            ctx.params["limit"] = None

    def some(ctx: click.Context, param: click.Parameter, value: int) -> int | None:
        return None if "limit" in ctx.params else value

    decorated = click.option("--all", is_flag=True, expose_value=False, callback=everything, help=all_help)
    return decorated(
        click.option(
            "-n",
            "--limit",
            type=click.IntRange(min=1),
            default=DEFAULT_LIMIT,
            show_default=True,
            callback=some,
            help="Rows to show.",
        )(function)
    )


def duration(function: Function) -> Function:
    """``-d/--duration``, as ``duration_ns: int | None``."""
    return click.option(
        "-d", "--duration", "duration_ns", type=Duration(), metavar="TIME", help="Stop after TIME: 30s, 5m, 1h30m."
    )(function)


def interval(function: Function) -> Function:
    """``-i/--interval``, as ``interval_ns: int | None``."""
    return click.option(
        "-i", "--interval", "interval_ns", type=Duration(), metavar="TIME", help="Print a summary every TIME: 1s, 5s."
    )(function)


def targets(required: bool = True) -> Callable[[Function], Function]:
    """TARGET... and ``-p PID`` (both may be repeated), as ``targets: tuple[TargetSpec, ...]``, each once."""

    def join(ctx: click.Context, param: click.Parameter, value: tuple[TargetSpec, ...]) -> tuple[TargetSpec, ...]:
        listed = (spec for specs in ctx.params.pop("pids", ()) for spec in specs)
        both = tuple(dict.fromkeys((*listed, *value)))
        if required and not both and not ctx.resilient_parsing:
            raise click.UsageError(f"missing target\n{target_syntax.HINT}", ctx=ctx)
        return both

    def decorate(function: Function) -> Function:
        metavar = "TARGET..." if required else "[TARGET]..."
        argument = click.argument("targets", nargs=-1, type=TargetType(), metavar=metavar, callback=join)
        option = click.option(
            "-p",
            "--pid",
            "pids",
            type=PidList(),
            multiple=True,
            is_eager=True,
            metavar="PID",
            help="Target by pid, as in strace; also 17,18.",
        )
        return option(argument(function))

    return decorate


def color(function: Function) -> Function:
    """``--color auto|always|never``, as ``color: str``; :func:`use_color` decides."""
    return click.option(
        "--color",
        type=click.Choice(("auto", "always", "never")),
        default="auto",
        show_default=True,
        help="auto: on a terminal, unless NO_COLOR is set.",
    )(function)


def use_color(stream: IO[str], choice: str = "auto") -> bool:
    """Whether to colour what goes to ``stream``: only a terminal, and ``NO_COLOR`` (no-color.org) is obeyed."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
