"""The two questions as coroutines: about one process, and about all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from straced.waits.model import Why, WhyAll

DEFAULT_DURATION_S = 2.0
Result = TypeVar("Result")


async def why(pid: int, *, duration: float = DEFAULT_DURATION_S, tracer: str = "auto") -> Why:
    """Explain what a process waits for, who holds it up, and at the end of the chain the root cause.

    /proc alone is read, and nobody is stopped; the work is done in a thread, which ends when this is cancelled. A
    process that is at work is also counted by eBPF for the rest of the time, where that may run.

    Args:
        pid: a process, or one thread by its id.
        duration: seconds to watch before the verdict.
        tracer: ``auto``; ``none`` for /proc alone; ``ebpf`` or ``strace`` to count in any case. strace uses ptrace, and
            slows its target down a lot.

    Returns:
        The verdict, and the chain of waits behind it.

    Raises:
        InvalidArgument: no number of a process, a duration that is none, an unknown tracer.
        TracerUnavailable, AttachError: of a tracer that was asked for by name.
        NoSuchProcess: there is none now. One that ends meanwhile gives the verdict ``gone``.
        OwnProcess: this very process; its waits are those of the question.
        NoEventLoop: no asyncio loop runs here.
    """
    from straced.linux.targets import validate_pid
    from straced.waits.call_counts import by, is_eager, sees_wakes
    from straced.waits.process import why_process

    sharpen, eager, wakes = by(tracer), is_eager(tracer), sees_wakes(tracer)
    number, window_ns = validate_pid(pid), _nanoseconds(duration)
    return await _in_thread(lambda: why_process(number, window_ns, sharpen=sharpen, eager=eager, wakes=wakes))


async def why_all(*, duration: float = DEFAULT_DURATION_S) -> WhyAll:
    """Explain all processes that can be seen, the most stuck and most waited-for first.

    Args:
        duration: seconds to watch before the verdicts.

    Returns:
        An answer for each process.

    Raises:
        InvalidArgument: a duration that is none.
        NoEventLoop: no asyncio loop runs here.
        NoResources: there is no thread or descriptor left to look with.
        TracerUnavailable: it was given up, since the loop is being closed.
    """
    from straced.waits.all_processes import why_everybody

    window_ns = _nanoseconds(duration)
    return await _in_thread(lambda: why_everybody(window_ns))


async def _in_thread(work: Callable[[], Result]) -> Result:
    from straced.concurrency.shielding import attempt

    return await attempt(_until_given_up(work), lambda _: None)


async def _until_given_up(work: Callable[[], Result]) -> Result:
    import asyncio
    import threading

    from straced.waits.pausing import GivenUp, heed

    given_up = threading.Event()

    def run() -> Result | None:
        heed(given_up)
        try:
            return work()
        except GivenUp:
            return None

    future = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({future})
        future.exception()
        raise
    return cast(Result, future.result())


def _nanoseconds(seconds: float) -> int:
    from straced.errors import InvalidArgument

    if not 0 <= seconds <= 86_400:  # false for nan, too
        raise InvalidArgument(f"duration={seconds!r} is not a time to watch", hint="seconds, from 0 to a day")
    return int(seconds * 1e9)
