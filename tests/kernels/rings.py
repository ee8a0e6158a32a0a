"""Requests of io_uring: their tracepoints differ among kernels."""

from __future__ import annotations

import asyncio
from pathlib import Path

from straced import Profiler, UringUse
from tests.kernels.checks import LONG_S, check
from tests.support.workload import Starter

GT = Path("/tmp/gt")
COUNTED = {"openat": (100, 50), "read": (50, 0), "close": (50, 0), "nop": (50, 0), "poll_add": (1, 0)}
ODD = {"read": (2, 2), "nop": (10, 2), "poll_add": (1, 1), "async_cancel": (1, 0), "madvise": (1, 0)}


@check
def rings(refused: str) -> str:
    """Requests that are handed over, and that the kernel's thread takes; then those with uncommon ends."""
    if refused:
        return f"eBPF cannot serve: {refused}"
    for polled in (0, 1):
        found = asyncio.run(_requests("ring", 50, polled))
        assert {name: (row.requests, row.errors) for name, row in found.items()} == COUNTED, found
        assert found["poll_add"].in_flight == 1, found
    odd = asyncio.run(_requests("rings"))
    assert {name: (odd[name].requests, odd[name].errors) for name in ODD} == ODD, odd
    assert (odd["poll_add"].more, odd["nop"].silent, odd["madvise"].silent) == (5, 3, 1), odd
    return "all requests, entered and polled; linked, cancelled, silent, refused"


async def _requests(mode: str, *words: int) -> dict[str, UringUse]:
    start = Starter(GT, None)
    try:
        workload = start(mode, *words)
        async with Profiler("ebpf") as profiler:
            session = await profiler.attach(workload.pid, io_uring=True)
            workload.go()
            if mode == "rings":
                workload.channel.expect("small", LONG_S)
                workload.go()
            workload.channel.expect("done", LONG_S)
            table = (await session.detach()).io_uring
    finally:
        start.end()
    assert table is not None
    assert table.rows is not None, table.problems
    return {row.name.removeprefix("io_uring:"): row for row in table.rows}
