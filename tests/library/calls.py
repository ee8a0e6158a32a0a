"""Every public coroutine of the library, in a situation in which it has something to do, and what is left then."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from straced import Profiler, Session, StraceManager, why, why_all
from straced.linux.output_file import OutputFile
from straced.profiling.handover import hand_over, settled
from straced.tracers.event_stream import EventStream
from straced.tracers.recording import Recording
from straced.tracers.strace.recording import RecordOptions, StraceRecording

Work = Callable[[], Coroutine[Any, Any, Any]]
Steps = AsyncGenerator[Work, bool]
SLEEP = ["sleep", "60"]
ENDLESS_S = 0.1
"""By then, what waits for ever has come to where it waits."""


class Bench:
    """What the calls are tried with: one tracer, already in use, and one target that runs on and on."""

    def __init__(self, tracer: str, pid: int, folder: Path) -> None:
        self.tracer = tracer
        self.pid = pid
        self._folder = folder
        self._files = 0
        self.profiler = Profiler(tracer)
        self.manager = StraceManager()

    async def warm(self) -> None:
        """From here on the guard is up, and the programs are loaded."""
        await (await self.profiler.attach(self.pid)).detach()
        if self.tracer == "ebpf":
            await (await self.profiler.attach(self.pid, slower_than=1000.0)).detach()
        if self.tracer == "strace":
            for profiler in (self.profiler, self.manager._profiler):
                session = await profiler.attach(self.pid)
                await (await profiler.record(self.pid, None, RecordOptions())).abandon()
                await session.detach()

    async def close(self) -> None:
        """End all."""
        await self.manager.detach_all()
        await self.profiler.close()

    def file(self) -> Path:
        """A new name."""
        self._files += 1
        return self._folder / f"trace{self._files}"

    def files(self) -> list[Path]:
        """Traces that were left."""
        return sorted(self._folder.iterdir())


class Call(NamedTuple):
    """How one coroutine is tried.

    ``after``: what a cancelled call is measured by. ``undone``: as before the call, nothing of it has happened;
    ``done``: as before the situation, it has happened; ``waits``: as before the call, which went on waiting;
    ``goes on``: at the end only, since the counting of the target may have passed to eBPF for good.
    ``endless_s``: it waits for ever, and has come to where it waits by then; 0: it ends.
    """

    name: str
    after: str
    steps: Callable[[Bench], Steps]
    tracers: tuple[str, ...]
    endless_s: float


CALLS: list[Call] = []
PARTS = {
    "Profiler.attach_for": "Profiler.attach",
    "Profiler.watch_children_for": "Profiler.watch_children",
    "Session.end": "Session.detach",
    "Session.__aexit__": "Session.detach",
    "StraceRecording.end": "StraceRecording.stop",
    "KernelRecording.__aexit__": "KernelRecording.stop",
    **{f"Recording.{name}": f"KernelRecording.{name}" for name in ("wait", "stop", "__aenter__")},
    "Recording.__aexit__": "KernelRecording.stop",
    "StraceRecording.__aexit__": "StraceRecording.stop",
    "EventStream.__aexit__": "EventStream.aclose",
    "SlowCallStream.__aexit__": "SlowCallStream.aclose",
}
"""Coroutines that another one awaits, or that await it, and nothing else: they are tried with it."""
ITERATORS = {"AsyncIterator", "EventStream", "SlowCallStream", "RemoteEvents", "RemoteSlowCalls"}


def call(
    name: str, after: str, *, tracers: tuple[str, ...] = ("ebpf", "strace"), endless_s: float = 0.0
) -> Callable[[Callable[[Bench], Steps]], Callable[[Bench], Steps]]:
    """Register an async generator: it yields the call, is told whether that was cancelled, and clears up."""

    def register(steps: Callable[[Bench], Steps]) -> Callable[[Bench], Steps]:
        CALLS.append(Call(name, after, steps, tracers, endless_s))
        return steps

    return register


def public_coroutines(types: Iterable[type]) -> Iterator[str]:
    """The coroutines, and the makers of async iterators, that a user of these classes may call."""
    for kind in types:
        for name, member in inspect.getmembers(kind):
            if name.startswith("_") and name not in ("__aenter__", "__aexit__"):
                continue
            returns = re.findall(r"\w+", str(getattr(member, "__annotations__", {}).get("return", "")))
            makes = inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
            if makes or not ITERATORS.isdisjoint(returns):
                yield f"{kind.__name__}.{name}"


async def _end_all(profiler: Profiler) -> None:
    for session in profiler.sessions:
        if session.process is not None:
            with suppress(ProcessLookupError):
                session.process.kill()
            await session.process.wait()
        await session.detach()


# --- Profiler ---


@call("Profiler.load", "undone", tracers=("ebpf",))
async def _load(bench: Bench) -> Steps:
    profiler = Profiler(bench.tracer)
    yield lambda: _loaded_and_closed(profiler)
    await profiler.close()


async def _loaded_and_closed(profiler: Profiler) -> None:
    async with profiler:
        await profiler.load()


@call("Profiler.attach", "undone")
async def _attach(bench: Bench) -> Steps:
    cancelled = yield lambda: bench.profiler.attach(bench.pid)
    assert bool(bench.profiler.sessions) != cancelled
    await _end_all(bench.profiler)


@call("Profiler.attach", "undone")
async def _attach_first(bench: Bench) -> Steps:
    profiler = Profiler(bench.tracer)
    yield lambda: _attached_and_closed(profiler, bench.pid)
    await profiler.close()


async def _attached_and_closed(profiler: Profiler, pid: int) -> None:
    async with profiler:
        await profiler.attach(pid)


@call("Profiler.watch_children", "undone", tracers=("ebpf",))
async def _watch_children(bench: Bench) -> Steps:
    cancelled = yield bench.profiler.watch_children
    assert bool(bench.profiler.sessions) != cancelled
    await _end_all(bench.profiler)


@call("Profiler.spawn", "undone")
async def _spawn(bench: Bench) -> Steps:
    yield lambda: bench.profiler.spawn(SLEEP)
    await _end_all(bench.profiler)


@call("Profiler.trace", "undone")
async def _trace(bench: Bench) -> Steps:
    path = bench.file()
    made: list[Recording] = []

    async def trace() -> None:
        made.append(await bench.profiler.trace(bench.pid, path))

    cancelled = yield trace
    assert path.exists() != cancelled
    for recording in made:
        await recording.stop()
    path.unlink(missing_ok=True)


@call("Profiler.settled", "waits", tracers=("strace",))
async def _settled(bench: Bench) -> Steps:
    await bench.profiler.attach(bench.pid)
    yield lambda: bench.profiler.settled(bench.pid)
    await _end_all(bench.profiler)


@call("Profiler.record", "undone", tracers=("strace",))
async def _record(bench: Bench) -> Steps:
    made: list[StraceRecording] = []

    async def trace() -> None:
        made.append(await bench.profiler.record(bench.pid, null, RecordOptions()))

    null = os.open("/dev/null", os.O_WRONLY)
    yield trace
    for recording in made:
        await recording.stop()
    os.close(null)


@call("Profiler.record", "goes on", tracers=("strace",))
async def _record_a_counted_one(bench: Bench) -> Steps:
    session = await bench.profiler.attach(bench.pid)
    cancelled = yield lambda: _traced(session, bench)
    assert session.alive
    assert cancelled or session.recording is None
    assert (await session.detach()).total.calls is not None


async def _traced(session: Session, bench: Bench) -> None:
    recording = await bench.profiler.record(bench.pid, None, RecordOptions())
    await recording.abandon()
    await bench.profiler.settled(bench.pid)


@call("Profiler.record_calls", "undone", tracers=("ebpf",))
async def _record_calls(bench: Bench) -> Steps:
    output = OutputFile(bench.file())
    made: list[Recording] = []

    async def trace() -> None:
        made.append(await bench.profiler.record_calls(bench.pid, output, RecordOptions(), binary=True))

    cancelled = yield trace
    assert bool(made) != cancelled
    for recording in made:
        await recording.stop()
    output.discard()


@call("Profiler.read_all", "waits")
async def _read_all(bench: Bench) -> Steps:
    await bench.profiler.attach(bench.pid)
    yield bench.profiler.read_all
    await _end_all(bench.profiler)


@call("Profiler.close", "done")
async def _close(bench: Bench) -> Steps:
    profiler = Profiler(bench.tracer)
    session = await profiler.attach(bench.pid)
    yield profiler.close
    assert (await session.detach()).total.calls is not None


@call("Profiler.__aenter__", "waits")
async def _enter(bench: Bench) -> Steps:
    yield bench.profiler.__aenter__


@call("Profiler.__aexit__", "done")
async def _exit(bench: Bench) -> Steps:
    profiler = Profiler(bench.tracer)
    await profiler.attach(bench.pid)
    yield lambda: profiler.__aexit__(None, None, None)


# --- Session ---


def _session_call(name: str, after: str, work: Callable[[Session], Work], **options: Any) -> None:
    @call(f"Session.{name}", after, **options)
    async def steps(bench: Bench) -> Steps:
        session = await bench.profiler.attach(bench.pid)
        yield work(session)
        assert (await session.detach()).quality.lost == 0


def _next(iterator: Any) -> Work:
    async def work() -> None:
        await anext(iterator)

    return work


_session_call("read", "waits", lambda session: session.read, tracers=("ebpf",))
_session_call("summary", "waits", lambda session: session.summary, tracers=("ebpf",))
_session_call("every", "waits", lambda session: _next(session.every(0.01)), tracers=("ebpf",))
_session_call("events", "waits", lambda session: _next(session.events()), tracers=("ebpf",), endless_s=ENDLESS_S)
_session_call("wait", "waits", lambda session: session.wait, endless_s=ENDLESS_S)
_session_call("result", "waits", lambda session: session.result, endless_s=ENDLESS_S)
_session_call("__aenter__", "waits", lambda session: session.__aenter__)
_session_call("detach", "done", lambda session: session.detach)


@call("hand_over", "undone", tracers=("strace",))
async def _hand_over(bench: Bench) -> Steps:
    session = await bench.profiler.attach(bench.pid)
    tracer = session._tracer
    yield lambda: hand_over(session, lambda: tracer.record(session.target, None, RecordOptions()))  # type: ignore[attr-defined]
    if session.recording is not None:
        await session.recording.abandon()
        await settled(session)
    assert session._inner is not None, "it is counted again"
    await session.detach()


# --- EventStream ---


def _stream_call(name: str, after: str, work: Callable[[EventStream], Work], **options: Any) -> None:
    @call(f"EventStream.{name}", after, tracers=("ebpf",), **options)
    async def steps(bench: Bench) -> Steps:
        session = await bench.profiler.attach(bench.pid)
        yield work(session.events())
        await session.detach()


_stream_call("__aenter__", "waits", lambda stream: stream.__aenter__)
_stream_call("aclose", "done", lambda stream: stream.aclose)
_stream_call("read", "waits", lambda stream: lambda: stream.read(1), endless_s=ENDLESS_S)


# --- SlowCallStream ---


def _slow_call(name: str, work: Callable[[Session], Work], **options: Any) -> None:
    @call(name, "waits", tracers=("ebpf",), **options)
    async def steps(bench: Bench) -> Steps:
        session = await bench.profiler.attach(bench.pid, slower_than=1000.0)
        yield work(session)
        await session.detach()


_slow_call("Session.slow_calls", lambda session: _next(session.slow_calls()), endless_s=ENDLESS_S)
_slow_call("SlowCallStream.__aenter__", lambda session: session.slow_calls().__aenter__)
_slow_call("SlowCallStream.aclose", lambda session: session.slow_calls().aclose)
_slow_call("SlowCallStream.read", lambda session: lambda: session.slow_calls().read(1), endless_s=ENDLESS_S)


# --- recordings ---


def _recording_call(name: str, after: str, work: Callable[[StraceRecording], Work], **options: Any) -> None:
    @call(f"StraceRecording.{name}", after, tracers=("strace",), **options)
    async def steps(bench: Bench) -> Steps:
        recording = await bench.profiler.record(bench.pid, None, RecordOptions())
        yield work(recording)
        await recording.abandon()


_recording_call("wait", "waits", lambda recording: recording.wait, endless_s=ENDLESS_S)
_recording_call("abandon", "done", lambda recording: recording.abandon)
_recording_call("__aenter__", "waits", lambda recording: recording.__aenter__)


@call("StraceRecording.stop", "done", tracers=("strace",))
async def _stop(bench: Bench) -> Steps:
    null = os.open("/dev/null", os.O_WRONLY)
    recording = await bench.profiler.record(bench.pid, null, RecordOptions())
    os.close(null)
    yield recording.stop
    assert (await recording.stop()).reason == "detached"


def _kernel_recording_call(name: str, after: str, work: Callable[[Recording], Work], **options: Any) -> None:
    @call(f"KernelRecording.{name}", after, tracers=("ebpf",), **options)
    async def steps(bench: Bench) -> Steps:
        path = bench.file()
        recording = await bench.profiler.trace(bench.pid, path, tracer="ebpf")
        yield work(recording)
        assert (await recording.stop()).reason == "detached"
        path.unlink()


_kernel_recording_call("wait", "waits", lambda recording: recording.wait, endless_s=ENDLESS_S)
_kernel_recording_call("stop", "done", lambda recording: recording.stop)
_kernel_recording_call("__aenter__", "waits", lambda recording: recording.__aenter__)


# --- StraceManager ---


@call("StraceManager.attach", "undone", tracers=("strace",))
async def _manager_attach(bench: Bench) -> Steps:
    cancelled = yield lambda: bench.manager.attach(bench.pid)
    assert bench.manager.attached_pids == ([] if cancelled else [bench.pid])
    assert (await bench.manager.detach(bench.pid) is None) == cancelled


@call("StraceManager.detach", "done", tracers=("strace",))
async def _manager_detach(bench: Bench) -> Steps:
    assert await bench.manager.attach(bench.pid)
    cancelled = yield lambda: bench.manager.detach(bench.pid)
    again = await bench.manager.detach(bench.pid)
    assert (again is not None) == cancelled, "the summary goes to whoever asks next"


@call("StraceManager.attach", "goes on", tracers=("strace",))
async def _manager_attach_live(bench: Bench) -> Steps:
    """The programs may have been loaded; they are the manager's to unload at its end."""
    manager = StraceManager(live=True)
    cancelled = yield lambda: manager.attach(bench.pid)
    assert manager.attached_pids == ([] if cancelled else [bench.pid])
    await manager.detach_all()


