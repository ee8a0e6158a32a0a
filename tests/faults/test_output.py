"""Readers that do not read, disks that are full, limits, cut pipes.

Of `tracers/strace/guard/relay.py` and `linux/output_stream.py`.
"""

# ruff: noqa: ASYNC230
from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from straced import StraceManager
from tests.support.cli import popen_straced
from tests.support.owner import start_owner
from tests.support.poll import auntil, until
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")
MANY = 8000
"""More lines than a pipe and its readers' buffers hold."""


def goes_on(target: Workload, calls: int = MANY, seconds: float = 25.0) -> None:
    before = target.ticks()
    until(lambda: target.ticks() > before + calls, seconds, "the target goes on")


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def test_a_pipe_that_nobody_reads(start: Starter) -> None:
    target = start("spin")
    process = popen_straced("trace", "--tracer", "strace", target.pid)
    try:
        until(lambda: not target.untraced(), 10, "the trace begins")
        goes_on(target)
    finally:
        end(process)
    until(target.untraced)
    assert target.runs()


def test_what_a_slow_reader_did_not_get_is_counted(start: Starter) -> None:
    """Nothing is lost silently: either all lines come, or the number that did not."""
    target = start("n", 20000)
    process = popen_straced("trace", "--tracer", "strace", target.pid)
    until(target.held, 20, "the trace begins")
    target.finish(50)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    lines = out.count(b" getppid()")
    assert lines == 20000 or b"dropped" in err, (lines, err)


def test_a_client_that_is_stopped(start: Starter) -> None:
    target = start("spin")
    process = popen_straced("trace", "--tracer", "strace", target.pid)
    try:
        until(lambda: not target.untraced(), 10, "the trace begins")
        process.send_signal(signal.SIGSTOP)
        goes_on(target)
    finally:
        process.send_signal(signal.SIGCONT)
        end(process)
    until(target.untraced)
    assert target.runs()


SMALL_DISK = """
    import subprocess
    folder = os.environ["FOLDER"]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + os.environ["SIZE"], "none", folder], check=True)
    with open(folder + "/filler", "wb") as file:
        file.write(bytes(int(os.environ["FILLER"])))
    def free():
        space = os.statvfs(folder)
        return space.f_bavail * space.f_frsize
    async def main(pid):
        manager = StraceManager()
        assert await manager.attach_full_trace(pid, Path(folder) / "trace"), manager.last_error(pid)
        say("attached", free())
        while manager.get_strace_pids():
            await asyncio.sleep(0.002)
        error = manager.last_error(pid)
        say("ended", os.stat(folder + "/trace").st_size, free(), error and error.code)
    asyncio.run(main(int(os.environ["TARGET"])))
"""


def trace_onto(start: Starter, folder: Path, size: str, filler_bytes: int = 0) -> tuple[int, int, int]:
    """A full trace, until it ends by itself, on a disk of its own: free bytes before, of the trace, free after.

    The owner must have been told of the output, and the target must go on.
    """
    target = start("spin")
    folder.mkdir()
    environment = {"FOLDER": str(folder), "TARGET": str(target.pid), "SIZE": size, "FILLER": str(filler_bytes)}
    owner = start_owner(start, SMALL_DISK, prefix=("unshare", "--mount"), env=environment)
    before = int(owner.channel.expect("attached"))
    written, after, code = owner.channel.expect("ended", 40).split()
    assert code == "output", "the reason is to be had"
    until(target.untraced, 3)
    goes_on(target)
    owner.process.wait(10)
    return before, int(written), int(after)


@pytest.mark.needs("root", "tmpfs")
def test_a_full_disk_ends_the_trace_not_the_target(start: Starter, tmp_path: Path) -> None:
    _, written, _ = trace_onto(start, tmp_path / "small", "1m")
    assert written > 500_000


@pytest.mark.needs("root", "tmpfs")
def test_a_trace_leaves_others_some_room(start: Starter, tmp_path: Path) -> None:
    """A twentieth of a small file system: 2 MB of 40 MB."""
    before, _, after = trace_onto(start, tmp_path / "small", "40m", 36 << 20)
    assert before > 2 << 20
    assert 0 < after <= 2 << 20


