"""Values as a build, a server and its service have them, of which the pictures of text are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from straced.model.files import FileTable
from straced.model.history import KeptEvent, Ranked, SeriesInfo
from straced.model.slow import SlowCalls
from straced.model.split import SplitPart
from straced.model.types import SyscallStats, Total
from straced.traces.diff.values import Change, Difference, Metric
from tests.model.test_files import use
from tests.model.test_slow import call
from tests.views.text.test_summary import summary

US, MS, S = 10**3, 10**6, 10**9
T0 = 1_700_000_000.0
LIBRARY = "/usr/lib/x86_64-linux-gnu"
MIB = 1_048_576

SUMMARY = summary(
    exit_status=0,
    end="exited",
    processes=123,
    threads=123,
    rows=tuple(
        SyscallStats(name=name, calls=calls, errors=errors, wall_ns=wall, p99_ns=p99, max_ns=most, errno=errno)
        for name, calls, errors, wall, p99, most, errno in (
            ("wait4", 239, 1, 27 * S, S, 1500 * MS, {"ECHILD": 1}),
            ("vfork", 81, 0, 2400 * MS, 218 * MS, 229 * MS, {}),
            ("readlink", 37_402, 37_240, 25 * MS, 2300, 79 * US, {"EINVAL": 32_560, "ENOENT": 4_680}),
        )
    ),
    total=Total(calls=80_833, errors=46_024, wall_ns=38_500 * MS),
)
PARTS = tuple(
    SplitPart(pid=28000, tid=tid, name=f"{tid} (worker)", calls=calls, errors=0, wall_ns=wall, waiting_ns=wall,
              max_ns=wall // 3, busiest=(("recvfrom", calls - 40), ("sendto", 39)))
    for tid, calls, wall in ((28001, 9_120, 1900 * MS), (28002, 8_804, 1890 * MS), (28004, 112, 1200 * MS))
)  # fmt: skip
FILES = FileTable(rows=(
    use(f"{LIBRARY}/libisl.so.23.2.0", 240, 143 * MS, bytes=33_300, waiting_ns=142 * MS, p99_ns=13_000,
        max_ns=142 * MS),
    use("/tmp/ccGU3mel.s", 9, 61 * MS, errors=1, errno="EINVAL", bytes=464, waiting_ns=60 * MS, p99_ns=60 * MS,
        max_ns=61 * MS),
    use("/srv/project/src/protocol/generated/messages_pb2.h", 480, 54 * MS, bytes=66_600, waiting_ns=52 * MS,
        p99_ns=15_000, max_ns=30 * MS),
))  # fmt: skip
SLOW = SlowCalls(
    limit_ns=MS,
    seen=134,
    waits=111,
    calls=tuple(
        call(0, took, waiting_ns=took, call=words, path=path, result=0)
        for took, words, path in (
            (229 * MS, "vfork()", None),
            (142 * MS, f"mmap(NULL, 385024, PROT_READ, MAP_PRIVATE, 3<{LIBRARY}/libisl.so.23.2.0>, 0)",
             f"{LIBRARY}/libisl.so.23.2.0"),
            (81 * MS, "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack_size=0x9000}, 88)", None),
        )
    ),
)  # fmt: skip


def _change(kind: str, name: str, calls: Sequence[int], errors: Sequence[int], wall_ns: Sequence[int]) -> Change:
    made = (Metric(*pair) for pair in (calls, errors, wall_ns))
    return Change(kind=kind, name=name, note="gone" if not calls[1] else "", score=1, **dict(
        zip(("calls", "errors", "wall_ns"), made, strict=True)))  # fmt: skip


DIFFERENCE = Difference(
    before=("before.json",),
    after=("after.json",),
    notes=(),
    same=7,
    total=_change("syscall", "total", (80_377, 10_330), (45_888, 603), (14_700 * MS, 670 * MS)),
    changes=(
        _change("errno", "readlink EINVAL", (32_560, 0), (0, 0), (0, 0)),
        _change("syscall", "readlink", (37_402, 162), (37_240, 0), (23 * MS, 17 * US)),
        _change("syscall", "openat", (9_426, 783), (5_266, 286), (31 * MS, 4200 * US)),
        _change("syscall", "rt_sigaction", (7_591, 5_151), (0, 0), (825 * US, 545 * US)),
        _change("syscall", "fsync", (20, 0), (0, 0), (7500 * US, 0)),
    ),
)
_PROCESS = SeriesInfo(
    id=1, kind="process", pid=27_985, start_ticks=1, boot_id="b", comm="python3", program="python3.11", uid=0, gid=0,
    private=False, labels={"job": "web"}, first_s=T0, last_s=T0,
)  # fmt: skip
RANKED = [
    Ranked(
        process=msgspec.structs.replace(_PROCESS, kind=kind, pid=pid, comm=comm, labels={"job": job}),
        calls=calls, errors=calls // 3, wall_ns=wall, waiting_ns=wall, cpu_ns=cpu, rss_max_bytes=rss,
    )
    for kind, pid, comm, job, calls, wall, cpu, rss in (
        ("process", 27_993, "plugins", "nightly-report", 5_659_402, 1066 * S, 22 * S, 10 * MIB),
        ("process", 27_996, "server", "web", 364_487, 328_854 * S, 13 * S, 14 * MIB),
        ("program", 30_710, "x86_64-linux-gnu-gcc-12", "build-42", 95_336, 544 * S, 0, None),
        ("process", 29_232, "make", "build-42", 1_656, 8 * S, 0, 2 * MIB),
    )
]  # fmt: skip
EVENTS = [
    KeptEvent(
        id=number, time=T0 + number, kind="slow_call", pid=5_000 + number, comm=comm, job="build-42",
        text=f"{5_000 + number} ({comm}) {name} took {took} ms{about}",
        data={"call": name, "tid": 5_000 + number, "start_ns": number, "duration_ns": took * MS},
    )
    for number, (comm, name, took, about) in enumerate((
        ("gcc", "vfork", 252, ""), ("gcc", "vfork", 100, ""), ("as", "mmap", 120, f": {LIBRARY}/libc.so.6"),
        ("gcc", "vfork", 82, ""), ("as", "mmap", 141, f": {LIBRARY}/libc.so.6"), ("gcc", "vfork", 331, ""),
        ("as", "mmap", 75, f": {LIBRARY}/libc.so.6"), ("gcc", "vfork", 55, ""),
    ))
]  # fmt: skip
