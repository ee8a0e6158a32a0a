"""Cancel a coroutine at its n-th suspension, its own and those of the tasks that the library works in for it."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from straced.concurrency import shielding

Cancel = Callable[[], object]


class Points:
    """Counts suspensions, and calls ``cancel`` at one of them, while that is suspended."""

    def __init__(self) -> None:
        self.count = 0
        self.at = -1
        self.cancel: Cancel | None = None

    def arm(self, at: int, cancel: Cancel) -> None:
        """Begin to count anew."""
        self.count, self.at, self.cancel = 0, at, cancel

    def disarm(self) -> None:
        """Let everything run undisturbed."""
        self.cancel = None

    @property
    def reached(self) -> bool:
        """Whether the point has been there."""
        return self.count > self.at

    @types.coroutine
    def watched(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same coroutine, its suspensions counted."""
        step = _sending(work, None)
        try:
            while True:
                try:
                    waits_for = step()
                except StopIteration as end:
                    return end.value
                self._suspended()
                try:
                    sent = yield waits_for
                except BaseException as error:
                    step = _throwing(work, error)
                else:
                    step = _sending(work, sent)
        finally:
            work.close()

    def _suspended(self) -> None:
        if self.cancel is not None:
            if self.count == self.at:
                asyncio.get_running_loop().call_soon(self.cancel)
            self.count += 1


def _throwing(work: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: work.throw(error)


def _sending(work: Coroutine[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: work.send(value)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Points]:
    """Count in the tasks of the library, too."""
    points = Points()
    plain: type[shielding.Operation[Any]] = shielding.Operation

    class Counted(plain):  # type: ignore[misc, valid-type]
        def __init__(self, work: Coroutine[Any, Any, Any], **options: Any) -> None:
            super().__init__(_as_coroutine(points.watched(work)), **options)

    monkeypatch.setattr(shielding, "Operation", Counted)
    yield points
    monkeypatch.setattr(shielding, "Operation", plain)


async def _as_coroutine(steps: Any) -> Any:
    return await steps


async def once(points: Points, at: int, work: Coroutine[Any, Any, Any], endless_s: float = 0.0) -> bool:
    """Run ``work`` and cancel its task at a point; whether it was cancelled.

    One that has no end is cancelled after ``endless_s`` even if it does not come to that point.
    """
    task = asyncio.create_task(_as_coroutine(points.watched(work)))
    points.arm(at, task.cancel)
    return await _cancelled(points, task, task.cancel, endless_s)


async def again_and_again(points: Points, at: int, work: Coroutine[Any, Any, Any], endless_s: float = 0.0) -> bool:
    """The same, and cancel again and again until it has ended."""
    task = asyncio.create_task(_as_coroutine(points.watched(work)))
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        if not task.done():
            task.cancel()
            loop.call_later(0.001, cancel)

    points.arm(at, cancel)
    return await _cancelled(points, task, cancel, endless_s)


async def _cancelled(points: Points, task: asyncio.Task[Any], cancel: Cancel, endless_s: float) -> bool:
    try:
        await asyncio.wait({task}, timeout=endless_s or None)
        if not points.reached:
            cancel()
        await asyncio.wait({task})
    finally:
        points.disarm()
    if task.cancelled():
        return True
    task.result()
    return False


async def in_a_scope(points: Points, at: int, work: Coroutine[Any, Any, Any], endless_s: float = 0.0) -> bool:
    """The same by a cancel scope of anyio, in the caller's own task, as a server has it."""
    import anyio

    with anyio.move_on_after(endless_s or None) as scope:
        points.arm(at, scope.cancel)
        try:
            await points.watched(work)
        finally:
            points.disarm()
    return scope.cancelled_caught
