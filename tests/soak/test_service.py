"""Ten real minutes of the service under load, faults and impatient clients, and an hour of it on a fake clock.

STRACED_SOAK_SECONDS=60 makes it a minute. The load knows what it did: each call that it made stands in a shared file.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from straced.model.facts import HostFacts
from straced.store import events
from straced.store.history import History
from tests.service.daemon import SOURCE, Daemon
from tests.soak.conftest import Figures
from tests.support import build
from tests.support.poll import until

SECONDS = float(os.environ.get("STRACED_SOAK_SECONDS", "600"))
LONG, SHORT = 300, 200
LONG_CALLS, SHORT_CALLS = 7, 11
INTERVAL_S = 1.0
READERS, STOPPED = 15, 5
MAX_GROWTH_MB = 4.0
pytestmark = [pytest.mark.needs("root", "ebpf", "cc", "tmpfs"), pytest.mark.limit(SECONDS + 600)]


class Load:
    """The processes that are watched, and what they say they did."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "counts"
        self.file.write_bytes(bytes(8192))
        binary = folder / "service_load"
        source = Path(__file__).with_name("service_load.c")
        subprocess.run([build.compiler() or "cc", "-O1", "-Wall", "-o", binary, source], check=True, timeout=60)
        self._raw = self.file.open("r+b")
        self._map = mmap.mmap(self._raw.fileno(), 8192)
        self.counts = memoryview(self._map).cast("Q")
        self.process = subprocess.Popen(
            [binary, self.file, str(LONG), str(SHORT)], stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def park(self) -> None:
        """Have all of them stop making calls; they stay."""
        self.counts[1] = 1
        until(lambda: self.counts[2] == LONG + 1, 30)

    @property
    def made(self) -> int:
        """All calls so far."""
        return SHORT_CALLS * self.counts[0] + sum(self.counts[8 : 8 + LONG])

    def close(self) -> None:
        """End them all."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.counts.release()
        self._map.close()
        self._raw.close()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, which can be filled."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Take what is left of a disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass
    return ballast


class Memory(threading.Thread):
    """Reads the resident memory of whoever is the service now."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.by_pid: dict[int, list[tuple[float, float]]] = {}
        self.pid = 0
        self._over = threading.Event()

    def run(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._over.wait(min(1.0, SECONDS / 200)):
            with contextlib.suppress(OSError, IndexError, ValueError):
                pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
                self.by_pid.setdefault(self.pid, []).append((time.monotonic(), pages * page / 1e6))

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()

    def growth_mb(self, pid: int) -> float:
        """From the second third of a life to its end, by medians."""
        values = [mb for _when, mb in self.by_pid[pid]]
        third = max(1, len(values) // 3)
        early, late = values[third : third + third // 2 + 1], values[-(third // 2 + 1) :]
        return statistics.median(late) - statistics.median(early)


def clients(daemon: Daemon, count: int) -> subprocess.Popen[str]:
    """So many clients in one process."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("service_clients.py"), daemon.socket, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def config_of(load: Load, round_: int) -> str:
    """A configuration; from round to round something else is in it."""
    return (
        f'[[watch]]\ntarget = "{load.process.pid}"\nlabels = {{job = "soak"}}\n'
        f'[alerts]\nzombies = {1000 + round_}\n[store]\nfull = "{24 + round_}h"\n'
    )


def test_ten_minutes(tmp_path: Path, figures: Figures) -> None:
    with small_disk(tmp_path / "disk", "48m") as disk, figures.row("the service under load", int(SECONDS)) as found:
        load = Load(tmp_path)
        daemon = Daemon(disk, config_of(load, 0), interval=f"{INTERVAL_S:g}s")
        memory = Memory()
        others: list[subprocess.Popen[str]] = []
        try:
            daemon.start()
            memory.pid = daemon.process.pid  # type: ignore[union-attr]
            memory.start()
            others = [clients(daemon, READERS), *(clients(daemon, 1) for _ in range(STOPPED))]
            for each in others[1:]:
                each.send_signal(signal.SIGSTOP)
            kills = go_on(daemon, load, disk, memory)
            load.park()
            time.sleep(3 * INTERVAL_S)  # two whole intervals in which nothing is called
            last = daemon.process.pid  # type: ignore[union-attr]
            took = daemon.stop()
            found["end"] = f"{took:.1f} s"
            assert took <= 3.0
            for each in others[1:]:
                each.send_signal(signal.SIGCONT)
            told = json.loads(others[0].communicate(timeout=30)[0])
            assert [seen["refused"] for seen in told] == [[]] * READERS
            assert all(seen["connects"] == 1 + len(kills) for seen in told), told
            judge(daemon, load, kills, found)
            found["memory"] = f"{memory.by_pid[last][-1][1]:.0f} MB"
            found["growth"] = f"{memory.growth_mb(last):+.1f} MB"
            assert memory.growth_mb(last) <= MAX_GROWTH_MB
        finally:
            memory.stop()
            for each in others:
                each.kill()
                each.communicate()
            daemon.stop()
            load.close()
        log = daemon.log.read_text()
        assert "Traceback" not in log
        assert "tick_failed" not in log
        assert "database or disk is full" in log
        assert "history_resumed" in log


def go_on(daemon: Daemon, load: Load, disk: Path, memory: Memory) -> list[float]:
    """The disturbances, each at its part of the time; returns when the service was killed (seconds since the epoch)."""
    begin = time.monotonic()
    ballast: list[Path] = []
    kills: list[float] = []
    rounds = itertools.count(1)

    def reload() -> None:
        daemon.write(config_of(load, next(rounds)))
        daemon.signal(signal.SIGHUP)

    def kill() -> None:
        kills.append(time.time())
        daemon.kill()
        daemon.start()
        memory.pid = daemon.process.pid  # type: ignore[union-attr]

    steps = [
        (0.05, reload),
        (0.10, lambda: ballast.append(fill(disk))),
        (0.18, reload),
        (0.20, lambda: ballast.pop().unlink()),
        (0.30, kill),
        (0.35, reload),
        (0.40, kill),
        (0.50, kill),
        (0.60, reload),
        (1.00, lambda: None),
    ]
    for part, step in steps:
        time.sleep(max(0.0, begin + part * SECONDS - time.monotonic()))
        step()
    return kills


def judge(daemon: Daemon, load: Load, kills: list[float], found: dict[str, object]) -> None:
    """Compare history with what the load says: nothing is missing but what fell into the gaps, and nothing is wrong."""
    history = History(daemon.state / "history.db")
    try:
        assert history.connection.execute("pragma integrity_check").fetchone() == ("ok",)
        times = [row[0] / 1000 for row in history.connection.execute("select ts from host order by ts")]
        gaps = [(a, b) for a, b in pairwise(times) if any(a <= kill <= b for kill in kills)]
        assert len(gaps) == len(kills)
        for (before, _after), kill in zip(gaps, kills, strict=True):
            assert kill - before <= 2 * INTERVAL_S + 1, "more than the last interval was lost"
        ends = [times[0], *(moment for gap in gaps for moment in gap), times[-1]]
        lives = zip(ends[::2], ends[1::2], strict=True)
        missed = sum(round((b - a) / INTERVAL_S) + 1 for a, b in lives) - len(times)
        late = late_ticks(history)
        found["samples"] = len(times)
        found["late"] = late
        assert missed <= late + len(gaps) + 1, "samples are missing, and nothing was said of them"
        away_s = sum(b - a for a, b in gaps) + INTERVAL_S * len(gaps)
        processes = history.find(job="soak")
        alone = {info.pid: info for info in processes if info.kind == "process"}
        worst = 0
        for child, made in of_long_ones(load).items():
            answer = history.answer([alone[child]], 0)
            counted = next((row.calls or 0 for row in answer.rows if row.name == "getppid"), 0)
            assert counted <= made, f"{child} made {made} calls, history has {counted}"
            worst = max(worst, made - counted)
        assert worst <= LONG_CALLS * (away_s + 2 * len(gaps) + 1)
        answer = history.answer(processes, 0)
        total = next(row.calls or 0 for row in answer.rows if row.name == "getppid")
        rate = LONG * LONG_CALLS + SHORT * SHORT_CALLS
        found["calls"] = f"{load.made:,}"
        found["not counted"] = f"{load.made - total:,} in {away_s:.1f} s away"
        assert 0 <= load.made - total <= rate * (away_s + 2 * len(gaps) + 1)
        assert answer.lost == 0
        kinds = [event.kind for event in events.events(history, limit=10_000) if event.pid is None]
        assert kinds.count("interrupted") == len(kills)
        assert kinds.count("reloaded") == 4
    finally:
        history.close()
    assert sqlite3.connect(daemon.state / "history.db").execute("pragma quick_check").fetchone() == ("ok",)


def late_ticks(history: History) -> int:
    """Late ticks that were said, over all lives of the service."""
    total = before = 0
    for (data,) in history.connection.execute("select data from host order by ts"):
        now = msgspec.msgpack.decode(data, type=HostFacts).own.late_ticks
        total += now - before if now >= before else now
        before = now
    return total


def of_long_ones(load: Load) -> dict[int, int]:
    """The long-lived processes in the order they were started, with the calls that each made."""
    text = Path(f"/proc/{load.process.pid}/task/{load.process.pid}/children").read_text()
    pids = list(map(int, text.split()))[:LONG]
    return dict(zip(pids, load.counts[8 : 8 + LONG], strict=True))


# --- an hour that takes a minute ---

STEP_S = 5.0
TICKS = 720


class Hour:
    """A service on a fake clock, which can be killed and goes on where it was."""

    def __init__(self, state: Path, load: Load) -> None:
        self._state, self._load = state, load
        self.next = 0
        self.made = [load.made]
        """What the load had made when each tick was done."""
        self.rss_mb: list[float] = []
        self.states: set[str] = set()
        self.dropped = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, at the tick after the last one."""
        script = Path(__file__).with_name("service_hour.py")
        left = TICKS - self.next
        self.rss_mb = []
        self.process = subprocess.Popen(
            [sys.executable, script, self._state, *map(str, (self._load.process.pid, self.next, left, STEP_S))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE},
        )

    def until(self, number: int) -> None:
        """Until this tick is done."""
        assert self.process is not None
        assert self.process.stdout is not None
        while self.next <= number:
            line = self.process.stdout.readline().split()
            assert line, "it ended by itself"
            assert int(line[0]) == self.next
            self.next += 1
            self.made.append(self._load.made)
            self.rss_mb.append(int(line[1]) / 1e6)
            self.states.add(line[2])
            self.dropped += int(line[3])

    def reload(self) -> None:
        """Have it read its configuration anew."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()

    def kill(self) -> int:
        """End it as the OOM killer would, and start it again; returns how many calls can have been missed at most."""
        assert self.process is not None
        before = self.made[-2]
        self.process.kill()
        assert self.process.stdout is not None
        self.next += sum(1 for line in self.process.stdout if line.endswith("\n"))
        self.process.communicate()
        self.start()
        self.until(self.next)
        return self.made[-1] - before

    def close(self) -> None:
        """End it if it still runs."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.communicate()


def test_an_hour_on_a_fake_clock(tmp_path: Path, figures: Figures) -> None:
    """720 samples five seconds apart, of real processes, as fast as they can be taken."""
    with small_disk(tmp_path / "disk", "24m") as disk, figures.row("an hour on a fake clock", TICKS) as found:
        load = Load(tmp_path)
        hour = Hour(disk, load)
        missed = 0
        try:
            hour.start()
            hour.until(100)
            hour.reload()
            hour.until(150)
            ballast = fill(disk)
            until(lambda: hour.until(hour.next) or "full" in hour.states or hour.next > 250, 10)
            ballast.unlink()
            for number in (300, 360, 420):
                hour.until(number)
                missed += hour.kill()
            hour.until(500)
            hour.reload()
            hour.until(TICKS - 10)
            load.park()
            hour.until(TICKS - 1)
            assert hour.process is not None
            assert hour.process.wait(20) == 0
            assert hour.states == {"ok", "full"}
            assert hour.dropped == 0
            history = History(disk / "history.db")
            assert history.connection.execute("pragma integrity_check").fetchone() == ("ok",)
            answer = history.answer(history.find(job="hour"), 0)
            counted = next(row.calls or 0 for row in answer.rows if row.name == "getppid")
            steps = {row[0] // 5000 for row in history.connection.execute("select ts from host")}
            kinds = [event.kind for event in events.events(history, limit=10_000) if event.pid is None]
            history.close()
            first = hour.made[1] - hour.made[0]
            found["calls"] = f"{load.made:,}"
            found["not counted"] = f"{load.made - counted:,} of {missed + first:,} while it was away"
            assert 0 <= load.made - counted <= missed + first + hour.made[0]
            assert len(steps) >= TICKS - 3
            assert kinds.count("interrupted") == 3
            assert kinds.count("reloaded") == 2
            third = len(hour.rss_mb) // 3
            growth = statistics.median(hour.rss_mb[-third // 2 :]) - statistics.median(hour.rss_mb[third : 2 * third])
            found["memory"] = f"{hour.rss_mb[-1]:.0f} MB"
            found["growth"] = f"{growth:+.1f} MB"
            assert growth <= MAX_GROWTH_MB
        finally:
            hour.close()
            load.close()
