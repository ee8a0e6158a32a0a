"""The options of verbs that tell slow calls, files, peers and io_uring besides counting."""

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


def files(function: Function) -> Function:
    """``--files``, as ``files: bool``."""
    return click.option("--files", is_flag=True, help="Sums by file and peer, too (eBPF).")(function)


def check_files(files: bool, interval_ns: int | None, tracer: str) -> bool:
    """Return the same.

    Raises:
        UsageError: this tracer cannot, or there are to be windows.
    """
    if files and interval_ns is not None:
        raise click.UsageError("sums by file are of the whole time\nleave out -i")
    if files and tracer not in ("auto", "ebpf"):
        raise click.UsageError(f"sums by file are eBPF's alone\nleave out --tracer {tracer}")
    return files


def io_uring(function: Function) -> Function:
    """``--io-uring``, as ``io_uring: bool``."""
    return click.option("--io-uring", is_flag=True, help="Requests of io_uring by operation, too (eBPF).")(function)


def check_io_uring(io_uring: bool, interval_ns: int | None, tracer: str) -> bool:
    """Return the same.

    Raises:
        UsageError: this tracer cannot, or there are to be windows.
    """
    if io_uring and interval_ns is not None:
        raise click.UsageError("requests of io_uring are counted over the whole time\nleave out -i")
    if io_uring and tracer not in ("auto", "ebpf"):
        raise click.UsageError(f"requests of io_uring are counted by eBPF alone\nleave out --tracer {tracer}")
    return io_uring


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
