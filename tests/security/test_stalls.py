"""A loop that stood still is noted: who, what. The service manager hears from the loop alone. A fault is one line."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from straced.faults import Faults
from straced.service.daemon import sd_notify
from straced.service.daemon.stalls import WatchedSelector, stalls, timed
from straced.workflows import serve


def in_a_watched_loop(work: object) -> list[tuple[float, str]]:
    """Run a coroutine as the service does; what was reported."""
    told: list[tuple[float, str]] = []
    stalls._told, stalls.began = -100.0, 0.0
    stalls.report = lambda seconds, what: told.append((seconds, what))
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(WatchedSelector())) as runner:
            runner.run(work)  # type: ignore[arg-type]
    finally:
        stalls.report = None
    return told


async def blocks(seconds: float) -> str:
    await asyncio.sleep(0)
    time.sleep(seconds)  # noqa: ASYNC251
    await asyncio.sleep(0)
    return "done"


def test_who_held_the_loop_is_said() -> None:
    async def work() -> None:
        assert await timed(lambda: "history of user 1000", blocks(1.05)) == "done"

    ((seconds, what),) = in_a_watched_loop(work())
    assert seconds >= 1.05
    assert what == "history of user 1000"


def test_what_nobody_accounts_for_is_said_too_and_short_steps_are_not() -> None:
    async def work() -> None:
        await timed(lambda: "short", blocks(0.3))
        await blocks(1.05)

    assert [what for _seconds, what in in_a_watched_loop(work())] == ["many small things"]


def test_timed_passes_on_results_errors_and_cancellation() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("x")

    async def waits() -> None:
        await asyncio.sleep(100)

    async def work() -> None:
        with pytest.raises(ValueError, match="x"):
            await timed(lambda: "", fails())
        task = asyncio.create_task(timed(lambda: "", waits()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def wrapped() -> None:
        await work()

    assert in_a_watched_loop(wrapped()) == []


def test_the_manager_hears_nothing_from_a_loop_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        service = SimpleNamespace(
            config=SimpleNamespace(interval=10**7),
            ticks=0,
            watcher=SimpleNamespace(watchlist=SimpleNamespace(watched=())),
        )

        def signs() -> int:
            count = 0
            while True:
                try:
                    count += b"WATCHDOG=1" in heard.recv(4096)
                except BlockingIOError:
                    return count

        async def work() -> None:
            task = asyncio.create_task(serve._sign_of_life(service))  # type: ignore[arg-type]
            while not signs():
                service.ticks += 1
                await asyncio.sleep(0.01)
            time.sleep(0.5)  # noqa: ASYNC251
            assert signs() == 0
            while not signs():
                service.ticks += 1
                await asyncio.sleep(0.01)
            task.cancel()

        asyncio.run(work())


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        began = time.monotonic()
        said = [sd_notify.notify("WATCHDOG=1") for _ in range(3000)]
        assert said[0]
        assert not said[-1]
        assert time.monotonic() - began < 10


def test_a_fault_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()

    def fail(text: str) -> None:
        try:
            raise ValueError(text)
        except ValueError as error:
            faults.tell("request_failed", error, method="top")

    logger = logging.getLogger("straced.service")
    monkey, logger.propagate = logger.propagate, True
    try:
        with caplog.at_level(logging.ERROR, logger="straced.service"):
            for number in range(1000):
                fail(f"x{number}")
    finally:
        logger.propagate = monkey
    (record,) = caplog.records
    assert record.exc_info is None
    fields = record.straced  # type: ignore[attr-defined]
    assert fields["error"] == "ValueError: x0"
    assert fields["at"].startswith("test_stalls.py:")
