"""One API, three faces: Profiler, Client and straced.blocking have the same members, and serve the same program.

Of `profiling/api.py`, `model/choices.py`, `profiling/arguments.py`, `profiling/attaching.py`,
`profiling/attendance.py`,
`profiling/found_target.py`, `profiling/full_traces.py`, `profiling/readings.py`, `profiling/tracer_set.py`; of
`tracers/event_stream.py` and `service/api/event_listeners.py`; of `client/events.py`, `client/queries.py`,
`client/notifications.py` and `client/service_socket.py`; of `blocking/profiler.py`, `blocking/session.py`,
`blocking/recording.py`, `blocking/streams.py` and `blocking/loop_thread.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import pytest

import straced
from straced import blocking, client
from straced.profiling import api
from straced.profiling.kernel_recording import KernelRecording
from straced.tracers.event_stream import EventStream, SlowCallStream
from tests.service.daemon import Daemon, serving
from tests.support.poll import auntil
from tests.support.workload import Starter

FACES: dict[str, list[tuple[type, type]]] = {
    "Profiler": [
        (api.AsyncProfiler, straced.Profiler),
        (api.AsyncSession, straced.Session),
        (api.AsyncRecording, straced.Recording),
        (api.AsyncRecording, KernelRecording),
        (api.AsyncEvents, EventStream),
        (api.AsyncSlowCalls, SlowCallStream),
    ],
    "Client": [
        (api.AsyncProfiler, client.Client),
        (api.AsyncSession, client.RemoteSession),
        (api.AsyncRecording, client.RemoteTrace),
        (api.AsyncEvents, client.RemoteEvents),
        (api.AsyncSlowCalls, client.RemoteSlowCalls),
    ],
    "blocking": [
        (api.SyncProfiler, blocking.Profiler),
        (api.SyncSession, blocking.Session),
        (api.SyncRecording, blocking.Recording),
        (api.SyncEvents, blocking.BlockingEvents),
        (api.SyncSlowCalls, blocking.BlockingSlowCalls),
    ],
}
TWINS = [
    (api.AsyncProfiler, api.SyncProfiler),
    (api.AsyncSession, api.SyncSession),
    (api.AsyncRecording, api.SyncRecording),
    (api.AsyncEvents, api.SyncEvents),
    (api.AsyncSlowCalls, api.SyncSlowCalls),
]
PROMISED = {
    api.AsyncProfiler: {"attach", "spawn", "trace", "sessions", "watch_children"},
    api.AsyncSession: {
        "read", "summary", "every", "events", "slow_calls", "result", "detach", "alive", "ended", "process",
    },
}  # fmt: skip
MISSING = object()
INHERITED = {*dir(object), "__subclasshook__", "__init__", "__abstractmethods__", "__parameters__"}


def members(kind: type) -> dict[str, Any]:
    """What a protocol asks for: methods and properties, those with underscores around them too."""
    return {
        name: value
        for name, value in vars(kind).items()
        if isinstance(value, (FunctionType, property)) and name not in INHERITED
    }


def shape(function: Any) -> list[tuple[str, object, object]]:
    """The parameters of a method: names, kinds, defaults, in order."""
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


def types(function: Any) -> list[str]:
    """The annotations of its parameters, as they stand there."""
    return [str(each.annotation) for each in inspect.signature(function).parameters.values()][1:]


def differences(protocol: type, face: type) -> list[str]:
    """Where a class is not what a protocol says."""
    found = []
    for name, wanted in members(protocol).items():
        has = inspect.getattr_static(face, name, MISSING)
        if isinstance(wanted, property):
            if has is MISSING and name not in instance_attributes(face):
                found.append(f"{name}: missing")
        elif not isinstance(has, FunctionType):
            found.append(f"{name}: missing")
        elif shape(has) != shape(wanted):
            found.append(f"{name}: {shape(has)} is not {shape(wanted)}")
        elif inspect.iscoroutinefunction(has) != inspect.iscoroutinefunction(wanted):
            found.append(f"{name}: one is a coroutine")
    return found


def instance_attributes(face: type) -> set[str]:
    """What the sources of a class and its bases assign to ``self``."""
    sources = [inspect.getsource(kind) for kind in face.__mro__ if kind.__module__.startswith("straced")]
    return {name for source in sources for name in re.findall(r"self\.(\w+)(?:: [^=\n]+)? = ", source)}


def without_async(name: str) -> str:
    """The name that the twin of a member has: ``__aenter__`` is ``__enter__``, ``aclose`` is ``close``."""
    return {"aclose": "close"}.get(name, re.sub(r"^__a(enter|exit|iter|next)__$", r"__\1__", name))


@pytest.mark.parametrize("face", FACES)
def test_each_class_has_the_members_of_its_protocol(face: str) -> None:
    assert {kind.__name__: differences(protocol, kind) for protocol, kind in FACES[face]} == {
        kind.__name__: [] for _, kind in FACES[face]
    }


@pytest.mark.parametrize(("concurrent", "waiting"), TWINS, ids=lambda kind: kind.__name__)
def test_the_twins_are_twins(concurrent: type, waiting: type) -> None:
    ours, theirs = members(concurrent), members(waiting)
    assert {without_async(name) for name in ours} == set(theirs)
    for name, member in ours.items():
        twin = theirs[without_async(name)]
        assert type(member) is type(twin), name
        if isinstance(member, FunctionType):
            assert (shape(member), types(member)) == (shape(twin), types(twin)), name
            assert not inspect.iscoroutinefunction(twin), name


def test_what_was_promised_is_in_the_protocols() -> None:
    assert {kind: names - set(members(kind)) for kind, names in PROMISED.items()} == {kind: set() for kind in PROMISED}


def test_constructors_of_both_profilers_agree() -> None:
    assert shape(straced.Profiler.__init__) == shape(blocking.Profiler.__init__)


@pytest.mark.parametrize(
    "planted",
    [
        lambda self, pid, *, follow=False, labels=None, time="wall", force=False, per_thread=False: None,
        lambda self, pid, *, labels=None, time="wall", force=False, per_thread=False: None,
        lambda self, pid, *, follow=True, labels=None, time="wall", force=False, per_thread=False, more=1: None,
        None,
    ],
)
def test_the_check_sees_a_difference(planted: Callable[..., object] | None) -> None:
    other = type("Other", (straced.Profiler,), {"attach": planted})
    assert [each.partition(":")[0] for each in differences(api.AsyncProfiler, other)] == ["attach"]


# --- the same program, three times ---


class Seen(NamedTuple):
    """What the program below was told."""

    counted: int | None
    since: int | None
    windows: int | None
    events: list[str]
    traced: int
    ends: list[str | None]
    statuses: list[int | None]
    flags: list[bool]


READS = ["sh", "-c", "echo ready; read x; /bin/true; exit 3"]
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


async def program(profiler: api.AsyncProfiler, target: Any, folder: Path) -> Seen:
    """All that the API has, once."""
    async with await profiler.attach(target.pid, labels={"job": "x"}) as session:
        flags = [session in profiler.sessions, session.alive, not session.ended, session.labels == {"job": "x"}]
        before = await session.read()
        windows = session.every(0.2)
        first = await anext(windows)
        target.finish()
        target.let_end()
        calls = [first.syscalls["getppid"].calls if "getppid" in first.syscalls else 0]
        calls += [window.syscalls["getppid"].calls or 0 async for window in windows if "getppid" in window.syscalls]
        result = await session.result()
        since = (await session.summary(before)).syscalls["getppid"].calls
        flags += [session.ended, not session.alive, session not in profiler.sessions]
    spawned = await profiler.spawn(READS, **PIPES)
    process = spawned.process
    assert process is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    async with spawned.events() as events:
        assert process.stdin is not None
        process.stdin.write(b"x\n")
        kinds = [event.kind async for event in events]
    status = await process.wait()
    end = await spawned.wait()
    traced = await profiler.spawn(["sleep", "60"])
    path = folder / "trace"
    async with await profiler.trace(traced.target.pid, path, max_bytes=10**6, filter="%process") as recording:
        flags += [recording.alive, recording.path == path]
        assert traced.process is not None
        traced.process.kill()
        over = await recording.wait()
    await traced.process.wait()
    async with await profiler.watch_children() as children:
        true = await asyncio.create_subprocess_exec("true")
        await true.wait()
        seen = await children.summary()
    flags += [(seen.total.calls or 0) > 10, (await traced.result()).end == "killed(9)"]
    return Seen(
        counted=result.syscalls["getppid"].calls,
        since=since,
        windows=sum(call or 0 for call in calls),
        events=kinds,
        traced=path.read_text().count("+++ killed by SIGKILL +++"),
        ends=[result.end, end.reason, over.reason],
        statuses=[status, end.exit_status],
        flags=flags,
    )


def waiting_program(profiler: api.SyncProfiler, target: Any, folder: Path) -> Seen:
    """The same, without a loop."""
    with profiler.attach(target.pid, labels={"job": "x"}) as session:
        flags = [session in profiler.sessions, session.alive, not session.ended, session.labels == {"job": "x"}]
        before = session.read()
        windows = session.every(0.2)
        first = next(windows)
        target.finish()
        target.let_end()
        calls = [first.syscalls["getppid"].calls if "getppid" in first.syscalls else 0]
        calls += [window.syscalls["getppid"].calls or 0 for window in windows if "getppid" in window.syscalls]
        result = session.result()
        since = session.summary(before).syscalls["getppid"].calls
        flags += [session.ended, not session.alive, session not in profiler.sessions]
    spawned = profiler.spawn(READS, bufsize=0, **PIPES)
    process = spawned.process
    assert process is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with spawned.events() as events:
        assert process.stdin is not None
        process.stdin.write(b"x\n")
        kinds = [event.kind for event in events]
    process.stdin.close()
    process.stdout.close()
    status = process.wait()
    end = spawned.wait()
    traced = profiler.spawn(["sleep", "60"])
    path = folder / "trace"
    with profiler.trace(traced.target.pid, path, max_bytes=10**6, filter="%process") as recording:
        flags += [recording.alive, recording.path == path]
        assert traced.process is not None
        traced.process.kill()
        over = recording.wait()
    traced.process.wait()
    with profiler.watch_children() as children:
        subprocess.run(["true"], check=True)
        seen = children.summary()
    flags += [(seen.total.calls or 0) > 10, traced.result().end == "killed(9)"]
    return Seen(
        counted=result.syscalls["getppid"].calls,
        since=since,
        windows=sum(call or 0 for call in calls),
        events=kinds,
        traced=path.read_text().count("+++ killed by SIGKILL +++"),
        ends=[result.end, end.reason, over.reason],
        statuses=[status, end.exit_status],
        flags=flags,
    )


EXPECTED = Seen(
    counted=1009,
    since=1009,
    windows=1009,
    events=["fork", "exec", "exit", "exit"],
    traced=1,
    ends=["exited", "exited", "killed(9)"],
    statuses=[3, 3],
    flags=[True] * 11,
)


@pytest.fixture
def daemon(world: None, tmp_path: Path) -> Iterator[Daemon]:
    folder = tmp_path / "service"
    folder.mkdir()
    with serving(folder) as made:
        yield made


needs = pytest.mark.needs("root", "ebpf", "strace", "cc")


@pytest.fixture
async def profiler() -> AsyncIterator[straced.Profiler]:
    async with straced.Profiler("ebpf") as made:
        yield made


@needs
async def test_by_the_profiler(profiler: straced.Profiler, start: Starter, tmp_path: Path) -> None:
    assert await program(profiler, start("n", 1009), tmp_path) == EXPECTED


@needs
async def test_by_the_client(daemon: Daemon, start: Starter, tmp_path: Path) -> None:
    async with daemon.client() as connection:
        assert await program(connection, start("n", 1009), tmp_path) == EXPECTED
        assert connection.sessions == []


@needs
def test_without_a_loop(start: Starter, tmp_path: Path) -> None:
    with blocking.Profiler("ebpf") as profiler:
        assert waiting_program(profiler, start("n", 1009), tmp_path) == EXPECTED
        assert profiler.sessions == []


# --- what is new in it ---


@needs
async def test_events_are_heard_from_the_call_on(profiler: straced.Profiler) -> None:
    """An iterator that listened from its first step on missed what happened between the call and that."""
    session = await profiler.spawn(READS, **PIPES)
    process = session.process
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    events, dropped = session.events(), session.events()
    process.stdin.write(b"x\n")
    del dropped
    await session.result()
    assert [event.kind async for event in events] == ["fork", "exec", "exit", "exit"]
    assert [event async for event in session.events()] == []
    await process.wait()


@needs
async def test_a_closed_stream_listens_no_more(profiler: straced.Profiler, start: Starter) -> None:
    session = await profiler.attach(start("tick").pid)
    control = session._inner._instance.engine.control  # type: ignore[union-attr, attr-defined]
    async with session.events() as events:
        assert control.listening == 1
    assert control.listening == 0
    assert [event async for event in events] == []


@needs
async def test_a_trace_of_strace_that_counts_goes_back(start: Starter, tmp_path: Path) -> None:
    """The public trace hands over and gives back as the one of a descriptor did; its file is whole and private."""
    target = start("tick")
    async with straced.Profiler("strace") as profiler:
        session = await profiler.attach(target.pid)
        recording = await profiler.trace(target.pid, tmp_path / "trace")
        await auntil(lambda: (tmp_path / "trace").stat().st_size, 20)
        assert (await recording.stop()).reason == "detached"
        await profiler.settled(target.pid)
        assert session.alive
        await session.detach()
        with pytest.raises(straced.errors.OutputExists):
            await profiler.trace(target.pid, tmp_path / "trace")
    path = tmp_path / "trace"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().endswith("\n")
    assert target.untraced()


@pytest.mark.parametrize(
    "options",
    [{"max_bytes": 0}, {"max_seconds": -1.0}, {"filter": "no_such_call"}, {"timestamps": "ns"}, {"string_bytes": -1}],
)
async def test_what_a_trace_cannot_be_is_refused_before_anything_is_done(
    options: dict[str, Any], tmp_path: Path
) -> None:
    for profiler in (straced.Profiler("strace"), client.Client(tmp_path / "nobody")):
        with pytest.raises(straced.errors.InvalidArgument):
            await profiler.trace(1, tmp_path / "trace", **options)
    assert "trace" not in os.listdir(tmp_path)
