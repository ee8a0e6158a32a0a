"""Counts and a full trace of one program behind a gate: asked for together, both begin at its first instruction.

Of `gating/asks.py` and `gating/opening.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from straced import Profiler, StraceManager, errors, gate, gating
from straced.tracers.ebpf import probe
from straced.tracers.ebpf.errors import EbpfTooOld
from straced.tracers.strace.recording import RecordOptions
from tests.support.needs import require
from tests.support.owner import start_owner
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
CALLS = 5_000
CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
WITHOUT_EBPF = ("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin")


def traced(path: Path) -> int:
    """How many calls of the loop stand in a trace."""
    return path.read_bytes().count(b" getppid(")


async def gated(start: Starter) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*gate([str(start.gt), "n", str(CALLS)]), env=CLEAN)


OWNER = """
import json

async def main():
    manager, out, order = StraceManager(), Path(os.environ["OUT"]), os.environ["ORDER"]
    process = await asyncio.create_subprocess_exec(*gate([os.environ["GT"], "n", os.environ["CALLS"]]), env={})
    ask = {"c": lambda: manager.attach(process.pid), "t": lambda: manager.attach_full_trace(process.pid, out)}
    if order in ("ct", "tc"):
        answers = await asyncio.gather(*(ask[letter]() for letter in order))
    else:
        answers = [await ask[letter]() for letter in order.split("-")]
    status = await process.wait()
    await manager.detach_full_trace(process.pid)
    result = await manager.detach(process.pid)
    counts, quality = dict(result["syscall_counts"]), dict(result["quality"])
    said = [answers, status, counts.get("getppid"), counts.get("execve"), quality["kind"], quality["gap_s"]]
    say("result", json.dumps([*said, [reason["code"] for reason in quality["reasons"]]]))
    await manager.detach_all()

asyncio.run(main())
"""


@pytest.mark.needs("root", "setpriv")
@pytest.mark.parametrize("prefix", [(), WITHOUT_EBPF], ids=["ebpf", "no-ebpf"])
@pytest.mark.parametrize("order", ["ct", "tc", "t-c"])
def test_a_manager_has_both_from_the_first_instruction(
    start: Starter, tmp_path: Path, prefix: tuple[str, ...], order: str
) -> None:
    """In whatever order they are asked for at once, and counts after a full trace that began with the program."""
    out = tmp_path / "trace"
    env = {"OUT": str(out), "ORDER": order, "GT": str(start.gt), "CALLS": str(CALLS)}
    owner = start_owner(start, OWNER, prefix=prefix, env=env)
    answers, status, counted, launched, _, gap, reasons = json.loads(owner.channel.expect("result", 60))
    assert answers == [True, True]
    assert status == 0
    assert (counted, traced(out)) == (CALLS, CALLS)
    assert launched == 1
    assert gap is None, "there was nothing between them"
    assert "late" not in reasons
    owner.process.wait(10)


async def both(profiler: Profiler, pid: int, out: Path, order: str) -> tuple[Any, Any]:
    """A session and a recording, asked for at once."""
    fd = os.open(out, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
    try:
        work = {"c": profiler.attach(pid), "t": profiler.record(pid, fd, RecordOptions())}
        found = dict(zip(order, await asyncio.gather(*(work[letter] for letter in order)), strict=True))
    finally:
        os.close(fd)
    return found["c"], found["t"]


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("order", ["ct", "tc"])
@pytest.mark.parametrize("tracer", ["auto", "ebpf", "strace"])
async def test_a_profiler_has_both_from_the_first_instruction(
    start: Starter, tmp_path: Path, order: str, tracer: str
) -> None:
    async with Profiler(tracer) as profiler:
        process = await gated(start)
        session, recording = await both(profiler, process.pid, tmp_path / "trace", order)
        assert await process.wait() == 0
        await recording.wait()
        result = await session.result()
    assert {row.name: row.calls for row in result.rows}["getppid"] == traced(tmp_path / "trace") == CALLS
    assert {row.name: row.calls for row in result.rows}["execve"] == 1
    assert result.quality.kind == "exact"
    assert recording.reasons == []


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("order", ["ct", "tc"])
async def test_two_owners_in_one_process(manager: StraceManager, start: Starter, tmp_path: Path, order: str) -> None:
    """Counts by a Profiler, the full trace by a StraceManager: the gate is one for both."""
    async with Profiler("ebpf") as profiler:
        process = await gated(start)
        work = {"c": profiler.attach(process.pid), "t": manager.attach_full_trace(process.pid, tmp_path / "trace")}
        found = dict(zip(order, await asyncio.gather(*(work[letter] for letter in order)), strict=True))
        assert found["t"] is True
        assert await process.wait() == 0
        await manager.detach_full_trace(process.pid)
        result = await found["c"].result()
    assert {row.name: row.calls for row in result.rows}["getppid"] == traced(tmp_path / "trace") == CALLS
    assert result.quality.kind == "exact"


@pytest.mark.needs("ebpf")
async def test_counts_that_come_late_say_so(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    """The full trace has opened the gate: what was called before the attach is in no count of eBPF's."""
    async with Profiler("ebpf") as profiler:
        process = await asyncio.create_subprocess_exec(*gate([str(start.gt), "pause"]), env=CLEAN)
        assert await manager.attach_full_trace(process.pid, tmp_path / "trace")
        session = await profiler.attach(process.pid)
        result = await session.detach()
        process.kill()
        await process.wait()
    assert result.quality.kind == "partial"
    assert "late" in {reason.code for reason in result.quality.reasons}


