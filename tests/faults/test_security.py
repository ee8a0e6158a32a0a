"""Files, names and texts of others that mean harm."""

# ruff: noqa: ASYNC240
from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from straced import Profiler, StraceManager, errors
from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.owner import start_owner
from tests.support.poll import until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def test_every_trace_file_is_private(start: Starter, tmp_path: Path) -> None:
    target = start("tick")
    old = os.umask(0)
    try:
        assert straced("trace", "--tracer", "strace", target.pid, "-o", tmp_path / "a", "-d", "0.2s").status == 0
        assert straced("run", "-o", tmp_path / "b", "--tracer", "strace", "--", "true").status == 0
    finally:
        os.umask(old)
    for name in ("a", "b"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


async def test_a_race_for_the_path_never_reaches_the_victim(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    target = start("tick")
    victim, path = tmp_path / "victim", tmp_path / "trace"
    victim.write_text("precious")
    running = True

    def swap() -> None:
        while running:
            for make in (lambda: os.symlink(victim, path), lambda: os.link(victim, path)):
                with contextlib.suppress(FileExistsError):
                    make()
                path.unlink(missing_ok=True)  # the trace's own file, too, which may be gone again by now

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for step in range(40):
            if await manager.attach_full_trace(target.pid, path, overwrite=step % 2 == 1):
                await manager.detach_full_trace(target.pid)
    finally:
        running = False
        thread.join()
    assert victim.read_text() == "precious"
    assert target.runs()


@pytest.mark.parametrize("name", ["|touch owned", "!touch owned", "-", "-o", "$(touch owned)", "a\nb", "fd/1"])
async def test_a_file_name_is_only_a_name(
    manager: StraceManager, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    target = start("n", 5)
    if await manager.attach_full_trace(target.pid, Path(name)):
        await target.work()
        assert await manager.detach_full_trace(target.pid)
        assert (tmp_path / name).read_text().count("getppid()") == 5
    assert not (tmp_path / "owned").exists()


def test_a_command_that_looks_like_an_option(start: Starter, tmp_path: Path) -> None:
    for words in (["-o", "owned"], ["-e", "inject=all:error=EPERM"], ["-p", "1"], ["-owned"]):
        result = straced("run", "--tracer", "strace", "--", *words, cwd=tmp_path)
        assert result.status == 127, words
    assert list(tmp_path.glob("owned")) == []
    (tmp_path / "-o").symlink_to("/bin/true")
    path = {"PATH": f"{tmp_path}:/bin:/usr/bin"}
    ran = straced("run", "--tracer", "strace", "--", "-o", "x", cwd=tmp_path, env=path)
    assert ran.status == 0


BAD_FILTERS = [
    "inject=getppid:error=EPERM", "fault=getppid", "getppid:error=EPERM", "trace=getppid -e inject=all:error=EPERM",
    "getppid,inject=x", "signal=none", "raw=all", "status=failed", "read=3", "getppid\ninject=all:error=EPERM", "?",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_FILTERS)
async def test_a_filter_cannot_tamper(manager: StraceManager, start: Starter, tmp_path: Path, text: str) -> None:
    target = start("n", 5)
    assert await manager.attach_full_trace(target.pid, tmp_path / "trace", filter=text) is False
    error = manager.last_error(target.pid)
    assert isinstance(error, errors.InvalidArgument)
    assert target.untraced()
    assert not os.path.exists(tmp_path / "trace")


def test_nor_can_the_command_line(start: Starter) -> None:
    target = start("tick")
    for text in ("inject=getppid:error=EPERM", "fault=all", "trace=getppid:error=EPERM"):
        straced("trace", target.pid, "-e", text).assert_clear_error(2)
        assert target.untraced()


def test_the_environment_does_not_steer_the_tracer(start: Starter, tmp_path: Path) -> None:
    """Preloads and strace's own variables stop at the door; the program's environment is its own."""
    owner = start_owner(
        start,
        """
        async def main(pid):
            manager = StraceManager()
            assert await manager.attach(pid)
            (helper,) = manager.get_strace_pids()
            entries = Path(f"/proc/{helper}/environ").read_bytes().split(b"\\0")
            names = {entry.split(b"=")[0].decode() for entry in entries}
            say("leaked", *sorted(names & {"STRACE_MUXER", "POSIXLY_CORRECT", "TMPDIR", "HOME", "SECRET"}))
            await manager.detach_all()
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        env={"TARGET": str(start("tick").pid), "STRACE_MUXER": "x", "SECRET": "x", "POSIXLY_CORRECT": "1"},
    )
    assert owner.channel.expect("leaked") == ""
    owner.process.wait(10)
    shown = straced("run", "--tracer", "strace", "--", "env", env={"SECRET": "mine", "LD_BIND_NOW": "1"})
    assert "SECRET=mine" in shown.out
    assert "LD_BIND_NOW=1" in shown.out


def test_no_control_character_of_a_target_is_shown(start: Starter) -> None:
    target = start("esc")
    for words in (["--json"], []):
        process = popen_straced("attach", target.pid, "--tracer", "strace", "-d", "0.3s", *words)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert not CONTROL.search(out), out
        assert not CONTROL.search(err), err
    named = straced("attach", f"name:*{chr(27)}*", "--tracer", "strace", "-d", "0.2s")
    assert chr(27) not in named.err + named.out


def test_on_a_terminal_only_our_own_colours_are_shown(start: Starter) -> None:
    target = start("esc")
    master, slave = os.openpty()
    process = popen_straced(
        "attach", target.pid, "--tracer", "strace", "-d", "0.3s", env={"NO_COLOR": ""}, stdout=slave, stderr=slave
    )
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:
        pass
    os.close(master)
    assert process.wait(10) == 0
    assert b"\x1b[31mX" not in shown
    assert b"\x07" not in shown
    assert b"owned" not in shown or b"\x1b]0;owned" not in shown


def test_markup_in_a_name_is_text(start: Starter) -> None:
    target = start("esc", "[bold]x[/bold]")
    master, slave = os.openpty()
    process = popen_straced("attach", target.pid, "--tracer", "strace", "-d", "0.3s", stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:
        pass
    os.close(master)
    assert process.wait(10) == 0, shown
    assert b"Traceback" not in shown
    if b"bold" in shown:
        assert b"[bold]x[/bold]" in shown


async def test_no_line_of_a_trace_can_be_forged(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    target = start("esc")
    assert await manager.attach_full_trace(target.pid, tmp_path / "trace")
    before = target.ticks()
    await asyncio.to_thread(until, lambda: target.ticks() > before + 20)
    assert await manager.detach_full_trace(target.pid)
    with open(tmp_path / "trace", "rb") as file:  # noqa: ASYNC230
        data = file.read()
    assert data.count(b"/nope/") >= 20
    assert not re.search(rb"(?m)^(\d+ +)?([\d:.]+ )?\+\+\+ exited", data)
    assert not re.search(rb"(?m)^read\(0\)", data)
    assert not CONTROL.search(data)


async def test_the_identity_is_pid_and_start_time(profiler: Profiler, start: Starter) -> None:
    target = start("tick")
    session = await profiler.attach(target.pid)
    assert session.target.start_ticks == proc.start_ticks(target.pid)
    with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: ASYNC230
        assert session.target.boot_id == file.read().strip()
    await session.detach()


@pytest.mark.needs("root", "pidns")
def test_a_pid_reused_in_the_middle_is_not_traced(start: Starter) -> None:
    """While the attach is under way the target ends and its pid is given to another: never silently that one."""
    owner = start_owner(
        start,
        """
        import subprocess
        def run_as(pid):
            # None when a helper has been given this number meanwhile
            while not Path(f"/proc/{pid}").exists():
                Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
                process = subprocess.Popen([os.environ["GT"], "tick"], env={})
                if process.pid == pid:
                    return process
                process.kill(); process.wait()
        def facts():
            ticks = int(Path("/proc/5000/stat").read_text().rpartition(")")[2].split()[19])
            status = Path("/proc/5000/status").read_text()
            return ticks, int(status.partition("TracerPid:")[2].split()[0])
        async def is_wrong(step):
            # None when there was no other one
            async with Profiler(tracer="strace") as profiler:
                process = run_as(5000)
                if process is None:
                    return None
                task = asyncio.ensure_future(profiler.attach(5000))
                await asyncio.sleep(0.001 * step)
                process.kill(); process.wait()
                time.sleep(0.02)  # so that the start time differs: it has a resolution of 10 ms
                other = run_as(5000)
                session, = await asyncio.gather(task, return_exceptions=True)
                if other is None:
                    return None
                named = getattr(getattr(session, "target", None), "start_ticks", None)
                deadline = time.monotonic() + 3
                while facts()[1] and facts()[0] != named and time.monotonic() < deadline:
                    await asyncio.sleep(0.01)
                ticks, tracer = facts()
                wrong = tracer != 0 and named != ticks
                if wrong:
                    say("case", step, repr(session), named, ticks, tracer)
            other.kill(); other.wait()
            return wrong
        async def main():
            wrong = 0
            for step in range(16):
                while (found := await is_wrong(step)) is None:
                    pass
                wrong += found
            say("wrong", wrong)
        asyncio.run(main())
        """,
        prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
        env={"GT": str(start.gt)},
    )
    assert owner.channel.expect("wrong", 80) == "0", owner.channel.heard
    owner.process.wait(10)


def test_a_program_gets_no_descriptor_of_ours(start: Starter) -> None:
    shown = straced("run", "--tracer", "strace", "--", start.gt, "status").out
    assert "fds 0 1 2 args" in shown