@call("StraceManager.read", "goes on", tracers=("strace",))
async def _manager_read(bench: Bench) -> Steps:
    """eBPF begins to count with the first of them, or has not begun."""
    manager = StraceManager()
    assert await manager.attach(bench.pid)
    yield lambda: manager.read(bench.pid)
    assert manager.attached_pids == [bench.pid]
    assert set(await manager.detach_all()) == {bench.pid}


@call("StraceManager.spawn", "undone", tracers=("strace",))
async def _manager_spawn(bench: Bench) -> Steps:
    made: list[asyncio.subprocess.Process] = []

    async def spawn() -> None:
        made.append(await bench.manager.spawn(SLEEP))

    yield spawn
    for process in made:
        process.kill()
        await process.wait()
        await bench.manager.detach(process.pid)
    assert bench.manager.attached_pids == []


@call("StraceManager.attach_full_trace", "undone", tracers=("strace",))
async def _manager_trace(bench: Bench) -> Steps:
    path = bench.file()
    cancelled = yield lambda: bench.manager.attach_full_trace(bench.pid, path)
    assert path.exists() != cancelled
    assert await bench.manager.detach_full_trace(bench.pid) != cancelled
    path.unlink(missing_ok=True)


@call("StraceManager.attach_full_trace", "goes on", tracers=("strace",))
async def _manager_trace_of_a_counted_one(bench: Bench) -> Steps:
    path = bench.file()
    assert await bench.manager.attach(bench.pid)
    yield lambda: bench.manager.attach_full_trace(bench.pid, path)
    await bench.manager.detach_full_trace(bench.pid)
    assert bench.manager.attached_pids == [bench.pid]
    assert await bench.manager.detach(bench.pid) is not None
    path.unlink(missing_ok=True)


@call("StraceManager.detach_full_trace", "done", tracers=("strace",))
async def _manager_detach_trace(bench: Bench) -> Steps:
    path = bench.file()
    assert await bench.manager.attach_full_trace(bench.pid, path)
    yield lambda: bench.manager.detach_full_trace(bench.pid)
    assert not await bench.manager.detach_full_trace(bench.pid)
    path.unlink()


@call("StraceManager.detach_all", "done", tracers=("strace",))
async def _detach_all(bench: Bench) -> Steps:
    manager = StraceManager()
    assert await manager.attach(bench.pid)
    cancelled = yield manager.detach_all
    assert set(await manager.detach_all()) == ({bench.pid} if cancelled else set())


# --- why ---


@call("why", "waits")
async def _why(bench: Bench) -> Steps:
    yield lambda: why(bench.pid, duration=0.05, tracer=bench.tracer)


@call("why", "waits", tracers=("ebpf",), endless_s=3 * ENDLESS_S)  # loads programs before
async def _why_for_long(bench: Bench) -> Steps:
    yield lambda: why(bench.pid, duration=1000)


@call("why_all", "waits", tracers=("ebpf",))
async def _why_all(bench: Bench) -> Steps:
    yield lambda: why_all(duration=0.05)
