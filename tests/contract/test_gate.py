"""Programs traced from their first instruction, by ``spawn`` and by ``gate``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from straced import StraceManager, gate, gating
from straced.linux import procfs
from straced.tracers.strace.attachment import Attachment
from tests.accuracy.test_bare_strace import parse
from tests.support import proc
from tests.support.owner import NOBODY, start_owner
from tests.support.poll import auntil, until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


async def gated(manager: StraceManager, argv: list[str]) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(*gate(argv), env=CLEAN, stdout=subprocess.DEVNULL)
    assert await manager.attach(process.pid) is True
    status = await process.wait()
    result = await manager.detach(process.pid)
    assert result is not None
    return status, dict(result)


async def spawned(manager: StraceManager, argv: list[str]) -> tuple[int, dict[str, Any]]:
    process = await manager.spawn(argv, env=CLEAN, stdout=subprocess.DEVNULL)
    status = await process.wait()
    result = await manager.detach(process.pid)
    assert result is not None
    return status, dict(result)


@pytest.mark.parametrize("launch", [gated, spawned], ids=["gate", "spawn"])
async def test_the_result_is_that_of_strace_itself(
    manager: StraceManager, start: Starter, tmp_path: Path, launch: Any
) -> None:
    """Not one call more or less than ``strace -f -c PROGRAM`` counts: the gate adds nothing, the execve is in."""
    argv = [str(start.gt), "n", "321"]
    table = tmp_path / "table"
    bare = await asyncio.create_subprocess_exec("strace", "-f", "-c", "-o", str(table), *argv, env=CLEAN)
    assert await bare.wait() == 0
    truth = {name: calls for name, (calls, _) in parse(table.read_text()).items()}
    status, result = await launch(manager, argv)
    assert status == 0
    assert result["syscall_counts"] == truth
    assert result["syscall_counts"]["execve"] == 1
    assert result["syscall_counts"]["getppid"] == 321


@pytest.fixture
def late_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look at a target comes when it has ended, and word of its strace later still: a crowded machine."""
    begin = Attachment._start

    async def then_wait(self: Attachment, tids: list[int]) -> None:
        await begin(self, tids)
        guard = proc.parent(self.helpers[0].pid or 0)
        os.kill(guard, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(0.2, os.kill, guard, signal.SIGCONT)
        await auntil(lambda: not proc.alive(self.pid), what="the program ends")

    monkeypatch.setattr(Attachment, "_start", then_wait)


@pytest.mark.usefixtures("late_look")
async def test_a_program_that_ended_before_it_was_looked_at(manager: StraceManager, start: Starter) -> None:
    status, result = await gated(manager, [str(start.gt), "n", "77"])
    assert status == 0
    assert result["syscall_counts"]["getppid"] == 77


@pytest.mark.usefixtures("late_look")
async def test_a_program_that_left_only_its_child_before_it_was_looked_at(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    """It daemonizes: what its strace holds is no longer below it, and is counted to its end."""
    go = tmp_path / "go"
    os.mkfifo(go)
    process = await asyncio.create_subprocess_exec(
        *gate(["sh", "-c", f"(read word <{go}; {start.gt} n 33) & exit 4"]), env=CLEAN
    )
    assert await manager.attach(process.pid) is True, manager.last_error(process.pid)
    status = await process.wait()
    await asyncio.to_thread(go.write_text, "go\n")
    (helper,) = manager.get_strace_pids()
    await auntil(lambda: not proc.alive(helper), 10, "strace ends with the last of them")
    result = dict(await manager.detach(process.pid) or {})
    assert status == 4
    assert result["syscall_counts"]["getppid"] >= 33, "the shell asks once itself"


@pytest.mark.parametrize("launch", [gated, spawned], ids=["gate", "spawn"])
async def test_the_status_is_the_programs(manager: StraceManager, start: Starter, launch: Any) -> None:
    assert (await launch(manager, [str(start.gt), "leave", "7"]))[0] == 7
    assert (await launch(manager, ["sh", "-c", "kill -9 $$"]))[0] == -9


async def test_an_owner_without_privileges(start: Starter) -> None:
    """Under Yama's scope 1 only PR_SET_PTRACER lets a sibling trace: the gate must work without root."""
    prefix = NOBODY if os.geteuid() == 0 else ()
    owner = start_owner(
        start,
        """
        async def main():
            manager = StraceManager()
            process = await asyncio.create_subprocess_exec(*gate([os.environ["GT"], "n", "99"]), env={})
            answer = await manager.attach(process.pid)
            status = await process.wait()
            result = await manager.detach(process.pid) or {"syscall_counts": {}}
            say("result", answer, status, result["syscall_counts"].get("getppid"), manager.last_error(process.pid))
        asyncio.run(main())
        """,
        prefix=prefix,
        env={"GT": str(start.gt)},
    )
    assert (await asyncio.to_thread(owner.channel.expect, "result", 20.0)) == "True 0 99 None"
    owner.process.wait(10)


@pytest.mark.limit(40)
async def test_fails_open_when_nobody_attaches(start: Starter) -> None:
    process = await asyncio.create_subprocess_exec(*gate([str(start.gt), "leave", "5"], patience_s=1), env=CLEAN)
    assert await asyncio.wait_for(process.wait(), 30) == 5


@pytest.mark.limit(40)
async def test_fails_open_when_the_attach_is_refused(start: Starter) -> None:
    process = await asyncio.create_subprocess_exec(*gate([str(start.gt), "leave", "6"]), env=CLEAN)
    assert await StraceManager(enabled=False).attach(process.pid) is False
    assert await asyncio.wait_for(process.wait(), 5) == 6, "a refusal opens the gate, nothing has to time out"


@pytest.mark.limit(60)
async def test_a_refusal_in_the_middle_of_the_execve_opens_the_gate_too(start: Starter) -> None:
    """On a crowded machine a parent goes on before the arguments of its child can be read: is it a gate, or not?"""
    crowd = [start("compute") for _ in range(2 * (os.cpu_count() or 1))]
    refusing = StraceManager(enabled=False)
    for _ in range(60):
        process = await asyncio.create_subprocess_exec(*gate(["/bin/true"], patience_s=600), env=CLEAN)
        assert await refusing.attach(process.pid) is False
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert all(each.process.poll() is None for each in crowd)


@pytest.mark.limit(40)
def test_fails_open_when_the_owner_dies(start: Starter, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    owner = start_owner(
        start,
        """
        import subprocess
        process = subprocess.Popen(gate(["touch", os.environ["MARK"]]))
        say("gated", process.pid); hear()
        """,
        env={"MARK": str(mark)},
    )
    pid = start.owns(int(owner.channel.expect("gated")))
    owner.signal(signal.SIGKILL)
    until(mark.exists, 30, "the program runs all the same")
    until(lambda: not proc.alive(pid))


async def test_a_command_that_is_missing(manager: StraceManager, start: Starter) -> None:
    from straced import errors

    for argv, kind in ((["/nope/nope"], errors.CommandNotFound), (["/etc/passwd"], errors.ExecFailed)):
        with pytest.raises(kind):
            await manager.spawn(argv)
    assert manager.attached_pids == []


async def test_the_program_gets_its_own_environment_and_descriptors(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    """Exactly what an untraced start gives it: descriptors, signal mask, ignored signals, argv, session."""
    argv = [str(start.gt), "status", "-x"]
    shown = []
    for launch in (None, "gate", "spawn"):
        with (tmp_path / "out").open("w+b") as out:
            options: dict[str, Any] = {"stdout": out, "stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            if launch == "spawn":
                process = await manager.spawn(argv, env=CLEAN, **options)
            else:
                words = gate(argv) if launch else argv
                process = await asyncio.create_subprocess_exec(*words, env=CLEAN, **options)
                if launch:
                    assert await manager.attach(process.pid)
            assert await process.wait() == 0
            await manager.detach(process.pid)
            out.seek(0)
            text = out.read().decode()
        assert f"pid {process.pid} " in text, "the pid is that of the caller's Process"
        assert f"ppid {__import__('os').getpid()}" in text
        shown.append([text[text.index("SigBlk") : text.index(" pid ")]])
    assert shown[0] == shown[1] == shown[2]


async def test_signals_reach_the_program(manager: StraceManager, start: Starter) -> None:
    process = await manager.spawn(["sleep", "60"])
    await auntil(lambda: proc.comm(process.pid) == "sleep", what="it runs")
    process.terminate()
    assert await process.wait() == -signal.SIGTERM
    assert await manager.detach(process.pid) is not None


async def test_a_gate_whose_execve_ends_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments are empty at the first look and there at the second: a gate all the same."""
    line = b"".join(os.fsencode(word) + b"\0" for word in gate(["/bin/true", "--flag"]))
    looks = iter([b"", line, line])
    monkeypatch.setattr(procfs, "read", lambda path, root="/proc": next(looks))
    assert await gating.program_behind(os.getpid()) == ("/bin/true", "--flag")
