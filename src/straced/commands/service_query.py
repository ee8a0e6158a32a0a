"""How verbs talk to the service: one question, one answer; where none runs, history is read from its file."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from straced.concurrency import stopping
from straced.errors import InvalidArgument, ServiceUnreachable
from straced.text.units import format_span
from straced.views.text import streams

if TYPE_CHECKING:
    from pathlib import Path

    from straced.client.client import Client
    from straced.ipc.messages import Select
    from straced.store.fleet.fleet_history import FleetHistory
    from straced.store.history import History

Answer = TypeVar("Answer")
Function = TypeVar("Function", bound=Callable[..., Any])


def ask(question: Callable[[Client], Awaitable[Answer]]) -> Answer:
    """Ask the service.

    Raises:
        ServiceUnreachable: there is none.
        StracedError: what it refused with.
    """
    from straced.client.client import Client

    async def work() -> Answer:
        async with Client() as client:
            return await question(client)

    return stopping.cancelled_by_ctrl_c(work())


def ask_history(
    question: Callable[[Client], Awaitable[Answer]],
    otherwise: Callable[[History], Answer],
    database: Path | None = None,
) -> Answer:
    """Ask the service; where none answers, read the file that the last one left, if it is ours to read.

    Args:
        question: to the service.
        otherwise: the same to a file.
        database: read this file, whether there is a service or not.
    """
    from straced.commands.history_file import history_in, usual_path

    if database is not None:
        with history_in(database) as history:
            return otherwise(history)
    try:
        return ask(question)
    except ServiceUnreachable:
        path = usual_path()
        if not os.access(path, os.R_OK):
            raise
        say_file(path)
        with history_in(path) as history:
            return otherwise(history)


def ask_exports(folder: str, hosts: str | None, question: Callable[[FleetHistory], Awaitable[Answer]]) -> Answer:
    """Ask what services have exported; what there is to say beside the answer goes to stderr.

    Args:
        folder: a directory, or a bucket.
        hosts: which hosts; a glob.
    """
    from straced.store.fleet.dataset import opened
    from straced.store.fleet.fleet_history import FleetHistory
    from straced.views.text.events import clock

    with opened(folder, hosts, lambda words: streams.say(f"straced: {words}")) as data:
        return stopping.cancelled_by_ctrl_c(_answer(question(FleetHistory(data, clock))))


async def _answer(asked: Awaitable[Answer]) -> Answer:
    return await asked


def say_file(path: Path) -> None:
    """Say, beside the answer, that no service gave it, and out of which file it is."""
    written = max(each.stat().st_mtime for each in (path, path.with_name(f"{path.name}-wal")) if each.exists())
    ago = format_span(max(1, int(time.time() - written)) * 10**9)
    streams.say(f"straced: no service answers; read from {path}, last written {ago} ago")


def since(function: Function) -> Function:
    """``--since``, as ``since_ns: int | None``."""
    from straced.commands.options import Duration

    return click.option(
        "--since", "since_ns", type=Duration(), metavar="TIME", help="How far back: 30s, 5m, 1h, 2h30m, 7d."
    )(function)


def database(function: Function) -> Function:
    """``--db``, as ``database: Path | None``."""
    import pathlib

    kind = click.Path(path_type=pathlib.Path)
    return click.option("--db", "database", type=kind, metavar="FILE", help="History database.")(function)


def moment(ago_ns: int | None, otherwise_s: float) -> float:
    """Seconds since the epoch of a moment that is so long ago."""
    return time.time() - (otherwise_s if ago_ns is None else ago_ns / 1e9)


def select(subject: str | None, **fields: Any) -> Select:
    """What a SUBJECT names: a pid, ``name:GLOB``, ``job:NAME``, or a job by its bare name.

    Raises:
        InvalidArgument: nothing can be named like this.
    """
    from straced.ipc.messages import Select
    from straced.linux.targets import validate_pid

    if subject is None:
        return Select(**fields)
    kind, colon, value = subject.partition(":")
    if colon and kind in ("name", "job") and value:
        return Select(name=value, **fields) if kind == "name" else Select(job=value, **fields)
    if colon and kind == "pid":
        return Select(pid=validate_pid(value), **fields)
    if colon:
        raise InvalidArgument(f"{subject!r} matches nothing in the history", hint="write a pid, name:GLOB or job:NAME")
    return Select(pid=validate_pid(subject), **fields) if subject.isdecimal() else Select(job=subject, **fields)
