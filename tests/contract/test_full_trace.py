"""The full trace of one target, into a file.

Of `manager/full_traces.py`, `profiling/handover.py`, `profiling/segments.py`, `tracers/strace/full_trace.py`,
`tracers/strace/trace_file.py` and `profiling/full_traces.py`.
"""

# ruff: noqa: ASYNC240
from __future__ import annotations

import asyncio
import os
import re
import stat
from pathlib import Path

import pytest

from straced import StraceManager
from straced.tracers.strace.attachment import Attachment
from tests.support import proc
from tests.support.events import Events
from tests.support.owner import start_owner
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


def calls(path: Path, name: str) -> int:
    """Lines of that call in a trace, resumed halves not counted."""
    return len(re.findall(rf"(?m)^(?:\[pid +\d+\] |\d+ +)?[\d:.]+ {name}\(", path.read_text(errors="replace")))


async def test_refusals(start: Starter, events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = start("tick")
    assert await StraceManager(enabled=False).attach_full_trace(workload.pid, tmp_path / "a") is False
    assert [name for name in events.names() if name.startswith("strace_disabled")]
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert await StraceManager().attach_full_trace(workload.pid, tmp_path / "b") is False
    assert events.one("strace_not_available_full")["level"] == "warning"
    assert not list(tmp_path.glob("[ab]"))


async def test_twice_is_one_trace_and_folders_are_made(
    manager: StraceManager, start: Starter, events: Events, tmp_path: Path
) -> None:
    workload = start("tick")
    output = tmp_path / "deep" / "down" / "trace"
    assert await manager.attach_full_trace(workload.pid, output)
    helpers = manager.get_strace_pids()
    assert await manager.attach_full_trace(workload.pid, tmp_path / "other") is True
    assert events.one("full_trace_already_attached")["level"] == "debug"
    assert manager.get_strace_pids() == helpers
    assert not (tmp_path / "other").exists()
    for _ in range(3):  # the call in flight at the attach has no line until it returns
        assert workload.runs()
    assert await manager.detach_full_trace(workload.pid) is True
    assert await manager.detach_full_trace(workload.pid) is False
    assert output.stat().st_size > 0


async def test_a_path_that_cannot_be_written(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("tick")
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "file" / "below", tmp_path / "fifo", Path("/proc/nope/trace")):
        assert await manager.attach_full_trace(workload.pid, path) is False, path
        error = manager.last_error(workload.pid)
        assert error is not None
        assert error.code.startswith("output"), (path, error)
    assert manager.get_strace_pids() == []
    assert (tmp_path / "file").read_text() == "mine"
    assert workload.runs()


async def test_the_format_of_a_line(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("n", 250)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    await workload.work()
    assert await manager.detach_full_trace(workload.pid)
    text = (tmp_path / "trace").read_text()
    assert len(re.findall(r"(?m)^(?:\d+ +)?\d\d:\d\d:\d\d getppid\(\) += \d+$", text)) == 250


async def test_microseconds_when_asked(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("n", 20)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace", timestamps="us")
    await workload.work()
    assert await manager.detach_full_trace(workload.pid)
    text = (tmp_path / "trace").read_text()
    assert len(re.findall(r"(?m)^(?:\d+ +)?\d{10}\.\d{6} getppid\(\) += \d+ <\d+\.\d+>$", text)) == 20


@pytest.mark.parametrize("wall", [False, True], ids=["cpu", "wall"])
async def test_a_trace_takes_a_counted_target_over_and_gives_it_back(
    manager: StraceManager, start: Starter, tmp_path: Path, wall: bool
) -> None:
    workload = start("spin", 500, go=False)

    async def lap() -> None:
        workload.go()
        await asyncio.to_thread(workload.channel.expect, "lap", 20)

    assert await manager.attach(workload.pid, wall=wall)
    await lap()
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    assert manager.attached_pids == [workload.pid], "the summary goes on"
    await lap()
    assert await manager.detach_full_trace(workload.pid)
    assert calls(tmp_path / "trace", "getppid") == 500
    assert manager.attached_pids == [workload.pid], "the summary resumes"
    await lap()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 1500
    if not wall and any(part["time"] != "cpu" for part in result["parts"]):
        assert set(result["syscall_time_pct"].values()) <= {None}, "two kinds of time are never added"
    assert workload.untraced()


@pytest.mark.parametrize("wall", [False, True], ids=["cpu", "wall"])
@pytest.mark.parametrize("timestamps", ["s", "us"])
async def test_shares_of_time_are_there_after_a_trace_where_they_are_known(
    manager: StraceManager, start: Starter, tmp_path: Path, wall: bool, timestamps: str
) -> None:
    """By eBPF over the whole time, in the kind that was asked for; else of each part whose tracer tells time."""
    workload = start("spin", 4_000, go=False)

    async def lap() -> None:
        workload.go()
        await asyncio.to_thread(workload.channel.expect, "lap", 60)

    assert await manager.attach(workload.pid, wall=wall)
    for _ in range(1 if wall else 5):  # enough for a clock that tells CPU time in ticks of 4 ms
        await lap()
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace", timestamps=timestamps)
    await lap()
    assert await manager.detach_full_trace(workload.pid)
    result = await manager.detach(workload.pid)
    assert result is not None
    kind = "wall" if wall else "cpu"
    known = [part for part in result["parts"] if part["time"] == kind]
    assert known[0]["time_pct"]
    for shares in filter(None, [part["time_pct"] for part in known]):  # none, where no call was made
        assert sum(shares.values()) == pytest.approx(100, abs=0.1)
        assert shares["getppid"] > 0
    if known == result["parts"]:
        assert result["time"] == kind
        assert set(result["syscall_time_pct"]) == set(result["syscall_counts"])
        assert sum(result["syscall_time_pct"].values()) == pytest.approx(100, abs=0.1)
    else:
        assert result["syscall_time_pct"] == {}
    if not wall and "ebpf" in [part["tracer"] for part in result["parts"]]:
        assert "cpu_time" in [reason["code"] for reason in result["quality"]["reasons"]]


BOTH_BY_STRACE = """
    async def main(pid):
        manager = StraceManager()
        say("attached", await manager.attach(pid)); await ahear()
        say("attached", await manager.attach_full_trace(pid, Path(os.environ["OUT"]))); await ahear()
        await manager.detach_full_trace(pid)
        tracer = Path(f"/proc/{pid}/status").read_text().partition("TracerPid:")[2].split()[0]
        say("attached", manager.get_strace_pids() == [int(tracer)]); await ahear()
        result = await manager.detach(pid)
        quality = result["quality"]
        say("result", result["syscall_counts"]["getppid"], len(result["parts"]), quality["kind"], quality["gap_s"])
    asyncio.run(main(int(os.environ["TARGET"])))
    """


@pytest.mark.needs("root", "setpriv")
def test_without_ebpf_the_gap_is_measured(start: Starter, tmp_path: Path) -> None:
    """An owner without the rights for eBPF: strace counts, lets the trace have the target, and counts again."""
    workload = start("spin", 400, go=False)
    owner = start_owner(
        start,
        BOTH_BY_STRACE,
        prefix=("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"),
        env={"TARGET": str(workload.pid), "OUT": str(tmp_path / "trace")},
    )
    for _ in range(3):
        assert owner.channel.expect("attached") == "True"
        workload.go()
        workload.channel.expect("lap")
        owner.go()
    count, parts, kind, gap = owner.channel.expect("result").split()
    assert calls(tmp_path / "trace", "getppid") == 400
    assert (count, kind) == ("1200", "partial")
    assert int(parts) >= 2
    assert 0 < float(gap) < 5
    owner.process.wait(10)


async def test_detaching_the_summary_leaves_the_trace(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("spin", 300, go=False)
    assert await manager.attach(workload.pid)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    assert await manager.detach(workload.pid) is not None
    assert proc.tracer(workload.pid) != 0, "the trace goes on"
    workload.go()
    await asyncio.to_thread(workload.channel.expect, "lap", 20)
    assert await manager.detach_full_trace(workload.pid)
    assert calls(tmp_path / "trace", "getppid") == 300
    assert proc.tracer(workload.pid) == 0


async def test_events(manager: StraceManager, start: Starter, events: Events, tmp_path: Path) -> None:
    workload = start("tick")
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    event = events.one("full_trace_attached", pid=workload.pid)
    assert event["level"] == "info"
    assert [event["strace_pid"]] == manager.get_strace_pids()
    assert str(event["output_file"]) == str(tmp_path / "trace")
    assert await manager.detach_full_trace(workload.pid)
    workload.kill()
    assert await manager.attach_full_trace(workload.pid, tmp_path / "late") is False
    assert events.one("full_trace_target_exited")["pid"] == workload.pid
    assert not (tmp_path / "late").exists()


async def test_the_file_is_private_and_new(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("tick")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    for path, code in ((victim, "output_exists"), (tmp_path / "link", "output")):
        assert await manager.attach_full_trace(workload.pid, path) is False
        error = manager.last_error(workload.pid)
        assert error is not None
        assert error.code.startswith(code)
    assert victim.read_text() == "precious"
    old = os.umask(0)
    try:
        assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "trace").stat().st_mode) == 0o600
    assert await manager.detach_full_trace(workload.pid)


async def test_overwrite_writes_a_new_file_and_renames_it(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    workload = start("n", 50)
    old = tmp_path / "trace"
    old.write_text("old")
    with old.open() as still_open:
        assert await manager.attach_full_trace(workload.pid, old, overwrite=True)
        await workload.work()
        assert await manager.detach_full_trace(workload.pid)
        assert still_open.read() == "old", "the old file was replaced, not written over"
    assert calls(old, "getppid") == 50
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["trace"]


async def test_overwrite_never_follows_a_link(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("tick")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    if await manager.attach_full_trace(workload.pid, tmp_path / "link", overwrite=True):
        assert await manager.detach_full_trace(workload.pid)
    assert victim.read_text() == "precious"


async def test_max_bytes_stops_it_cleanly(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("spin")
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace", max_bytes=100_000)
    await auntil(workload.untraced, 10, "the trace stops by itself")
    assert workload.runs()
    await auntil(lambda: manager.get_strace_pids() == [], what="its strace ends")
    assert 50_000 < (tmp_path / "trace").stat().st_size < 400_000, "about as large as asked, on a busy machine too"


async def test_max_seconds_stops_it_cleanly(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("tick")
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace", max_seconds=0.5)
    await auntil(workload.untraced, 10, "the trace stops by itself")
    assert workload.runs()
    assert calls(tmp_path / "trace", "clock_nanosleep") > 10


async def test_a_limit_that_is_reached_before_the_trace_is_looked_at(
    manager: StraceManager, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine lets the owner wait for longer than it wanted to trace: that is a trace, and no refusal."""
    begin = Attachment._start

    async def then_wait(self: Attachment, tids: list[int]) -> None:
        await begin(self, tids)
        await auntil(lambda: not proc.alive(self.helpers[0].pid or 0), what="its time is over")

    monkeypatch.setattr(Attachment, "_start", then_wait)
    workload = start("tick")
    began = await manager.attach_full_trace(workload.pid, tmp_path / "trace", max_seconds=0.1)
    assert began, manager.last_error(workload.pid)
    assert workload.untraced()
    assert "clock_nanosleep(" in (tmp_path / "trace").read_text()
    assert workload.runs()


async def test_lines_of_several_helpers_are_in_order_of_time(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    workload = start("family", 3, 200)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace", timestamps="us")
    await workload.work()
    assert await manager.detach_full_trace(workload.pid)
    times = [float(t) for t in re.findall(r"(?m)^(?:\d+ +)?(\d{10}\.\d{6}) ", (tmp_path / "trace").read_text())]
    assert len(times) >= 800
    assert times == sorted(times)
    assert calls(tmp_path / "trace", "getppid") == 800


async def test_a_filter_is_a_set_of_calls(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("io", 40)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace", filter="write")
    await workload.work()
    assert await manager.detach_full_trace(workload.pid)
    assert calls(tmp_path / "trace", "write") == 40
    assert calls(tmp_path / "trace", "read") == 0
