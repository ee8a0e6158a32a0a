"""`waits/verdict/spins.py`: loops that get nowhere are spinning, not busy; what looks alike and does get on is not."""

from __future__ import annotations

import pytest
from why_world import World

from straced.model.types import Quality, Summary, SyscallStats, Target, Window
from straced.views.why.report import report, sentence
from straced.waits.call_counts import by
from straced.waits.process import why_process
from straced.waits.verdict import storms

_WINDOW_NS = 1_000_000_000
_WINDOWS = 6
_ENDED = "r, w = os.pipe(); os.close(w); "
LOOPS = {
    "epoll of an end of file": (_ENDED + "e = select.epoll(); e.register(r); call = e.poll", "spin_poll", "epoll_wait"),
    "poll of an end of file": (_ENDED + "p = select.poll(); p.register(r); call = p.poll", "spin_poll", "poll"),
    "select that is writable": ("r, w = os.pipe(); call = lambda: select.select([], [w], [])", "spin_poll", "select"),
    "a descriptor that is closed": (
        "call = lambda: os.read(999, 1)",
        "spin_ebadf",
        "read calls a second fail with EBADF",
    ),
    "no descriptor left": (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)); s = socket.create_server(('', 0))\n"
        "c = socket.create_connection(s.getsockname())\ntry:\n while True: os.dup(0)\n"
        "except OSError: call = s.accept",
        "spin_emfile",
        "EMFILE",
    ),
    "yields": ("call = os.sched_yield", "spin_yield", "sched_yield calls a second: it waits without sleeping"),
}


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("name", LOOPS)
def test_a_spin(name: str, world: World) -> None:
    code, kind, says = LOOPS[name]
    target = world.python(code + "\nready()\nwhile True:\n try: call()\n except OSError: pass")
    for _ in range(_WINDOWS):
        why = why_process(target.pid, _WINDOW_NS, sharpen=by("ebpf"), eager=True)
        if why.storms:
            break
    assert [storm.kind for storm in why.storms] == [kind], report(why)
    assert why.verdict == "spinning", report(why)
    assert says in sentence(why)


def _rows(**calls: int | tuple[int, int] | tuple[int, int, dict[str, int]]) -> list[SyscallStats]:
    """Name -> calls, or (calls, nanoseconds), or (calls, nanoseconds, errnos)."""
    made = []
    for name, value in calls.items():
        count, wall_ns, errno = (*value, {})[:3] if isinstance(value, tuple) else (value, 1000 * value, {})
        made.append(
            SyscallStats(name=name, calls=count, wall_ns=wall_ns, errors=sum(errno.values()), errno=dict(errno) or None)
        )
    return made


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        (_rows(epoll_wait=9000, sched_yield=10), ["spin_poll"]),
        (_rows(epoll_wait=9000, recvfrom=(9000, 9, {"EAGAIN": 8900})), ["spin_eagain", "spin_poll"]),
        (_rows(epoll_wait=9000, recvfrom=9000), []),
        (_rows(epoll_wait=9000, read=4000, write=4000), []),
        (_rows(poll=9000, accept4=8000, sendto=8000), []),
        (_rows(epoll_wait=(9000, 9 * 10**9)), []),
        (_rows(epoll_wait=900), []),
        (_rows(sched_yield=9000, futex=100), ["spin_yield"]),
        (_rows(sched_yield=2000, write=9000), []),
        (_rows(openat=(9000, 9, {"ENOENT": 9000})), []),
        (_rows(getxattr=(9000, 9, {"ENODATA": 9000})), []),
        (_rows(write=(9000, 9, {"EPIPE": 9000})), ["spin_epipe"]),
        (_rows(connect=(9000, 9, {"ECONNREFUSED": 9000})), ["spin_econnrefused"]),
        (_rows(read=(90_000, 9, {"EBADF": 9000})), []),
    ],
)
def test_what_counts_as_a_spin(rows: list[SyscallStats], kinds: list[str]) -> None:
    summary = Summary(
        target=Target(pid=1, start_ticks=1, boot_id=""),
        tracer="ebpf",
        quality=Quality(kind="exact"),
        window=Window(start=0, end=1, duration_ns=10**9),
        rows=tuple(rows),
    )
    found = [storm.kind for storm in storms.from_summary(summary)]
    assert [kind for kind in found if kind.startswith("spin")] == kinds
