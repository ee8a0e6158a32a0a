"""The same for the client of a real service: what was cancelled is undone in the service, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from straced.client.client import Client
from straced.client.events import RemoteEvents, RemoteSlowCalls
from straced.client.sessions import RemoteSession
from tests.library import points as cancelling
from tests.library.calls import public_coroutines
from tests.library.client_calls import CLIENT_CALLS, CLIENT_PARTS, ClientBench
from tests.library.test_cancellation import PointsOf, anyio_run, every, libuv, try_at, uvloop_run  # noqa: F401
from tests.service.daemon import Daemon, serving
from tests.support.needs import require
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "ebpf", "cc"), pytest.mark.limit(120)]
WAYS: dict[str, tuple[Callable[[Any], object], Any, PointsOf]] = {
    "asyncio": (asyncio.run, cancelling.once, every()),
    "uvloop": (uvloop_run, cancelling.once, every(2)),
    "anyio": (anyio_run, cancelling.in_a_scope, every(2, 1)),
}


@pytest.fixture
def daemon(world: None, tmp_path: Path) -> Iterator[Daemon]:
    """One that refuses the third session: those that cancelled calls leave behind would be too many soon."""
    folder = tmp_path / "service"
    folder.mkdir()
    with serving(folder, "[ipc]\n#\nmax_sessions_per_user = 2\n") as made:
        yield made


def test_no_public_coroutine_is_left_out() -> None:
    from straced.client.remote_trace import RemoteTrace

    assert {each.name for each in CLIENT_CALLS} | CLIENT_PARTS.keys() == set(
        public_coroutines((Client, RemoteSession, RemoteTrace, RemoteEvents, RemoteSlowCalls))
    )


@pytest.mark.parametrize("way", WAYS)
def test_cancelled_at_each_await(
    way: str, daemon: Daemon, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cancel, points_of = WAYS[way]
    if way != "asyncio":
        require(way)
    target = start("tick")
    folder = tmp_path / "traces"
    folder.mkdir()
    complaints: list[dict[str, Any]] = []

    async def main(points: cancelling.Points) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        bench = ClientBench(daemon.socket, target.pid, folder)
        async with bench.client:
            for place, each in enumerate(CLIENT_CALLS):
                await try_at(each, bench, points, cancel, points_of(place))
        assert bench.files() == []

    with cancelling.counted(monkeypatch) as points:
        run(main(points))
    assert complaints == []
    assert target.untraced()
    assert target.runs()
