"""The service's rows and its history, from a real service that watches a workload of known rate.

Of `live/fallback.py` and `live/standing_calls.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from straced.config import schema
from straced.errors import ServiceUnreachable
from straced.ipc.messages import Status
from straced.linux import procfs
from straced.linux.process_scan import abi_of, call_now
from straced.live.fallback import ServiceOrLocal
from straced.live.history import STEP_S, HistorySource, Kept, frame_of_minute
from straced.live.service import ServiceSource, frame_of
from straced.live.standing_calls import StandingCalls
from straced.model.frame import Frame, ProcessRow
from straced.model.history import KeptEvent
from straced.store.history import History
from straced.store.writer import HistoryWriter
from tests.commands.top.test_terminal import TOP, run, terminal
from tests.live.processes import workload
from tests.service.daemon import Daemon
from tests.service.samples import NOON, calls, process, tick
from tests.support.needs import require
from tests.support.poll import auntil, until

LIMIT_S = 20.0


async def frame_where(ask: Callable[[], Awaitable[Frame]], condition: Callable[[Frame], object], what: str) -> Frame:
    """The first frame of which something is so."""
    frames: list[Frame] = []

    async def asked() -> Frame | None:
        frames[:] = [await ask()]
        return frames[0] if condition(frames[0]) else None

    found = await auntil(asked, LIMIT_S, lambda: f"{what}\n{frames}", lambda: asyncio.sleep(0.1))
    assert found is not None
    return found


async def first_frame(source: ServiceSource | ServiceOrLocal | HistorySource) -> Frame:
    """A service that has just begun has no figures for a moment."""

    async def asked() -> Frame | None:
        with contextlib.suppress(ServiceUnreachable):
            return await source.frame()
        return None

    found = await auntil(asked, LIMIT_S, "a frame", lambda: asyncio.sleep(0.1))
    assert found is not None
    return found


def known(frame: Frame) -> bool:
    return len(frame.processes) == 1 and frame.processes[0].calls_s is not None and frame.duration_ns > 0


async def test_what_a_service_watches_is_the_truth(tmp_path: Path) -> None:
    require("ebpf")
    with workload(tmp_path, batches=50, calls=20, errors=2) as worker:
        daemon = Daemon(tmp_path, interval="1s")
        daemon.write(f'[[watch]]\ntarget = "{worker.pid}"\nlabels = {{job = "build-42"}}\n')
        daemon.start()
        source = ServiceSource(daemon.socket)
        try:
            await first_frame(source)

            def right(frame: Frame) -> bool:
                """A second in which nobody was in the way of the worker, looked at a moment ago."""
                row = frame.processes[0] if known(frame) else None
                fresh = 0 <= time.monotonic_ns() - frame.monotonic_ns < 3e9
                return (
                    row is not None and fresh and row.calls_s == pytest.approx(1150, rel=0.08)
                    and row.errors_s == pytest.approx(100, rel=0.1) and row.waiting_pct == pytest.approx(97, abs=5)
                )  # fmt: skip

            frame = await frame_where(source.frame, right, "1,150 calls a second, 100 errors, and waiting else")
            row = frame.processes[0]
            assert (row.pid, row.job, frame.source, frame.tracer) == (worker.pid, "build-42", "service", "ebpf")
            assert frame.calls_s == pytest.approx(row.calls_s)
            assert frame.alerts == 0
            detail = await source.detail(worker.key)
            assert detail.calls is not None
            calls = {each.name: each for each in detail.calls}
            assert calls["openat"].errno == {"ENOENT": calls["openat"].calls}
            assert detail.threads is not None
            assert len(detail.threads) == 1
            assert any(note.kind == "service_started" for note in frame.notes)
        finally:
            await source.close()
            daemon.stop()


@contextlib.contextmanager
def sleeper() -> Iterator[int]:
    """The pid of a process that stands in clock_nanosleep."""
    with subprocess.Popen(["sleep", "600"]) as process:
        until(lambda: call_now(str(process.pid), abi_of(process.pid)) == "clock_nanosleep", LIMIT_S)
        yield process.pid
        process.kill()


async def test_a_service_shows_the_call_of_those_that_were_waiting_already(tmp_path: Path) -> None:
    require("ebpf")
    with sleeper() as waiting:
        daemon = Daemon(tmp_path)
        daemon.write(f'[[watch]]\ntarget = "{waiting}"\n')
        source = ServiceOrLocal(daemon.socket)
        try:
            daemon.start()
            frame = await frame_where(
                lambda: first_frame(source), lambda frame: known(frame) and frame.processes[0].now, "a call"
            )
            assert (frame.source, frame.notice) == ("service", "")
            assert frame.processes[0].now == "clock_nanosleep"
        finally:
            await source.close()
            daemon.stop()


def test_the_call_of_those_that_waited_already_is_looked_up_for_the_same_process_only() -> None:
    with sleeper() as waiting:
        started = procfs.stat(waiting).start_ticks
        known = ProcessRow(
            pid=waiting, start_ticks=started, ppid=1, comm="sleep", cmdline="sleep 600", state="S", calls_s=0.0
        )
        another = msgspec.structs.replace(known, start_ticks=started + 1)
        counted = msgspec.structs.replace(known, pid=os.getpid(), now="read")
        calls = StandingCalls()
        for _ in range(2):
            assert [row.now for row in calls.add((known, another, counted))] == ["clock_nanosleep", None, "read"]
        moved = msgspec.structs.replace(known, pid=waiting, state="Z")
        assert calls.add((moved,))[0].now is None


async def test_a_service_that_watches_nothing_leaves_it_to_the_machine_and_says_so(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path).start()
    source = ServiceOrLocal(daemon.socket)
    try:
        frame = await first_frame(source)
        assert frame.source == source.name == "local"
        assert "watches nothing yet" in frame.notice
        assert any(row.pid == 1 for row in frame.processes)
        assert (await source.frame()).notice == frame.notice
        assert not source.move(1)
        assert (await source.detail(frame.processes[0].key)).pid == frame.processes[0].pid
    finally:
        await source.close()
        daemon.stop()


def test_what_ended_in_a_tick_is_told_by_program() -> None:
    made = (("read", 6, "cc1"), ("exit_group", 3, "cc1"), ("read", 5, "as"))
    ended = tuple(msgspec.structs.replace(calls(name, count), program=program) for name, count, program in made)
    root = msgspec.structs.replace(process(7, made=(calls("read", 10),)), ended=ended)
    status = Status(version="1", pid=1, system=True, started=0.0, interval_ns=10**9, tracer="ebpf")
    frame = frame_of(msgspec.structs.replace(tick(NOON, root), duration_ns=10**9), status, ())
    short = {each.program: each for each in frame.short_lived}
    assert (short["cc1"].ended, short["cc1"].calls_s, short["cc1"].parent) == (3, 9.0, root.facts.key)
    assert short["as"].ended is None
    assert frame.calls_s == sum(each.calls_s or 0 for each in (*frame.processes, *frame.short_lived)) == 24.0


async def test_a_lost_service_is_said_and_found_again(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        daemon = Daemon(tmp_path)
        daemon.write(f'[[watch]]\ntarget = "{worker.pid}"\n')
        daemon.start()
        source = ServiceSource(daemon.socket)
        try:
            before = await first_frame(source)
            daemon.stop()
            lost = await source.frame()
            assert lost.disconnected
            assert lost.monotonic_ns == (await source.frame()).monotonic_ns
            assert lost.monotonic_ns >= before.monotonic_ns
            daemon.start()
            back = await frame_where(source.frame, lambda frame: frame.disconnected is None, "the service again")
            assert back.monotonic_ns > lost.monotonic_ns
            await frame_where(source.frame, lambda frame: len(frame.processes) == 1, "its process")
        finally:
            await source.close()
            daemon.stop()


async def test_no_service_at_all(tmp_path: Path) -> None:
    for source in (ServiceSource(tmp_path / "none"), HistorySource(3600, tmp_path / "none")):
        with pytest.raises(ServiceUnreachable):
            await source.frame()
        await source.close()


async def test_history_shows_the_minute_that_was_asked_for(tmp_path: Path) -> None:
    require("ebpf")
    with workload(tmp_path, batches=50, calls=20, errors=2) as worker:
        daemon = Daemon(tmp_path)
        daemon.write(f'[[watch]]\ntarget = "{worker.pid}"\n')
        daemon.start()
        source = HistorySource(0.0, daemon.socket)
        try:
            started = time.time()

            async def this_minute() -> Frame:
                source.move(1000)  # another one may have begun
                return await first_frame(source)

            frame = await frame_where(
                this_minute,
                lambda frame: frame.processes and (frame.processes[0].calls_s or 0) > 20,
                "what was kept of this minute",
            )
            row = frame.processes[0]
            seen = await source.detail(worker.key)
            assert (row.pid, row.start_ticks) == worker.key
            assert seen.calls is not None
            calls = {each.name: each.calls or 0 for each in seen.calls}
            # at most what was done since the minute or the service began, and getppid is to openat as 20 to 2
            span = time.time() - min(started, frame.epoch_s)
            assert 0 < calls["getppid"] <= 1000 * (span + 2)
            assert calls["getppid"] == pytest.approx(10 * calls["openat"], rel=0.1)
            assert seen.unreadable
            before = HistorySource(3600.0, daemon.socket)
            earliest = await before.frame()
            await before.close()
            assert earliest.epoch_s == frame.kept_since // STEP_S * STEP_S
            assert earliest.notice.startswith("no history for ")
            assert source.move(-10)
            past = await source.frame()
            assert past.epoch_s == frame.epoch_s - 10 * STEP_S
            assert past.processes == ()
            assert past.notice == "no history for this period"
            assert past.kept_since == pytest.approx(started, abs=10)
            assert source.go_to(started)
            begun = await source.frame()
            assert begun.epoch_s == started // STEP_S * STEP_S
            assert begun.quality.kind == "partial"
            assert {"began", "running"} & {reason.code for reason in begun.quality.reasons}
            assert source.go_to(time.time() + 3600)
            assert (await source.frame()).epoch_s <= time.time()
        finally:
            await source.close()
            daemon.stop()


def test_a_minute_that_is_not_whole_says_why() -> None:
    status = Status(version="1", pid=1, system=True, started=0.0, interval_ns=10**9, tracer="ebpf")
    began = KeptEvent(id=1, time=NOON + 40, kind="service_started", text="")
    frame = frame_of_minute(NOON, (), status, (began,), Kept(since=NOON - 3600, gaps_s=7.0))
    assert frame.quality.kind == "partial"
    assert [reason.code for reason in frame.quality.reasons] == ["began", "gap", "at_return"]
    assert "7 s of this minute" in frame.quality.reasons[1].text
    whole = frame_of_minute(NOON + 60, (), status, (began,), Kept(since=NOON - 3600))
    assert (whole.quality.kind, whole.notice) == ("exact", "")


def test_a_rank_has_the_closed_minutes_and_the_one_that_runs(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    store = HistoryWriter(tmp_path / "state" / "history.db", schema.StoreConfig())
    store.start()
    try:
        for second in range(90):  # a minute and a half
            busy = process(7, made=(calls("read", 10, errors=1, wall_ns=5),))
            idle = process(8, made=(calls("read", 1),))
            store.put(tick(NOON + second, busy, idle))
        assert store.flush()
        history = History(store.path)
        for begin, end, made in ((0, 60, 600), (60, 120, 300), (0, 120, 900)):
            ranked = history.top(NOON + begin, NOON + end)
            assert [(each.process.pid, each.calls, each.errors) for each in ranked] == [
                (7, made, made // 10),
                (8, made // 10, 0),
            ]
            assert [each.calls for each in history.top(NOON + begin, NOON + end, limit=1)] == [made]
        assert {each.pid for each in history.find(since=NOON + 60, until=NOON + 120)} == {7, 8}
        history.close()
    finally:
        store.close()


def test_the_screen_says_when_a_service_is_lost_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        daemon = Daemon(tmp_path)
        daemon.write(f'[[watch]]\ntarget = "{worker.pid}"\n')
        daemon.start()
        try:
            with terminal(tmp_path, [*TOP, "-i", "200ms"], STRACED_SOCKET=str(daemon.socket)) as screen:
                screen.until(lambda text: "service" in text and str(worker.pid) in text, "the process")
                daemon.stop()
                shown = screen.until(lambda text: "DISCONNECTED" in text, "that it is lost")
                assert str(worker.pid) in shown
                daemon.start()
                screen.until(lambda text: "DISCONNECTED" not in text and str(worker.pid) in text, "that it is back")
                screen.press("q")
                screen.until(lambda text: "status 0" in text, "the end")
        finally:
            daemon.stop()


def test_where_rows_come_from_on_the_command_line(tmp_path: Path) -> None:
    nobody = str(tmp_path / "none")
    ended = run("--once", "--source", "service", STRACED_SOCKET=nobody)
    assert ended.returncode == ServiceUnreachable.exit_code
    assert 1 <= len(ended.stderr.splitlines()) <= 3
    ended = run("--once", "--history", "1h", STRACED_SOCKET=nobody)
    assert ended.returncode == ServiceUnreachable.exit_code
    assert run("--once", "--history", "1h", "4242", STRACED_SOCKET=nobody).returncode == 2
    daemon = Daemon(tmp_path).start()
    try:
        ended = run("--once", "--json", "-i", "300ms", STRACED_SOCKET=str(daemon.socket))
        assert '"source":"local"' in ended.stdout  # it watches nothing
        assert "watches nothing yet" in ended.stdout
        ended = run("--once", "--json", "-i", "300ms", "--source", "service", STRACED_SOCKET=str(daemon.socket))
        assert '"source":"service"' in ended.stdout
        ended = run("--once", "--json", "-i", "300ms", "--source", "local", STRACED_SOCKET=str(daemon.socket))
        assert '"source":"local"' in ended.stdout
        ended = run("--once", "--json", "-i", "300ms", "--history", "5m", STRACED_SOCKET=str(daemon.socket))
        assert '"source":"history"' in ended.stdout
    finally:
        daemon.stop()
