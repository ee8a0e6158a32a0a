"""Values with long names and large figures, of which each view makes its widest lines."""

from __future__ import annotations

from straced.ipc.messages import Status
from straced.model.files import FileTable
from straced.model.history import (
    HistoryAnswer,
    JobReport,
    KeptAlert,
    KeptEvent,
    Peaks,
    Point,
    ProgramUse,
    Ranked,
    SeriesInfo,
)
from straced.model.moment import CallLatency, FailingCall, Moment, MomentStep
from straced.model.slow import SlowCalls
from straced.model.split import SplitPart
from straced.model.types import SyscallStats, Total
from straced.model.uring import UringUse, table_of
from straced.traces.diff.values import Change, Difference, Metric
from tests.model.test_files import use
from tests.model.test_slow import call
from tests.views.text.test_summary import summary

S = 10**9
MANY = 12_204_331
T0 = 1.7e9
LONG = "/srv/" + "a-directory-with-a-long-name/" * 4 + "file"
PROGRAM, JOB = "x86_64-linux-gnu-gcc-12", "pipeline-of-a-rather-long-name"
HOST = "web-03.eu-central-1.example.com"
ERRNOS = ("ENOENT", "EINVAL", "EADDRNOTAVAIL", "ECONNREFUSED", "EAGAIN", "ENOTDIR")

