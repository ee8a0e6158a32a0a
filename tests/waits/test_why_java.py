"""What a Java virtual machine says of deadlocks: true of real ones, and asked of nobody else. Of `waits/hotspot.py`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import running
from tests.support.poll import auntil

from straced.ipc.messages import Select
from straced.linux import procfs
from straced.model.history import KeptAlert
from straced.waits import hotspot

PROGRAMS = Path(__file__).with_name("field") / "programs"
OPTIONS = (
    *("-XX:+StartAttachListener", "-XX:-UsePerfData", "-Xshare:auto", "-Xmx64m", "-XX:+UseSerialGC"),
    "-XX:TieredStopAtLevel=1",
)
CONFIG = '[alerts]\nstuck = "600ms"\nnew_syscalls = false\nnew_errnos = false\njava = true\n'
DUMP = """0
"worker" #21 prio=5 os_prio=0 cpu=1.1ms elapsed=9s tid=0x00007f00 nid=9001 waiting for monitor entry  [0x00007e00]
   java.lang.Thread.State: BLOCKED (on object monitor)
\tat App.take(App.java:1)
\t- waiting to lock <0x0000000000000aaa> (a java.lang.Object)

"worker" #22 prio=5 os_prio=0 cpu=1.1ms elapsed=9s tid=0x00007f01 nid=9002 waiting on condition  [0x00007e01]
   java.lang.Thread.State: WAITING (parking)
\t- parking to wait for  <0x0000000000000bbb> (a java.util.concurrent.locks.ReentrantLock$NonfairSync)

"worker" #23 prio=5 os_prio=0 cpu=1.1ms elapsed=9s tid=0x00007f02 nid=0x232b waiting on condition  [0x00007e02]
   java.lang.Thread.State: WAITING (parking)
\t- parking to wait for  <0x0000000000000ccc> (a java.util.concurrent.CountDownLatch$Sync)

"VM Thread" os_prio=0 cpu=3.1ms elapsed=9s tid=0x00007f03 nid=9004 runnable

Found one Java-level deadlock:
=============================
"worker":
  waiting to lock monitor 0x0000000000000999 (object 0x0000000000000aaa, a java.lang.Object),
  which is held by "worker"

"worker":
  waiting for ownable synchronizer 0x0000000000000bbb, (a java.util.concurrent.locks.ReentrantLock$NonfairSync),
  which is held by "worker"

Java stack information for the threads listed above:
===================================================
"worker":
\tat App.take(App.java:1)
\t- waiting to lock <0x0000000000000aaa> (a java.lang.Object)

Found 1 deadlock.
"""


@contextlib.contextmanager
def java(name: str, *words: str) -> Iterator[int]:
    """A program that has said that it is where it should be."""
    process = subprocess.Popen(
        ["java", *OPTIONS, str(PROGRAMS / f"{name}.java"), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()
        Path(f"/tmp/.java_pid{process.pid}").unlink(missing_ok=True)


def named(pid: int, *names: str) -> set[int]:
    """The threads of these names."""
    return {tid for tid in procfs.tasks(pid) if procfs.stat(f"{pid}/task/{tid}").comm in names}


@needs_ebpf
@pytest.mark.needs("javac")
async def test_a_deadlock_is_told_of_each_thread_in_it_and_of_none_that_rests(tmp_path: Path) -> None:
    """Of a monitor and a lock of java.util.concurrent, beside pools that wait for work in the same system call."""
    with java("Resting", "deadlock") as pid:
        stuck = named(pid, "first", "second")
        with serving(tmp_path, f'[[watch]]\ntarget = "{pid}"\n{CONFIG}') as daemon:
            async with daemon.client() as client:

                async def told() -> list[KeptAlert]:
                    found = [alert for alert in await client.alerts(Select()) if alert.kind == "stuck"]
                    return found if len(found) >= len(stuck) else []

                found = await auntil(told, 60, daemon.log.read_text, lambda: asyncio.sleep(0.1))
    assert {alert.data["tid"] for alert in found} == stuck
    assert all("it is in futex: a deadlock" in alert.text for alert in found)


def test_threads_of_one_name_are_told_apart_by_what_they_wait_for() -> None:
    assert hotspot.threads_in_deadlock(DUMP.encode()) == {9001, 9002}
    assert hotspot.threads_in_deadlock(DUMP.encode().partition(b"Found one")[0]) == set()


def test_a_socket_that_is_not_its_own_is_asked_nothing(tmp_path: Path) -> None:
    """Another process listens at the place of one that is no virtual machine."""
    with running() as process, socket.socket(socket.AF_UNIX) as listening:
        home = tmp_path / str(process.pid)
        (home / "root" / "tmp").mkdir(parents=True)
        for name in ("status", "task"):
            (home / name).symlink_to(f"/proc/{process.pid}/{name}")
        place = home / "root" / "tmp" / f".java_pid{process.pid}"
        here = os.open(place.parent, os.O_PATH)
        listening.bind(f"/proc/self/fd/{here}/{place.name}")
        os.close(here)
        listening.listen()
        assert hotspot.deadlocked(process.pid, str(tmp_path)) is None
        other, _address = listening.accept()
        assert other.recv(100) == b""
        other.close()
        place.rename(place.with_name("elsewhere"))
        place.symlink_to("elsewhere")
        assert hotspot.deadlocked(process.pid, str(tmp_path)) is None
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
