"""Runs inside a booted kernel: each check prints one JSON line. ``python -m tests.kernels.guest EBPF CHECK...``

EBPF is ``yes`` or ``no``: whether eBPF is expected to serve.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from straced import Profiler
from tests.accuracy.test_strace import measure
from tests.accuracy.truth import Truth
from tests.support.workload import Starter

STRACED = (sys.executable, "-m", "straced")
CHECKS: dict[str, Callable[[bool], str]] = {}


def check(function: Callable[[bool], str]) -> Callable[[bool], str]:
    """Register a check: it returns what it saw, or fails an assertion."""
    CHECKS[function.__name__] = function
    return function


def straced(
    *words: str, seconds: float = 60, expect: int | None = 0, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a verb, and return what it said."""
    done = subprocess.run([*STRACED, *words], capture_output=True, text=True, timeout=seconds, check=False, **options)
    assert expect is None or done.returncode == expect, f"status {done.returncode}: {done.stderr.strip()[-300:]}"
    return done


@check
def doctor(ebpf: bool) -> str:
    """It says of eBPF what is so."""
    said = next(line for line in straced("doctor").stdout.splitlines() if " eBPF" in line)
    assert said.split()[0] == ("yes" if ebpf else "no"), said
    return " ".join(said.split())


@check
def run(ebpf: bool) -> str:
    """A command is counted from its first instruction, by what can be had."""
    said = straced("run", "-n", "2", "--", "ls", "/usr", seconds=120).stderr
    last = said.strip().splitlines()[-1]
    assert ("eBPF" if ebpf else "strace") in last, said
    assert last.startswith("exact" if ebpf else "partial"), said
    return last.strip()


@check
def restarts(ebpf: bool) -> str:
    """A read that a hundred signals interrupt is one call, and the return of a handler no error."""
    if not ebpf:
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
def compat(_ebpf: bool) -> str:
    """A program of the other word length, by its own table."""
    done = straced("run", "--json", "-o", "/tmp/compat.json", "--", "/tmp/out/compat", seconds=90)
    rows = json.loads(Path("/tmp/compat.json").read_text() or done.stdout)["syscalls"]
    found = [(row["name"], row["abi"], row["calls"]) for row in rows]
    assert ("getppid", "arm", 500) in found, found
    return "500 getppid of arm"


@check
def top(ebpf: bool) -> str:
    """One frame, with counts where eBPF serves."""
    worker = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
    try:
        frame = json.loads(straced("top", "--once", "--json", "-i", "2s", "--source", "local", seconds=120).stdout)
    finally:
        worker.kill()
        worker.wait()
    processes = frame["processes"]
    assert processes, frame
    return f"{len(processes)} processes"


@check
def why(_ebpf: bool) -> str:
    """A process that waits for a file lock is told who holds it."""
    with tempfile.TemporaryDirectory() as name:
        lock = f"{name}/lock"
        holder = subprocess.Popen(["flock", lock, "sleep", "1000"])
        _until(lambda: "FLOCK" in Path("/proc/locks").read_text())
        waiter = subprocess.Popen(["flock", lock, "true"])
        try:
            _until(lambda: "->" in Path("/proc/locks").read_text())
            said = straced("why", str(waiter.pid), seconds=90, expect=None).stdout.splitlines()[0]
            assert str(holder.pid) in said or "sleep" in said, said
        finally:
            for each in (waiter, holder):
                subprocess.run(["sh", "-c", f"kill -9 $(cat /proc/{each.pid}/task/{each.pid}/children)"], check=False)
                each.kill()
                each.wait()
    return said[:100]


@check
def serve(_ebpf: bool) -> str:
    """The service watches for twenty seconds, answers, and ends within three when told to."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "straced.toml")
        config.write_text(
            f'interval = "1s"\nstate = "{name}/state"\n'
            f'[ipc]\nsocket = "{name}/s.sock"\n[[watch]]\ntarget = "name:sleep"\n'
        )
        watched = subprocess.Popen(["sleep", "300"])
        service = subprocess.Popen(
            [*STRACED, "serve", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        environment = {**os.environ, "STRACED_SOCKET": f"{name}/s.sock"}
        try:
            _until(lambda: Path(name, "s.sock").exists(), 120)
            began = time.monotonic()
            while time.monotonic() - began < 20:
                said = straced("status", env=environment, seconds=60).stdout
                time.sleep(2)
            service.send_signal(signal.SIGTERM)
            began = time.monotonic()
            status = service.wait(20)
            took = time.monotonic() - began
        finally:
            for each in (service, watched):
                each.kill()
                each.wait()
    assert status == 0, status
    return f"{said.splitlines()[0][:80]}; ended within {took:.1f} s"


@check
def owner_killed(ebpf: bool) -> str:
    """kill -9 of an owner leaves no tracer and no program, and the target as it was."""
    said = []
    for tracer in ("ebpf", "strace") if ebpf else ("strace",):
        target = subprocess.Popen(["sleep", "300"])
        owner = subprocess.Popen(
            [*STRACED, "attach", str(target.pid), "--tracer", tracer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if tracer == "strace":
                _until(lambda pid=target.pid: _status(pid, "TracerPid") != "0", 40)  # type: ignore[misc]
            else:
                _until(lambda pid=owner.pid: _has_programs(pid), 40)  # type: ignore[misc]
            owner.kill()
            owner.wait()
            _until(lambda pid=target.pid: _status(pid, "TracerPid") == "0" and _status(pid, "State")[0] == "S", 20)  # type: ignore[misc]
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


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{name}:"))


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


def main() -> None:
    """Run the checks that are named."""
    ebpf = sys.argv[1] == "yes"
    for name in sys.argv[2:]:
        began = time.monotonic()
        try:
            result: dict[str, Any] = {"ok": True, "said": CHECKS[name](ebpf)}
        except Exception as error:
            result = {"ok": False, "said": f"{type(error).__name__}: {error}"[:400]}
        print(json.dumps({"check": name, **result, "seconds": round(time.monotonic() - began, 1)}), flush=True)


if __name__ == "__main__":
    main()
