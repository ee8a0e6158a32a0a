"""Loads and unloads, and what a process keeps of them.

Of `tracers/ebpf/loading.py` and `tracers/ebpf/libbpf_log.py`.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from straced.tracers.ebpf import EbpfTracer, libbpf, loading, tracer
from tests.support.needs import require
from tests.support.owner import environment
from tests.support.poll import auntil
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach

ARENA_KB = 10_000
"""Less than what the C library keeps for a thread in which programs were loaded."""
PRELUDE = """
import asyncio, os, sys
from concurrent.futures import ThreadPoolExecutor
from straced import Profiler
def resident_kb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
async def load(pid):
    async with Profiler("ebpf") as profiler:
        await profiler.attach(pid)
target = int(sys.argv[1])
"""


def said_by(code: str, *arguments: object) -> str:
    """What a process of its own says."""
    argv = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(
        argv, env={**os.environ, **environment()}, stdout=subprocess.PIPE, text=True, timeout=60, check=True
    ).stdout


def test_memory_is_kept_for_one_load_whatever_thread_is_free(start: Start) -> None:
    """The pool of a loop has several threads, and any of them takes what comes next; here each load meets another."""
    require("ebpf")
    said = said_by(
        """
        async def main():
            sizes, pools = [], [ThreadPoolExecutor(1) for _ in range(5)]
            for pool in pools:
                asyncio.get_running_loop().set_default_executor(pool)
                await load(target)
                sizes.append(resident_kb())
            print(sizes[-1] - sizes[0])
        asyncio.run(main())
        """,
        start("blocked").pid,
    )
    assert int(said) < ARENA_KB


def test_whoever_else_loads_has_the_same_thread(start: Start) -> None:
    """What looks who wakes whom, and the trial whether the kernel takes the programs, from any thread."""
    require("ebpf")
    said = said_by(
        """
        from straced.tracers.ebpf import trial
        from straced.tracers.ebpf.wakes import WakeWatch
        def looks():
            trial._attempt.cache_clear()
            assert trial.refusal() is None
            WakeWatch([target]).close()
        sizes, pools = [], [ThreadPoolExecutor(1) for _ in range(5)]
        for pool in pools:
            pool.submit(looks).result()
            sizes.append(resident_kb())
        print(sizes[-1] - sizes[0])
        """,
        start("blocked").pid,
    )
    assert int(said) < ARENA_KB


def test_a_forked_child_loads_too(start: Start) -> None:
    """It has not got the thread in which its parent did."""
    require("ebpf")
    said = said_by(
        """
        asyncio.run(load(target))
        if (child := os.fork()) == 0:
            asyncio.run(asyncio.wait_for(load(target), 20))
            os._exit(0)
        print(os.waitpid(child, 0)[1])
        """,
        start("blocked").pid,
    )
    assert said == "0\n"


async def test_what_no_thread_could_be_had_for_is_not_loaded_later(monkeypatch: pytest.MonkeyPatch) -> None:
    loading._renew()
    done: list[str] = []

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(OSError, match="can't start"):
            loading.load_and_wait(lambda: done.append("from a thread"))
        with pytest.raises(RuntimeError, match="can't start"):
            await loading.load(lambda: done.append("from a loop"))
    await loading.load(lambda: done.append("later"))
    assert done == ["later"]


async def test_what_is_closed_is_held_by_nobody(start: Start) -> None:
    require("ebpf")
    workload, closed = start("blocked"), EbpfTracer()
    await attach(closed, workload.pid)
    await closed.close()
    gone = weakref.ref(closed)
    gc.collect()
    del closed
    assert gone() is None


def test_programs_are_unloaded_when_the_loop_that_was_to_do_it_is_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("ebpf")
    monkeypatch.setattr(tracer, "LINGER_S", 0.01)
    workload, used = start("blocked"), EbpfTracer()

    async def use() -> None:
        session = await attach(used, workload.pid)
        await session.detach()
        await auntil(lambda: used._instances[0].is_idle, what="its memory is given back")

    async def unloaded() -> None:
        await use()
        await auntil(lambda: not used._instances, what="it is unloaded")
        await used.close()

    asyncio.run(use())
    asyncio.run(unloaded())


STARTS = {
    "run": "main(['run', '--slower', '1s', '--files', '--', 'true'])",
    "spawn": "asyncio.run(spawn())",
    "blocking": "blocking.Profiler('ebpf').spawn(['true'], slower_than=1, files=True).result()",
}


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("way", STARTS)
def test_all_is_loaded_before_a_program_waits_for_it(way: str) -> None:
    """A load takes long on a slow machine, and a gate has no patience without end."""
    said = said_by(
        f"""
        from straced import blocking, gating
        from straced.commands import main
        from straced.tracers.ebpf import tracer

        real, gated = tracer.suited_engine, gating.remember
        def load(**options):
            print("load", options.get("details"), options.get("files"), flush=True)
            return real(**options)
        def remember(pid):
            print("gate", flush=True)
            gated(pid)
        tracer.suited_engine, gating.remember = load, remember
        async def spawn():
            async with Profiler("ebpf") as profiler:
                await (await profiler.spawn(["true"], slower_than=1, files=True)).result()
        try:
            {STARTS[way]}
        except SystemExit as end:
            assert not end.code
        """,
        0,
    )
    first, *rest = said.splitlines()
    assert (first, set(rest)) == ("load True True", {"gate"})


def test_the_end_of_a_long_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Why a verifier refuses stands behind all that it has looked at."""
    require("ebpf")
    path = "/begin" + "x" * 1_000_000
    assert not libbpf.load().bpf_object__open_file(path.encode(), None)
    (said,) = (message for message in caplog.messages if "/begin" in message)
    assert said.endswith(f": {os.strerror(errno.ENAMETOOLONG)}")
    assert len(said) < 70_000
