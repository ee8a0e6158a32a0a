"""What the benchmark of the service runs: processes to watch, a real service, and how fast this machine is now."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
WORKERS = """
import os, select, signal, sys, time
count, active = int(sys.argv[1]), int(sys.argv[2])
def work():
    fd = os.open("/dev/null", os.O_RDWR)
    r, w = os.pipe()
    while True:
        os.getppid(); os.getuid(); os.geteuid(); os.getgid(); os.getegid(); os.getcwd(); os.stat("/"); os.access("/", 4)
        os.write(w, b"x"); os.read(r, 1); os.lseek(fd, 0, 0); os.fstat(fd); os.umask(18); os.getpgid(0); os.getsid(0)
        os.close(os.dup(fd)); os.sched_yield(); os.uname(); os.times()
        try: os.stat("/nonexistent")
        except OSError: pass
        select.select([], [], [], 1.0)
for number in range(count):
    if os.fork() == 0:
        time.sleep(number % 100 / 100)
        if number < active: work()
        while True: signal.pause()
print("ready", flush=True)
sys.stdin.read()
os.killpg(0, signal.SIGKILL)
"""


@contextlib.contextmanager
def workers(count: int, active: int) -> Iterator[int]:
    """So many processes under one parent, whose pid this gives."""
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", WORKERS, str(count), str(active)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    parent.stdout.readline()
    try:
        yield parent.pid
    finally:
        parent.stdin.close()
        parent.wait()
        parent.stdout.close()


@contextlib.contextmanager
def daemon(folder: Path, target: int | None, interval: str = "1s", *, page: bool = False) -> Iterator[tuple[int, Path]]:
    """A service that watches the tree of ``target``, if any, maybe with a page; gives its pid and its socket."""
    where = folder / "run" / "straced.sock"
    file = folder / "straced.toml"
    file.write_text(
        f'interval = "{interval}"\ndiscover = "5s"\nstate = "{folder / "state"}"\n[ipc]\nsocket = "{where}"\n'
        "max_clients = 256\nmax_clients_per_user = 256\n"
        + (f'[[watch]]\ntarget = "{target}"\n' if target is not None else "")
    )
    source = str(Path(__file__).parents[1] / "src")
    serving = subprocess.Popen(
        [sys.executable, "-m", "straced", "serve", "-c", str(file), *(["--http", "127.0.0.1:0"] if page else [])],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": source},
        preexec_fn=_end_with_parent,
    )
    deadline = time.monotonic() + 60
    while not answers(where) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield serving.pid, where
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait()


def _end_with_parent() -> None:
    """Have the kernel end a service in order when the benchmark was killed and cannot."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def answers(where: Path) -> bool:
    """Whether somebody listens."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(where))
        except OSError:
            return False
    return True


def cpu_s(pid: int) -> float:
    """CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def steady(used_s: Callable[[], float], window_s: float = 10.0, most_s: float = 180.0) -> float:
    """Wait until two spans one after the other take as much CPU, to a tenth; returns how long that took.

    Args:
        used_s: CPU time until now.
        window_s: of a span; a multiple of what comes round, the looks at all processes for one.
        most_s: then it is measured as it is.
    """
    began, before, last = time.monotonic(), used_s(), 0.0
    while True:
        time.sleep(window_s)
        now = used_s()
        spent, before = now - before, now
        if abs(spent - last) <= 0.1 * max(spent, last) or spent < 0.001 * window_s:
            return time.monotonic() - began
        if time.monotonic() - began > most_s:
            return time.monotonic() - began
        last = spent


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def wakeups(pid: int) -> int:
    """How often the threads of a process had to be put on a CPU after they had waited."""
    total = 0
    for name in os.listdir(f"/proc/{pid}/task"):
        text = Path(f"/proc/{pid}/task/{name}/status").read_text()
        total += int(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


class Speed(threading.Thread):
    """How much slower than at its best this machine is, while something else is measured.

    A fixed piece of work each second. Neighbours on the same cores and a shared cache make every program slower, which
    a CPU time shows as if the program had more to do.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.best = min(_piece() for _ in range(40))
        self._seen: list[float] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(1.0):
            self._seen.append(_piece())

    def slowdown(self) -> float:
        """By the median; ends the thread."""
        self._over.set()
        self.join()
        self.best = min(self.best, *self._seen) if self._seen else self.best
        return statistics.median(self._seen) / self.best if self._seen else 1.0


def _piece() -> float:
    began = time.thread_time()
    total = 0
    for number in range(200_000):
        total += number & 7
    return time.thread_time() - began
