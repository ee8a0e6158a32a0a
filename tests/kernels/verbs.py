"""Checks inside a booted kernel: what a user types first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.kernels.checks import LONG_S, STRACED, check, straced
from tests.support.poll import until


@check
def doctor(refused: str) -> str:
    """It says of eBPF what is so, and why."""
    said = next(line for line in straced("doctor").stdout.splitlines() if " eBPF" in line)
    assert said.split()[0] == ("no" if refused else "yes"), said
    assert refused in said, said
    return " ".join(said.split())


@check
def run(refused: str) -> str:
    """A command is counted from its first instruction, by what can be had; eBPF by name is not replaced."""
    said = straced("run", "-n", "2", "--", "ls", "/usr").stderr
    last = said.strip().splitlines()[-1]
    assert ("strace" if refused else "eBPF") in last, said
    assert last.startswith("partial" if refused else "exact"), said
    if refused:
        assert refused in said, said
        with subprocess.Popen(["sleep", "300"]) as target:
            try:
                asked = straced("attach", str(target.pid), "--tracer", "ebpf", expect=5).stderr
            finally:
                target.kill()
        assert refused in asked, asked
    return last.strip()


@check
def make_run(refused: str) -> str:
    """The first command of the README, in this checkout as it is."""
    done = subprocess.run(["make", "run"], capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0, done.stderr[-300:]
    # the script has its own words besides: how to go on in this shell
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("straced: ")]
    assert any(line.split()[:1] == ["newfstatat"] for line in lines), done.stderr[-300:]
    assert lines[-1].startswith("partial" if refused else "exact"), done.stderr[-300:]
    assert ("strace" if refused else "eBPF") in lines[-1], lines[-1]
    return f"{len(lines)} lines, {lines[-1].strip()}"


@check
def top(_refused: str) -> str:
    """One frame, with counts where eBPF serves."""
    worker = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
    try:
        frame = json.loads(straced("top", "--once", "--json", "-i", "2s", "--source", "local").stdout)
    finally:
        worker.kill()
        worker.wait()
    processes = frame["processes"]
    assert processes, frame
    return f"{len(processes)} processes"


@check
def why(_refused: str) -> str:
    """A process that waits for a file lock is told who holds it."""
    with tempfile.TemporaryDirectory() as name:
        lock = f"{name}/lock"
        holder = subprocess.Popen(["flock", lock, "sleep", "1000"])
        until(lambda: "FLOCK" in Path("/proc/locks").read_text(), LONG_S, pause_s=0.05)
        waiter = subprocess.Popen(["flock", lock, "true"])
        try:
            until(lambda: "->" in Path("/proc/locks").read_text(), LONG_S, pause_s=0.05)
            said = straced("why", str(waiter.pid), expect=None).stdout.splitlines()[0]
            assert str(holder.pid) in said or "sleep" in said, said
        finally:
            for each in (waiter, holder):
                subprocess.run(["sh", "-c", f"kill -9 $(cat /proc/{each.pid}/task/{each.pid}/children)"], check=False)
                each.kill()
                each.wait()
    return said[:100]


@check
def serve(_refused: str) -> str:
    """The service watches for twenty seconds, answers, and ends within three when told to."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "straced.toml")
        config.write_text(
            f'interval = "1s"\nstate = "{name}/state"\n'
            f'[ipc]\nsocket = "{name}/s.sock"\n[[watch]]\ntarget = "name:sleep"\n'
        )
        watched = subprocess.Popen(["sleep", "300"])
        words = Path(name, "words")
        with words.open("w") as stderr:
            service = subprocess.Popen([*STRACED, "serve", "-c", str(config)], stdout=stderr, stderr=stderr)
        environment = {**os.environ, "STRACED_SOCKET": f"{name}/s.sock"}
        began = time.monotonic()
        try:
            until(
                # its socket is there a moment before it answers
                lambda: service.poll() is not None or not straced("status", env=environment, expect=None).returncode,
                LONG_S,
                pause_s=0.05,
            )
            assert service.poll() is None, f"status {service.returncode}: {words.read_text()[-300:]}"
            up = time.monotonic()
            while time.monotonic() - up < 20:
                said = straced("status", env=environment).stdout
                time.sleep(2)
            service.send_signal(signal.SIGTERM)
            told = time.monotonic()
            status = service.wait(20)
            took = time.monotonic() - told
        finally:
            for each in (service, watched):
                each.kill()
                each.wait()
    assert status == 0, status
    return f"{said.splitlines()[0][:80]}; up after {up - began:.1f} s, ended within {took:.1f} s"