FILES = FileTable(rows=tuple(
    use(LONG, 10 * MANY, 118 * S, errors=MANY, errno="EADDRNOTAVAIL", bytes=10**12, waiting_ns=99 * S, p99_ns=S,
        max_ns=S)
    for _ in range(3)
))  # fmt: skip
SLOW = SlowCalls(
    limit_ns=10**7, seen=MANY, waits=MANY,
    calls=tuple(call(0, S, waiting_ns=S, call=f'openat(AT_FDCWD, "{LONG}", O_RDONLY)', path=LONG) for _ in range(3)),
)  # fmt: skip
URING = table_of(
    [UringUse(name="io_uring:uring_cmd", requests=MANY, completed=MANY, errors=MANY, errno="EADDRNOTAVAIL",
              in_flight=MANY, more=MANY, silent=MANY, wall_ns=118 * S, p99_ns=S, max_ns=S)],
    ["a ring was not read"] * 2,
)  # fmt: skip
ROWS = tuple(
    SyscallStats(
        name=name, calls=MANY, errors=MANY, wall_ns=118 * S, working_ns=S, waiting_ns=99 * S, p50_ns=1000, p99_ns=S,
        max_ns=2 * S, errno=dict.fromkeys(ERRNOS, MANY), in_flight=MANY,
    )
    for name in ("clock_nanosleep", "sched_get_priority_max")
)  # fmt: skip
SUMMARY = summary(
    rows=ROWS, total=Total(calls=MANY, errors=MANY, wall_ns=300 * S), tracer_reason="it was asked for by name",
    files=FILES, slow=SLOW, io_uring=URING,
)  # fmt: skip
PARTS = tuple(
    SplitPart(pid=pid, name=f"{pid} (a-long-name-15c)", calls=MANY, errors=MANY, wall_ns=S, waiting_ns=S, max_ns=S,
              busiest=(("clock_nanosleep", MANY), ("sched_get_priority_max", MANY), ("read", MANY)))
    for pid in (4_000_000, 4_000_001)
)  # fmt: skip
PROCESS = SeriesInfo(
    id=1, kind="process", pid=4_000_000, start_ticks=1, boot_id="b", comm="a-long-name-15c", program=PROGRAM, uid=0,
    gid=0, private=False, labels={"job": JOB}, first_s=T0, last_s=T0,
)  # fmt: skip
ENDED = SeriesInfo(
    id=2, kind="program", pid=4_000_000, start_ticks=1, boot_id="b", comm=PROGRAM, program=PROGRAM, uid=0,
    gid=0, private=False, labels={"job": JOB}, first_s=T0, last_s=T0, host=HOST,
)  # fmt: skip
RANKED = [
    Ranked(process=each, calls=MANY, errors=MANY, wall_ns=S, waiting_ns=S, cpu_ns=cpu_ns, rss_max_bytes=10**10)
    for each, cpu_ns in ((PROCESS, 0), (PROCESS, 10**12), (ENDED, 0))
]
POINTS = [
    Point(time=T0, step_s=60, calls=MANY, errors=MANY, wall_ns=S, waiting_ns=S, cpu_ns=S, rss_max_bytes=10**10)
] * 2
PROGRAMS = tuple(
    ProgramUse(program=PROGRAM, job=JOB, calls=MANY, errors=MANY, p99_ns=S, max_ns=S, cpu_ns=S, host=host)
    for host in ("", HOST)
)
LATENCY = CallLatency(
    program=PROGRAM, job=JOB, syscall="sched_get_priority_max", calls=MANY, p99_ns=S, p99_before_ns=S, max_ns=S
)
EVENTS = tuple(
    KeptEvent(id=number, time=T0 + number, kind="slow_call", text=f"{number} (cc1) openat took {number} ms: {LONG}",
              pid=number, comm="cc1", job=JOB,
              data={"call": "openat", "tid": number // 2, "start_ns": 7, "duration_ns": number})
    for number in range(2, 10)
)  # fmt: skip
ALERT = KeptAlert(
    id="1", kind="stuck", subject="1", text=f"200 (db) is stuck: it waits for a lock on {LONG}", opened=T0, updated=T0,
    closed=T0 + 192,
)  # fmt: skip
ANSWER = HistoryAnswer(
    start=T0, end=T0 + 60, processes=(PROCESS,) * 9, rows=ROWS, total=SUMMARY.total,
    peaks=Peaks(cpu_ns=S, rss_max_bytes=10**10, fds_max=MANY, threads_max=1), gaps_s=7260,
)  # fmt: skip
REPORT = JobReport(
    job=JOB, answer=ANSWER, programs=PROGRAMS, exit_statuses={"killed 9": MANY, "failed 127": MANY, "with 0": MANY},
    events=EVENTS, alerts=(ALERT,),
)  # fmt: skip
MOMENT = Moment(
    start=T0, end=T0 + 60, step_s=60, programs=PROGRAMS, slow=(LATENCY,) * 2, alerts=(ALERT,), events=EVENTS,
    steps=(MomentStep(time=T0, end=T0, calls=MANY, errors=MANY, cpu_ns=S, p50_ns=S, p99_ns=S, max_ns=S),) * 2,
    failing=(
        FailingCall(program=PROGRAM, job=JOB, syscall="sched_get_priority_max", errno="EADDRNOTAVAIL", errors=MANY),
    ),
)  # fmt: skip


def change(kind: str, name: str, note: str = "") -> Change:
    """One that a difference tells."""
    figures = Metric(MANY, MANY / 3, p=0.01)
    took = Metric(S, 3 * S)
    return Change(
        kind=kind, name=name, note=note, calls=figures, errors=figures, wall_ns=took, waiting_ns=took, score=1
    )


DIFFERENCE = Difference(
    before=(LONG,), after=(LONG,), notes=("the second side has no durations, so that no times are compared",), same=7,
    total=change("syscall", "total"),
    changes=(
        change("syscall", "sched_get_priority_max"), change("errno", "openat EADDRNOTAVAIL"), change("path", LONG),
    ),
)  # fmt: skip
STATUS = Status(
    version="1.2.3", pid=4_000_000, system=True, started=T0, interval_ns=S, tracer="ebpf", history_path=LONG,
    history_bytes=10**9, history_moved=LONG, rules=3, watched=MANY, alerts_open=2,
    config_error="the threshold of alerts.stuck is not a duration: write it as 20ms, 30s, 5m or 2h30m",
)  # fmt: skip
