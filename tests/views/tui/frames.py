"""Frames made by hand, and a feed that hands them out: what the screen shows of them is known exactly."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import msgspec

from straced.live.protocols import FrameListener, TraceState
from straced.model import histogram
from straced.model.file_window import FileWindow
from straced.model.frame import DescriptorRow, Frame, Key, Machine, Note, ProcessDetail, ProcessRow, ThreadRow
from straced.model.types import Quality, Reason, SyscallStats, Total
from straced.waits.model import Why

Result = TypeVar("Result")
AT_NS = 1_000_000_000_000
EPOCH_S = 1_700_000_000.0
MACHINE = Machine(
    cpus=8,
    cpu_pct=34.2,
    memory_bytes=25_276_502_016,
    memory_used_bytes=586_600_448,
    load=(1.83, 4.36, 3.48),
    pressure={"cpu": 19.0, "memory": 0.0, "io": 0.12},
)
EXACT = Quality(kind="exact", lost=0)
LOSSY = Quality(
    kind="lossy", lost=1234, reasons=(Reason("rows_full", "1234 calls found no room in the kernel's memory"),)
)


def row(pid: int, ppid: int = 1, **changes: object) -> ProcessRow:
    """A process of which everything is known."""
    known = ProcessRow(
        pid=pid,
        start_ticks=pid * 10,
        ppid=ppid,
        comm=f"prog{pid}",
        cmdline=f"/usr/bin/prog{pid} --serve",
        uid=0,
        state="S",
        threads=1,
        cpu_pct=2.5,
        rss_bytes=12_345_678,
        watched=True,
        calls_s=1204.0,
        errors_s=3.0,
        working_pct=0.9,
        waiting_pct=97.2,
        wall_pct=98.1,
        now="epoll_wait",
    )
    return msgspec.structs.replace(known, **changes)


def frame(*rows: ProcessRow, **changes: object) -> Frame:
    """A frame of a machine with these processes."""
    known = Frame(
        epoch_s=EPOCH_S,
        monotonic_ns=AT_NS,
        duration_ns=10**9,
        source="local",
        host="box",
        tracer="ebpf",
        quality=EXACT,
        cost_pct=1.2,
        counting_pct=0.4,
        machine=MACHINE,
        processes=rows,
        watched=sum(each.watched for each in rows),
        calls_s=12034.0,
        errors_s=31.0,
        notes=(
            Note(epoch_s=EPOCH_S - 20, kind="started", pid=4242, text="nginx"),
            Note(epoch_s=EPOCH_S - 5, kind="refused", pid=77, text="another user's process", severe=True),
        ),
    )
    return msgspec.structs.replace(known, **changes)


def machine_of_three() -> Frame:
    """A master with two workers, and one that stands alone."""
    return frame(
        row(
            4242,
            comm="nginx",
            cmdline="nginx: master process",
            calls_s=0.4,
            errors_s=0.0,
            cpu_pct=0.0,
            now="rt_sigsuspend",
        ),
        row(4243, 4242, comm="nginx", cmdline="nginx: worker process", cpu_pct=41.0, calls_s=9800.0),
        row(4244, 4242, comm="nginx", cmdline="nginx: worker process", cpu_pct=12.0, calls_s=2100.0, waits_longer=True),
        row(
            77, comm="postgres", cmdline="postgres -D /srv/db", state="D", calls_s=133.6, errors_s=28.0, now="fdatasync"
        ),
    )


def without_rights() -> Frame:
    """Nothing counts: what /proc tells, and dashes."""
    rows = tuple(
        msgspec.structs.replace(
            each, watched=False, calls_s=None, errors_s=None, working_pct=None, waiting_pct=None, wall_pct=None,
            now=None, waits_longer=False,
        )
        for each in machine_of_three().processes
    )  # fmt: skip
    return frame(
        *rows,
        tracer=None,
        tracer_reason="eBPF needs root, or CAP_BPF and CAP_PERFMON; run it with sudo",
        tracer_hint="run with sudo",
        quality=Quality(kind="partial", lost=None),
        counting_pct=None,
        calls_s=None,
        errors_s=None,
        notes=(),
    )


def five_hundred() -> Frame:
    """As many processes as a busy server has."""
    return frame(
        *(row(1000 + n, 1000 + n // 4 if n else 1, cpu_pct=float(n % 97), calls_s=n * 7.0) for n in range(500))
    )


def buckets(**calls: int) -> tuple[int, ...]:
    """A histogram: ``us4=10`` is ten calls of 4 microseconds."""
    counts = [0] * histogram.SIZE
    for name, count in calls.items():
        unit = {"ns": 1, "us": 1000, "ms": 1000_000}[name[:2]]
        counts[histogram.bucket(int(name[2:]) * unit)] += count
    return tuple(counts)


def detail_of(which: ProcessRow, **changes: object) -> ProcessDetail:
    """What is known of a worker."""
    calls = (
        SyscallStats(
            name="epoll_wait", nr=232, calls=900, errors=0, errno={}, wall_ns=972_000_000, working_ns=2_000_000,
            waiting_ns=970_000_000, p50_ns=1_100_000, p99_ns=4_000_000, in_flight=1,
        ),
        SyscallStats(
            name="read", nr=0, calls=304, errors=3, errno={"EAGAIN": 3}, wall_ns=7_000_000, working_ns=7_000_000,
            waiting_ns=0, p50_ns=3000, p99_ns=41_000, in_flight=0,
        ),
    )  # fmt: skip
    known = ProcessDetail(
        pid=which.pid,
        start_ticks=which.start_ticks,
        duration_ns=10**9,
        calls=calls,
        total=Total(calls=1204, errors=3, wall_ns=979_000_000, working_ns=9_000_000, waiting_ns=970_000_000),
        histograms={
            "epoll_wait@x86_64": buckets(us900=600, ms2=299, ms8=1),
            "read@x86_64": buckets(us2=200, us5=100, us40=4),
        },
        threads=(
            ThreadRow(tid=which.pid, comm="nginx", state="S", call="epoll_wait", for_ns=41_000_000_000, cpu_pct=2.0,
                      place="ep_poll"),
            ThreadRow(tid=which.pid + 1, comm="aio", state="D", call="fsync", for_ns=500_000_000, place="io_schedule"),
        ),
        files=(
            DescriptorRow(fd=0, kind="dev", name="/dev/null", mode="r"),
            DescriptorRow(fd=3, kind="tcp", name="0.0.0.0:80 listen", mode="rw"),
            DescriptorRow(fd=9, kind="file", name="/srv/www/index.html", mode="r", position=4096),
        ),
    )  # fmt: skip
    return msgspec.structs.replace(known, **changes)


class ScriptedFeed:
    """Stands where the worker stands: frames are given to it, wishes are kept."""

    folder = "/traces"
    trace_limits = "100.0 MB or 60 s"

    def __init__(self, first: Frame | None) -> None:
        self.first = first
        self.listener: FrameListener | None = None
        self.choices: list[Key | None] = []
        self.signals: list[tuple[Key, int]] = []
        self.running: list[TraceState] = []
        self.answer = Why(
            pid=4243, start_ticks=42430, comm="nginx", uid=0, verdict="idle", evidence=("it waits for work",)
        )
        self.error: Exception | None = None
        self.details = True
        self.moves: list[int] = []
        self.can_move = False
        self.times: list[float] = []
        self.closed = False
        self.by_file: FileWindow | None = None
        self.looks: list[bool] = []
        """What was said of files and peers, each change once."""

    def start(self, listener: FrameListener) -> None:
        self.listener = listener
        if self.first is not None:
            self.give(self.first)

    def give(self, new: Frame) -> None:
        """The next refresh."""
        assert self.listener is not None
        self.first = new
        self.listener.frame_ready(new)

    def close(self) -> None:
        self.closed = True

    def choose(self, key: Key | None) -> None:
        self.choices.append(key)
        found = next((each for each in self.first.processes if each.key == key), None) if self.first else None
        if found is not None and self.details and self.listener is not None:
            shown = self.by_file if self.looks and self.looks[-1] else None
            self.listener.detail_ready(detail_of(found, by_file=shown))

    def look_at_files(self, wanted: bool) -> None:
        if wanted == (bool(self.looks) and self.looks[-1]):
            return
        self.looks.append(wanted)
        if self.choices:
            self.choose(self.choices[-1])

    def move(self, steps: int) -> Future[bool]:
        self.moves.append(steps)
        return self._answer(self.can_move)

    def go_to(self, epoch_s: float) -> Future[bool]:
        self.times.append(epoch_s)
        return self._answer(self.can_move)

    def why(self, key: Key) -> Future[Why]:
        return self._answer(self.answer)

    def signal(self, key: Key, number: int) -> Future[None]:
        self.signals.append((key, number))
        return self._answer(None)

    def start_trace(self, key: Key) -> Future[TraceState]:
        state = TraceState(pid=key[0], path=Path(f"/traces/straced-{key[0]}.strace"), max_bytes=10**8, max_seconds=60.0)
        if self.error is None:
            self.running.append(state)
        return self._answer(state)

    def stop_trace(self, key: Key) -> Future[TraceState]:
        state = next(each for each in self.running if each.pid == key[0])
        self.running.remove(state)
        return self._answer(msgspec.structs.replace(state, running=False, bytes=52_428_800, ended="detached"))

    def traces(self) -> tuple[TraceState, ...]:
        return tuple(self.running)

    def _answer(self, value: Result) -> Future[Result]:
        future: Future[Result] = Future()
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(value)
        return future
