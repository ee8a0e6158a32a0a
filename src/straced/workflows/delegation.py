"""Counting and tracing through a service of root, for those who lack the rights themselves, when one runs here.

It is asked only after the attempt without it was refused, it is said, and what it refuses stays refused with the
first reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from straced.concurrency import stopping
from straced.errors import (
    MissingCapability,
    NotDumpable,
    NotPermitted,
    PtraceBlocked,
    StracedError,
    TracerUnavailable,
    YamaScope,
)
from straced.views.text import streams

if TYPE_CHECKING:
    from straced.client.client import Client
    from straced.model.types import Summary

LACKING = (NotPermitted, NotDumpable, MissingCapability, YamaScope, PtraceBlocked, TracerUnavailable)
"""What somebody with more rights, or with other tracers at hand, may be able to do."""


async def connect() -> Client | None:
    """A connection to a service of root; ``None`` where there is none that answers in our version."""
    from straced.client.client import Client
    from straced.config.paths import system_socket

    path = system_socket()
    if not _is_there(path):
        return None
    client = Client(path)
    try:
        await client.connect()
    except StracedError:
        return None
    if client.welcome is None or not client.welcome.system:
        await client.close()
        return None
    return client


def _is_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:  # in a directory that is closed to us
        return False


def say(verb: str, what: str, error: StracedError) -> None:
    """Tell on stderr that the service does it, and why."""
    reason = error.reason.split("\n", 1)[0]
    streams.say(f"straced {verb}: {what} by the service, since: {reason}")


async def label(pid: int, labels: dict[str, str]) -> None:
    """Have a service watch a process of ours under these labels; no matter if there is none."""
    import asyncio

    from straced.client.client import Client, is_there

    if not labels or not await asyncio.to_thread(is_there):
        return
    try:
        async with Client() as client:
            await client.label(pid, **labels)
    except StracedError:
        pass


def counter() -> Callable[[int, int], Summary | None] | None:
    """What counts a process for a while (pid, ns) by a service of root; ``None`` for root, and where there is none."""
    from straced.config.paths import system_socket

    return _count if os.geteuid() != 0 and _is_there(system_socket()) else None


def _count(pid: int, duration_ns: int) -> Summary | None:
    import asyncio  # 40 ms, which those without a service need not wait for

    async def count() -> Summary | None:
        client = await connect()
        if client is None:
            return None
        async with client:
            try:
                session = await client.attach(pid, follow=False)
                await asyncio.sleep(duration_ns / 1e9)
                summary = await session.detach()
            except StracedError:
                return None
        streams.say(f"straced why: the calls of {pid} were counted by the service")
        return summary

    return stopping.cancelled_by_ctrl_c(count())