@pytest.mark.needs("root", "tmpfs")
def test_a_full_disk_is_never_zero_calls(start: Starter, tmp_path: Path) -> None:
    target = start("n", 100)
    owner = start_owner(
        start,
        """
        import subprocess
        folder = os.environ["TMPDIR"]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=True)
        with open(folder + "/filler", "wb", buffering=0) as file:
            try:
                while True: file.write(b"x" * 4096)
            except OSError: pass
        async def main(pid):
            manager = StraceManager()
            answer = await manager.attach(pid)
            say("attached", answer); await ahear()
            result = await manager.detach(pid)
            say("calls", result and result["syscall_counts"].get("getppid"), result and result["quality"]["kind"])
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        prefix=("unshare", "--mount"),
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("attached") == "True"
    target.finish()
    owner.go()
    calls, kind = owner.channel.expect("calls").split()
    assert calls == "100" or calls == "None" or kind == "lossy"
    owner.process.wait(10)


@pytest.mark.needs("root", "tmpfs")
def test_a_dev_that_has_only_null(start: Starter) -> None:
    """As in a chroot that somebody made by hand: no /dev/fd, by which strace could have been given its output."""
    target = start("tick")
    owner = start_owner(
        start,
        """
        import subprocess
        bare = os.environ["TMPDIR"]
        subprocess.run(["mount", "-t", "tmpfs", "none", bare], check=True)
        Path(bare, "null").touch()
        for what, where in (("/dev/null", f"{bare}/null"), (bare, "/dev")):
            subprocess.run(["mount", "--rbind", what, where], check=True)
        async def main(pid):
            manager, path = StraceManager(), Path(bare, "trace")
            counted = await manager.attach(pid)
            result = await manager.detach(pid)
            traced = await manager.attach_full_trace(pid, path)
            await manager.detach_full_trace(pid)
            error = manager.last_error(pid)
            say("seen", os.path.lexists("/dev/fd"), counted, result is not None, traced, error and error.reason)
            await manager.detach_all()
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        prefix=("unshare", "--mount"),
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("seen") == "False True True True None"
    owner.process.wait(10)


async def test_a_limit_on_the_size_of_files(start: Starter, tmp_path: Path) -> None:
    target = start("spin")
    owner = start_owner(
        start,
        """
        async def main(pid):
            manager = StraceManager()
            assert await manager.attach_full_trace(pid, Path(os.environ["OUT"])), manager.last_error(pid)
            while manager.get_strace_pids():
                await asyncio.sleep(0.002)
            say("ended", os.stat(os.environ["OUT"]).st_size, getattr(manager.last_error(pid), "code", None))
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        env={"OUT": str(tmp_path / "trace"), "TARGET": str(target.pid)},
        preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
    )
    size, code = owner.channel.expect("ended", 30).split()
    assert 30_000 < int(size) <= 65536
    assert code == "output"
    until(target.untraced, 3)
    assert target.runs()
    owner.process.wait(10)


def test_a_limit_on_the_size_of_files_and_a_summary(start: Starter) -> None:
    target = start("n", 100)
    owner = start_owner(
        start,
        """
        async def main(pid):
            manager = StraceManager()
            assert await manager.attach(pid)
            say("attached"); await ahear()
            result = await manager.detach(pid)
            say("calls", result and result["syscall_counts"].get("getppid"), result and result["quality"]["kind"])
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        env={"TARGET": str(target.pid)},
        preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)),
    )
    owner.channel.expect("attached")
    target.finish()
    owner.go()
    calls, kind = owner.channel.expect("calls").split()
    assert calls in ("100", "None") or kind == "lossy"
    owner.process.wait(10)


def test_the_reader_dies(start: Starter) -> None:
    target = start("spin")
    process = popen_straced("trace", "--tracer", "strace", target.pid)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    status = process.wait(10)
    errors = process.stderr.read()
    process.stderr.close()
    assert b"Traceback" not in errors
    assert status in (0, 128 + signal.SIGPIPE, -signal.SIGPIPE), (status, errors)
    until(target.untraced)
    assert target.runs()


async def test_a_fifo_as_output(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    target = start("tick")
    os.mkfifo(tmp_path / "fifo")
    for overwrite in (False, True):
        assert await manager.attach_full_trace(target.pid, tmp_path / "fifo", overwrite=overwrite) is False
        error = manager.last_error(target.pid)
        assert error is not None
        assert error.code.startswith("output")
    assert target.untraced()


async def test_a_long_line_is_no_trouble(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    target = start("bigwrite", 70000)
    assert await manager.attach_full_trace(target.pid, tmp_path / "trace")
    await target.work()
    assert await manager.detach_full_trace(target.pid)
    with open(tmp_path / "trace") as file:
        text = file.read()
    assert "write(" in text
    assert "= 70000" in text
    await auntil(target.untraced)
