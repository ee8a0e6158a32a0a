"""Checks inside a booted kernel: attaching, letting go, and what becomes of calls meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from straced import Profiler
from tests.accuracy.test_strace import measure
from tests.accuracy.truth import Truth
from tests.kernels.checks import LONG_S, STRACED, check, straced
from tests.support.poll import until
from tests.support.workload import Starter

LIFECYCLES = {
    "ebpf": [
        f"tests/tracers/ebpf/test_lifecycle.py::{name}"
        for name in (
            "test_close_takes_everything_out_of_the_kernel",
            "test_ending_of_the_target",
            "test_two_sessions_on_one_target_count_alike",
            "test_descendants_that_live_already",
            "test_a_process_whose_leader_has_exited",
        )
    ],
    "strace": [
        f"tests/contract/{name}"
        for name in (
            "test_attach.py::test_every_task_is_traced",
            "test_attach.py::test_threads_and_children_that_come_later_are_traced",
            "test_detach.py::test_a_target_that_ended_still_has_its_summary",
            "test_detach.py::test_stopped_stays_stopped",
            "test_detach.py::test_running_goes_on",
        )
    ],
}
"""Tests of attaching and letting go that need no more time than an emulator gives them."""


@check
def restarts(refused: str) -> str:
    """A read that a hundred signals interrupt is one call, and the return of a handler no error."""
    if refused:
        return "strace counts each as an error, and says so"

    async def count() -> list[Any]:
        starter = Starter(Path("/tmp/gt"), None)
        try:
            async with Profiler(tracer="ebpf") as profiler:
                summary = await measure(profiler, starter, Truth(("sarestart", 100), {}))
            return [(row.name, row.calls, row.errors, row.restarts) for row in summary.rows]
        finally:
            starter.end()

    rows = {name: rest for name, *rest in asyncio.run(count())}
    calls, errors, restarts = rows["read"]
    assert (calls, errors) == (1, 0), rows
    assert restarts, rows
    assert rows["rt_sigreturn"][1] == 0, rows
    return f"1 read, {restarts} restarts; {rows['rt_sigreturn'][0]} rt_sigreturn, no error"


@check
def compat(_refused: str) -> str:
    """A program of the other word length, by its own table."""
    done = straced("run", "--json", "-o", "/tmp/compat.json", "--", "/tmp/out/compat")
    rows = json.loads(Path("/tmp/compat.json").read_text() or done.stdout)["syscalls"]
    found = [(row["name"], row["abi"], row["calls"]) for row in rows]
    assert ("getppid", "arm", 500) in found, found
    return "500 getppid of arm"


@check
def lifecycle(refused: str) -> str:
    """Tests of the suite itself, by both tracers."""
    tests = [*([] if refused else LIFECYCLES["ebpf"]), *LIFECYCLES["strace"]]
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    slowly = {"STRACED_TEST_SECONDS": "240", "STRACED_TEST_PATIENCE": "60", "STRACED_TEST_GRACE": "240"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **slowly})
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 0, "; ".join(line for line in lines if line.startswith(("FAILED", "ERROR", "E  ")))
    assert "skipped" not in lines[-1], "; ".join(line for line in lines if line.startswith("SKIPPED"))
    return lines[-1]


@check
def owner_killed(refused: str) -> str:
    """kill -9 of an owner leaves no tracer and no program, and the target as it was."""
    said = []
    for tracer in ("strace",) if refused else ("ebpf", "strace"):
        target = subprocess.Popen(["sleep", "300"])
        owner = subprocess.Popen(
            [*STRACED, "attach", str(target.pid), "--tracer", tracer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if tracer == "strace":
                until(lambda pid=target.pid: _status(pid, "TracerPid") != "0", LONG_S, pause_s=0.05)  # type: ignore[misc]
            else:
                until(lambda pid=owner.pid: _has_programs(pid), LONG_S, pause_s=0.05)  # type: ignore[misc]
            owner.kill()
            owner.wait()
            until(lambda pid=target.pid: _is_released(pid), 20, pause_s=0.05)  # type: ignore[misc]
            said.append(tracer)
        finally:
            for each in (owner, target):
                each.kill()
                each.wait()
    return f"let go: {', '.join(said)}"


def _has_programs(pid: int) -> bool:
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return False
    return sum("bpf_link" in link or "bpf-link" in link for link in links) >= 5


def _is_released(pid: int) -> bool:
    return _status(pid, "TracerPid") == "0" and _status(pid, "State")[0] == "S"


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{name}:"))
