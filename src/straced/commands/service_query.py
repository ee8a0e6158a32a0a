"""How verbs talk to the service: one question, one answer; where none runs, history is read from its file."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from straced.errors import InvalidArgument, ServiceUnreachable

if TYPE_CHECKING:
    from straced.client.client import Client
    from straced.ipc.messages import Select
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

    return asyncio.run(work())


def ask_history(question: Callable[[Client], Awaitable[Answer]], otherwise: Callable[[History], Answer]) -> Answer:
    """Ask the service; where none answers, read the file that the last one left, if it is ours to read."""
    try:
        return ask(question)
    except ServiceUnreachable:
        from straced.config import paths
        from straced.store.history import History
        from straced.workflows.serve import find_config

        _path, config = find_config(None)
        where = paths.of(config)
        path = where.history if not config.store.path else type(where.history)(config.store.path)
        if not os.access(path, os.R_OK):
            raise
        history = History(path)
        try:
            return otherwise(history)
        finally:
            history.close()


def since(function: Function) -> Function:
    """``--since``, as ``since_ns: int | None``."""
    from straced.commands.options import Duration

    return click.option(
        "--since", "since_ns", type=Duration(), metavar="TIME", help="How far back: 30s, 5m, 1h, 2h30m, 7d."
    )(function)


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
