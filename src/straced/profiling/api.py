"""The one API of :class:`straced.Profiler`, :class:`straced.client.Client` and :mod:`straced.blocking`.

A program that is written for these protocols runs with any of the three: with a tracer of its own, by the service, and,
for the twins without ``async``, in a thread without an event loop. A type checker can only compare what is spelled
out, so the twins are; a test holds each pair, and each class, together member by member.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import asyncio
    import subprocess

    from straced.model.choices import TimeKind, Timestamps, TraceTracer
    from straced.model.slow import SlowSyscall
    from straced.model.types import Event, Sample, Summary, Target
    from straced.tracers.base import Ending

Word = str | os.PathLike[str]


class AsyncEvents(Protocol):
    """What ``events()`` of a session returns."""

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Event: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AsyncSlowCalls(Protocol):
    """What ``slow_calls()`` of a session returns."""

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> SlowSyscall: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AsyncSession(Protocol):
    """What ``attach``, ``spawn`` and ``watch_children`` return."""

    @property
    def target(self) -> Target: ...
    @property
    def tracer(self) -> str: ...
    @property
    def tracer_reason(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def process(self) -> asyncio.subprocess.Process | None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    async def read(self) -> Sample: ...
    async def summary(self, since: Sample | None = None) -> Summary: ...
    def every(self, seconds: float) -> AsyncIterator[Summary]: ...
    def events(self) -> AsyncEvents: ...
    def slow_calls(self) -> AsyncSlowCalls: ...
    async def wait(self) -> Ending: ...
    async def result(self) -> Summary: ...
    async def detach(self, why: str = "detach") -> Summary: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AsyncRecording(Protocol):
    """What ``trace`` returns."""

    @property
    def target(self) -> Target: ...
    @property
    def tracer(self) -> str: ...
    @property
    def tracer_reason(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def dropped_lines(self) -> int: ...
    async def wait(self) -> Ending: ...
    async def stop(self) -> Ending: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AsyncProfiler(Protocol):
    """Attaches to processes, and owns the sessions."""

    @property
    def sessions(self) -> Sequence[AsyncSession]: ...
    async def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        force: bool = False,
        per_thread: bool = False,
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
    ) -> AsyncSession: ...
    async def spawn(
        self,
        argv: Sequence[Word],
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
        **popen_options: Any,
    ) -> AsyncSession: ...
    async def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> AsyncSession: ...
    async def trace(
        self,
        pid: int,
        path: Word,
        *,
        tracer: TraceTracer = "auto",
        overwrite: bool = False,
        follow: bool = True,
        timestamps: Timestamps = "us",
        decode_fds: bool = True,
        string_bytes: int | None = None,
        filter: str | None = None,
        paths: Sequence[str] = (),
        failed_only: bool = False,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        min_free_bytes: int | None = None,
        force: bool = False,
    ) -> AsyncRecording: ...
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


# --- the same without an event loop ---


class SyncEvents(Protocol):
    """As :class:`AsyncEvents`."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Event: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SyncSlowCalls(Protocol):
    """As :class:`AsyncSlowCalls`."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> SlowSyscall: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SyncSession(Protocol):
    """As :class:`AsyncSession`."""

    @property
    def target(self) -> Target: ...
    @property
    def tracer(self) -> str: ...
    @property
    def tracer_reason(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def process(self) -> subprocess.Popen[Any] | None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    def read(self) -> Sample: ...
    def summary(self, since: Sample | None = None) -> Summary: ...
    def every(self, seconds: float) -> Iterator[Summary]: ...
    def events(self) -> SyncEvents: ...
    def slow_calls(self) -> SyncSlowCalls: ...
    def wait(self) -> Ending: ...
    def result(self) -> Summary: ...
    def detach(self, why: str = "detach") -> Summary: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SyncRecording(Protocol):
    """As :class:`AsyncRecording`."""

    @property
    def target(self) -> Target: ...
    @property
    def tracer(self) -> str: ...
    @property
    def tracer_reason(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def dropped_lines(self) -> int: ...
    def wait(self) -> Ending: ...
    def stop(self) -> Ending: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SyncProfiler(Protocol):
    """As :class:`AsyncProfiler`."""

    @property
    def sessions(self) -> Sequence[SyncSession]: ...
    def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        force: bool = False,
        per_thread: bool = False,
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
    ) -> SyncSession: ...
    def spawn(
        self,
        argv: Sequence[Word],
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
        **popen_options: Any,
    ) -> SyncSession: ...
    def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> SyncSession: ...
    def trace(
        self,
        pid: int,
        path: Word,
        *,
        tracer: TraceTracer = "auto",
        overwrite: bool = False,
        follow: bool = True,
        timestamps: Timestamps = "us",
        decode_fds: bool = True,
        string_bytes: int | None = None,
        filter: str | None = None,
        paths: Sequence[str] = (),
        failed_only: bool = False,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        min_free_bytes: int | None = None,
        force: bool = False,
    ) -> SyncRecording: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
