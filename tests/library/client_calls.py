"""Every public coroutine of the service's client, in a situation in which it has something to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from straced.client.client import Client
from straced.client.events import RemoteEvents
from straced.client.sessions import RemoteSession
from straced.errors import StracedError, TracerUnavailable
from straced.ipc.messages import Nothing, Select
from tests.library.calls import ENDLESS_S, SLEEP, Work
from tests.support.poll import auntil

Steps = AsyncGenerator[Work, bool]


class ClientBench:
    """A service that allows few sessions, so that those left behind are refused; and a connection to it."""

    def __init__(self, socket: Path, pid: int, folder: Path) -> None:
        self.socket = socket
        self.pid = pid
        self._folder = folder
        self._files = 0
        self.client = Client(socket)

    def file(self) -> Path:
        """A new name."""
        self._files += 1
        return self._folder / f"trace{self._files}"

    def files(self) -> list[Path]:
        """Traces that were left."""
        return sorted(self._folder.iterdir())


class ClientCall(NamedTuple):
    """As :class:`tests.library.calls.Call`."""

    name: str
    after: str
    steps: Callable[[ClientBench], Steps]
    endless_s: float = 0.0


CLIENT_CALLS: list[ClientCall] = []
CLIENT_PARTS = {
    "RemoteSession.__aexit__": "RemoteSession.detach",
    "RemoteTrace.__aexit__": "RemoteTrace.stop",
    "RemoteEvents.__aexit__": "RemoteEvents.aclose",
    "RemoteSlowCalls.__aexit__": "RemoteSlowCalls.aclose",
}
"""As :data:`tests.library.calls.PARTS`."""


def _call(name: str, after: str, *, endless_s: float = 0.0) -> Callable[[Callable[[ClientBench], Steps]], None]:
    return lambda steps: CLIENT_CALLS.append(ClientCall(name, after, steps, endless_s))


def _asks(name: str, work: Callable[[Client, int], Coroutine[Any, Any, object]]) -> None:
    """A request that changes nothing that a cancel would have to undo."""

    @_call(f"Client.{name}", "waits")
    async def steps(bench: ClientBench) -> Steps:
        yield lambda: work(bench.client, bench.pid)


_asks("status", lambda client, _: client.status())
_asks("rules", lambda client, _: client.rules())
_asks("snapshot", lambda client, _: client.snapshot())
_asks("metrics", lambda client, _: client.metrics())
_asks("processes", lambda client, _: client.processes(Select()))
_asks("history", lambda client, pid: client.history(Select(pid=pid)))
_asks("timeline", lambda client, pid: client.timeline(Select(pid=pid)))
_asks("top", lambda client, _: client.top(Select()))
_asks("moment", lambda client, _: client.moment(Select()))
_asks("risen", lambda client, _: client.risen(Select()))
_asks("events", lambda client, _: client.events(Select()))
_asks("alerts", lambda client, _: client.alerts(Select()))
_asks("report", lambda client, _: client.report("x"))
_asks("label", lambda client, pid: client.label(pid, job="x"))
_asks("watch", lambda client, _: client.watch("name:no-such-program"))
_asks("unwatch", lambda client, _: _unwatched(client))
_asks("request", lambda client, _: client.request("watch.list", Nothing(), list))
_asks("__aenter__", lambda client, _: client.__aenter__())


async def _unwatched(client: Client) -> None:
    await client.watch("name:no-such-program")
    await client.unwatch("name:no-such-program")


@_call("Client.connect", "undone")
async def _connect(bench: ClientBench) -> Steps:
    client = Client(bench.socket)
    yield client.connect
    await client.close()


@_call("Client.close", "done")
async def _close(bench: ClientBench) -> Steps:
    client = Client(bench.socket)
    await client.connect()
    yield client.close


@_call("Client.__aexit__", "done")
async def _exit(bench: ClientBench) -> Steps:
    client = Client(bench.socket)
    await client.connect()
    yield lambda: client.__aexit__(None, None, None)


@_call("Client.news", "waits", endless_s=ENDLESS_S)
async def _news(bench: ClientBench) -> Steps:
    news = bench.client.news("alerts")

    async def work() -> None:
        await anext(news)

    yield work


@_call("Client.attach", "undone")
async def _attach(bench: ClientBench) -> Steps:
    made: list[RemoteSession] = []

    async def work() -> None:
        made.append(await bench.client.attach(bench.pid))

    yield work
    for session in made:
        await session.detach()


@_call("Client.spawn", "undone")
async def _spawn(bench: ClientBench) -> Steps:
    made: list[RemoteSession] = []

    async def work() -> None:
        made.append(await bench.client.spawn(SLEEP))

    yield work
    for session in made:
        assert session.process is not None
        session.process.kill()
        await session.process.wait()
        await session.detach()


def _traces(tracer: str) -> None:
    @_call("Client.trace", "undone")
    async def steps(bench: ClientBench) -> Steps:
        path = bench.file()
        made: list[Any] = []

        async def work() -> None:
            made.append(await bench.client.trace(bench.pid, path, tracer=tracer))

        cancelled = yield work
        assert path.exists() != cancelled
        for trace in made:
            await trace.stop()
        path.unlink(missing_ok=True)


_traces("strace")
_traces("ebpf")


@_call("Client.dump", "waits")
async def _dump(bench: ClientBench) -> Steps:
    """Of a service that keeps no records: it is refused, and leaves no file."""
    path = bench.file()

    async def work() -> None:
        with suppress(TracerUnavailable):
            await bench.client.dump(bench.pid, path)

    yield work
    assert not path.exists()


def _of_a_session(name: str, after: str, work: Callable[[RemoteSession], Work], endless_s: float = 0.0) -> None:
    @_call(f"RemoteSession.{name}", after, endless_s=endless_s)
    async def steps(bench: ClientBench) -> Steps:
        session = await bench.client.attach(bench.pid)
        yield work(session)
        with suppress(StracedError):
            await session.detach()


@_call("Client.watch_children", "undone")
async def _watch_children(bench: ClientBench) -> Steps:
    made: list[RemoteSession] = []

    async def work() -> None:
        made.append(await bench.client.watch_children(bench.pid))

    yield work
    for session in made:
        await session.detach()


@_call("Client.outcome", "waits", endless_s=ENDLESS_S)
async def _outcome(bench: ClientBench) -> Steps:
    task = bench.client.work(asyncio.sleep(1000))
    yield lambda: bench.client.outcome(task)
    task.cancel()


def _next(session: RemoteSession) -> Work:
    windows = session.every(0.02)

    async def work() -> None:
        await anext(windows)
        await windows.aclose()  # type: ignore[attr-defined]

    return work


_of_a_session("read", "waits", lambda session: session.read)
_of_a_session("summary", "waits", lambda session: session.summary)
_of_a_session("every", "waits", _next)
_of_a_session("wait", "waits", lambda session: session.wait, endless_s=ENDLESS_S)
_of_a_session("result", "waits", lambda session: session.result, endless_s=ENDLESS_S)
_of_a_session("detach", "done", lambda session: session.detach)
_of_a_session("__aenter__", "waits", lambda session: session.__aenter__)
_of_a_session("events", "waits", lambda session: session.events().__anext__, endless_s=ENDLESS_S)


def _of_events(name: str, after: str, work: Callable[[RemoteEvents], Work], endless_s: float = 0.0) -> None:
    @_call(f"RemoteEvents.{name}", after, endless_s=endless_s)
    async def steps(bench: ClientBench) -> Steps:
        session = await bench.client.attach(bench.pid)
        yield work(session.events())
        await session.detach()


_of_events("__aenter__", "waits", lambda events: events.__aenter__)
_of_events("aclose", "waits", lambda events: events.aclose)


def _of_slow_calls(
    name: str, after: str, work: Callable[[RemoteSession], Callable[[], Any]], endless_s: float = 0.0
) -> None:
    @_call(name, after, endless_s=endless_s)
    async def steps(bench: ClientBench) -> Steps:
        session = await bench.client.attach(bench.pid, slower_than=1000.0)
        yield work(session)
        await session.detach()


_of_slow_calls("RemoteSession.slow_calls", "waits", lambda session: session.slow_calls().__anext__, endless_s=ENDLESS_S)
_of_slow_calls("RemoteSlowCalls.__aenter__", "waits", lambda session: session.slow_calls().__aenter__)
_of_slow_calls("RemoteSlowCalls.aclose", "waits", lambda session: session.slow_calls().aclose)


def _of_a_trace(name: str, after: str, work: Callable[[Any], Work], tracer: str, endless_s: float = 0.0) -> None:
    @_call(f"RemoteTrace.{name}", after, endless_s=endless_s)
    async def steps(bench: ClientBench) -> Steps:
        path = bench.file()
        trace = await bench.client.trace(bench.pid, path, tracer=tracer)
        await auntil(lambda: path.stat().st_size, what="the first piece has come, and all its tasks are there")
        yield work(trace)
        assert (await trace.stop()).reason == "detached"
        path.unlink()


for _tracer in ("strace", "ebpf"):
    _of_a_trace("wait", "waits", lambda trace: trace.wait, _tracer, endless_s=ENDLESS_S)
    _of_a_trace("stop", "done", lambda trace: trace.stop, _tracer)
    _of_a_trace("__aenter__", "waits", lambda trace: trace.__aenter__, _tracer)
