"""The options of verbs that tell slow calls besides counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from straced.commands import options

Function = TypeVar("Function", bound=Callable[..., Any])


def slower(function: Function) -> Function:
    """``--slower`` and ``--waits``, as ``slower_ns: int | None`` and ``waits: bool``."""
    waits = click.option(
        "--waits", is_flag=True, help="With --slower, also calls made to wait: epoll_wait, futex, nanosleep, ..."
    )
    limit = click.option(
        "--slower",
        "slower_ns",
        type=options.Duration(),
        metavar="TIME",
        help="Show each call of TIME or more, with its file or peer (eBPF).",
    )
    return limit(waits(function))


def limit_of_slow(slower_ns: int | None, waits: bool, tracer: str) -> int | None:
    """Check what was given.

    Raises:
        UsageError: it is about no slow calls, or of a tracer that tells none.
    """
    if waits and slower_ns is None:
        raise click.UsageError("--waits is about slow calls, so say what is slow\ntype: --slower 10ms --waits")
    if slower_ns is not None and tracer not in ("auto", "ebpf"):
        raise click.UsageError(f"slow calls are told by eBPF alone\nleave out --tracer {tracer}")
    return slower_ns
