"""Cancellation: one rule for every coroutine of the public API, and what keeps it.

Cancelled, an operation either has not happened or has happened. Its body runs in a task of the library's own, which
the cancellation of the caller does not reach: :func:`carry` lets it come to its end (detach, close), :func:`attempt`
interrupts it once and undoes what it did (attach, spawn, trace). The caller waits for that, at most ``BOUND_S``,
however often it is cancelled meanwhile, and then raises CancelledError. Nothing that a body awaits may cancel its own
task to tell the time: :func:`within` takes the place of ``asyncio.timeout``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from straced.errors import NoEventLoop, TracerUnavailable, resources
from straced.logs import logger

Result = TypeVar("Result")
Undo = Callable[[Result], "Coroutine[Any, Any, object] | None"]

BOUND_S = 10.0
"""The longest that a cancelled caller is kept waiting; the work goes on by itself after that."""


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop of the caller.

    Raises:
        NoEventLoop: there is none, or it is not asyncio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        hint = "under trio, run it in an asyncio loop of its own thread, or use straced.blocking in a thread"
        raise NoEventLoop("no asyncio event loop runs here", hint=hint) from None


class Operation(asyncio.Task[Result]):
    """A task of the library's own. Whoever closes the loop cancels all tasks: this one finishes first, or undoes."""

    def __init__(self, work: Coroutine[Any, Any, Result], *, stoppable: bool = False) -> None:
        try:
            loop = running_loop()
        except NoEventLoop:
            work.close()
            raise
        super().__init__(work, loop=loop)
        self._stoppable = stoppable
        _running.add(self)
        self.add_done_callback(_running.discard)

    def cancel(self, msg: Any | None = None) -> bool:
        """Interrupt it, once, when it is one that can be undone."""
        if not self._stoppable:
            return False
        self._stoppable = False  # what it does from here on is its clean-up
        return super().cancel(msg)


_running: set[Operation[Any]] = set()
"""The loop itself holds its tasks weakly."""


async def carry(work: Coroutine[Any, Any, Result], unclaimed: Undo[Result] | None = None) -> Result:
    """Do something to its end, whatever becomes of the caller.

    Args:
        unclaimed: gets the result when the caller was cancelled and cannot have it.
    """
    return await _outcome(Operation(work), unclaimed)


async def attempt(
    work: Coroutine[Any, Any, Result], undo: Undo[Result], among: set[Operation[Any]] | None = None
) -> Result:
    """Do something that is undone when the caller is cancelled.

    Args:
        work: cleans up by itself when it is interrupted, and is not interrupted in that.
        undo: for a result that was there already.
        among: whoever closes down finds it here while it runs, and may interrupt it.

    Raises:
        TracerUnavailable: it was interrupted by somebody else.
    """
    return await _outcome(_listed(Operation(work, stoppable=True), among), undo)


def _listed(operation: Operation[Result], among: set[Operation[Any]] | None) -> Operation[Result]:
    if among is not None:
        among.add(operation)
        operation.add_done_callback(among.discard)
    return operation


async def _outcome(operation: Operation[Result], undo: Undo[Result] | None) -> Result:
    try:
        await asyncio.wait({operation})
        if operation.cancelled():
            raise TracerUnavailable("given up: whom it was for has been closed meanwhile")
        with resources():
            return operation.result()
    except asyncio.CancelledError as cancelled:
        if not operation.done() or not operation.cancelled():
            operation.cancel()
            await _despite_cancels(Operation(_let_be(operation, undo)))
        cancelled.__traceback__ = None  # the frames of the wait hold the operation, and so what it made
        raise
    finally:
        del operation  # an error holds this frame, and would be held by it


async def _let_be(operation: Operation[Result], undo: Undo[Result] | None) -> None:
    """Nobody waits for the result any more: undo it, or put it aside."""
    await asyncio.wait({operation})
    if operation.cancelled() or operation.exception() is not None or undo is None:
        return
    try:
        if (work := undo(operation.result())) is not None:
            await work
    except Exception as error:
        logger.warning("clean_up_failed: %s", error, extra={"straced": {"error": repr(error)}})


async def _despite_cancels(operation: Operation[None]) -> None:
    """Wait for a clean-up. A scope of anyio cancels again at each await, and turns the loop without a pause for it."""
    anyio = sys.modules.get("anyio")
    deadline = asyncio.get_running_loop().time() + BOUND_S
    with anyio.CancelScope(shield=True) if anyio is not None else contextlib.nullcontext():
        while not operation.done() and (left := deadline - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({operation}, timeout=left)


def background(work: Coroutine[Any, Any, object]) -> Operation[Any]:
    """Begin something that nobody waits for; it is finished before the loop closes."""
    operation = Operation(work)
    operation.add_done_callback(_say_failure)
    return operation


def _say_failure(operation: asyncio.Task[Any]) -> None:
    if not operation.cancelled() and (error := operation.exception()) is not None:
        logger.warning("clean_up_failed: %s", error, extra={"straced": {"error": repr(error)}})


async def within(seconds: float, work: Awaitable[Result]) -> bool:
    """Whether something ends in time; else it is cancelled. Unlike ``asyncio.timeout`` it leaves its own task alone."""
    future = asyncio.ensure_future(work)
    try:
        await asyncio.wait({future}, timeout=seconds)
        if not future.done():
            return False
        future.result()
        return True
    finally:
        if not future.done():
            future.cancel()
        del future


async def all_done(operations: Sequence[Operation[Any]], seconds: float) -> None:
    """Interrupt operations that others began, and wait for their clean-up."""
    for operation in operations:
        operation.cancel()
    if operations:
        await asyncio.wait(operations, timeout=seconds)


class Signal:
    """Something that happens again and again. Waiting leaves nothing behind, and binds to no loop."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[bool]] = set()

    def happened(self) -> None:
        """Wake everybody who waits now."""
        for waiter in self._waiters:
            _answer(waiter, True)

    async def wait(self, seconds: float | None = None) -> bool:
        """Until it happens next; False when the time was over before."""
        loop = running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.add(waiter)
        timer = loop.call_later(max(0.0, seconds), _answer, waiter, False) if seconds is not None else None
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()


def _answer(waiter: asyncio.Future[bool], value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)


class Turns:
    """One after the other, as asyncio.Lock; but it belongs to no loop, and outlives one that was closed in its turn."""

    def __init__(self) -> None:
        self._holder: asyncio.AbstractEventLoop | None = None
        self._waiters: deque[asyncio.Future[bool]] = deque()

    async def __aenter__(self) -> None:
        loop = running_loop()
        while self._holder is not None and not self._holder.is_closed():
            waiter: asyncio.Future[bool] = loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # it was our turn: the next one's
                raise
            finally:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)
        self._holder = loop

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder = None
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(True)
                return