@pytest.mark.needs("ebpf")
async def test_a_program_whose_gate_opened_by_itself_before_the_attach_says_so(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    argv = gate(["/bin/sh", "-c", f"echo >{opened}; exec sleep 600"], patience_s=600)
    process = await asyncio.create_subprocess_exec(*argv)
    async with Profiler("ebpf") as profiler:
        first = await profiler.attach(process.pid)
        await auntil(opened.exists, 20)
        assert (await first.detach()).quality.kind == "exact"
        second = await profiler.attach(process.pid)
        result = await second.detach()
    process.kill()
    await process.wait()
    assert result.quality.kind == "partial"
    assert [reason.code for reason in result.quality.reasons] == ["late"]


@pytest.mark.needs("ebpf")
async def test_a_spawn_without_a_gate_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a machine that there is no gate for, counting begins when the program has."""
    monkeypatch.setattr(gating.helper, "FOLDER", tmp_path)
    async with Profiler("ebpf") as profiler:
        session = await profiler.spawn(["sleep", "600"])
        result = await session.detach()
        assert session.process is not None
        session.process.kill()
        await session.process.wait()
    assert result.quality.kind == "partial"
    assert "late" in {reason.code for reason in result.quality.reasons}


async def test_a_trace_that_is_refused_leaves_the_counts_whole(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    process = await gated(start)
    answers = await asyncio.gather(manager.attach_full_trace(process.pid, taken), manager.attach(process.pid))
    assert answers == [False, True]
    assert await process.wait() == 0
    result = await manager.detach(process.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == CALLS
    assert taken.read_text() == "precious"


@pytest.mark.limit(120)
@pytest.mark.parametrize("ebpf", [True, False], ids=["ebpf", "no-ebpf"])
async def test_one_of_both_is_cancelled_at_any_moment(
    manager: StraceManager, start: Starter, tmp_path: Path, ebpf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program runs, and what is left is whole or says that it is not."""
    if ebpf:
        require("ebpf")
    else:
        monkeypatch.setattr(probe, "missing", lambda: EbpfTooOld("as in a container"))
    for turns in (0, 1, 2, 4, 8, 16, 32, 64):
        for victim in ("count", "trace"):
            out = tmp_path / f"{victim}{turns}"
            process = await gated(start)
            tasks = {
                "count": asyncio.create_task(manager.attach(process.pid)),
                "trace": asyncio.create_task(manager.attach_full_trace(process.pid, out)),
            }
            for _ in range(turns):
                await asyncio.sleep(0)
            cancelled = tasks.pop(victim)
            cancelled.cancel()
            ((kind, left),) = tasks.items()
            await asyncio.wait({left, cancelled})
            assert await asyncio.wait_for(process.wait(), 20) == 0
            await manager.detach_full_trace(process.pid)
            result = await manager.detach(process.pid)
            if kind == "trace":
                assert left.result() is True
                assert traced(out) == CALLS, turns
            elif left.result() and result is not None and result["syscall_counts"].get("getppid") != CALLS:
                assert result["quality"]["kind"] == "partial"
                assert {reason["code"] for reason in result["quality"]["reasons"]} & {"late", "gap"}, turns


@pytest.mark.limit(40)
async def test_refusals_of_all_open_the_gate(start: Starter, tmp_path: Path) -> None:
    refusing = StraceManager(enabled=False)
    process = await asyncio.create_subprocess_exec(*gate([str(start.gt), "leave", "6"], patience_s=600), env=CLEAN)
    trace = refusing.attach_full_trace(process.pid, tmp_path / "trace")
    assert await asyncio.gather(refusing.attach(process.pid), trace) == [False, False]
    assert await asyncio.wait_for(process.wait(), 10) == 6
    process = await asyncio.create_subprocess_exec(*gate([str(start.gt), "leave", "6"], patience_s=600), env=CLEAN)
    assert await StraceManager().attach_full_trace(process.pid, Path("/proc/none")) is False
    assert await asyncio.wait_for(process.wait(), 10) == 6


@pytest.mark.needs("ebpf")
async def test_one_refusal_does_not_open_it_before_another_is_in_place(start: Starter) -> None:
    async with Profiler("ebpf") as profiler:
        process = await gated(start)
        refused = StraceManager(enabled=False).attach(process.pid)
        session, answer = await asyncio.gather(profiler.attach(process.pid), refused)
        assert answer is False
        result = await session.result()
        assert await process.wait() == 0
    assert {row.name: row.calls for row in result.rows}["getppid"] == CALLS
    assert result.quality.kind == "exact"


def test_what_is_no_pid_is_refused_as_ever() -> None:
    async def ask() -> None:
        async with Profiler("strace") as profiler:
            for pid in (0, -1, "1", None, True, []):
                with pytest.raises(errors.InvalidArgument):
                    await profiler.attach(pid)  # type: ignore[arg-type]

    require("strace")
    asyncio.run(ask())
    assert gating.asks._pending == {}
