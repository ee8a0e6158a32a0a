"""Threads that have not run for long, by /proc: stuck ones also from before the service, or beside busy ones.

Which calls complete is counted by process, and what a thread entered before it was counted is not known. That a thread
has not run is: how often it was put on a CPU stands in its schedstat. Most that do not run rest. So whoever is in a
call in which nobody rests on purpose, or waits for another thread, is a suspect only, and ``why`` is asked
(:mod:`straced.service.alerts.suspects`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from straced import syscalls
from straced.concurrency.pacing import Pace
from straced.config.schema import Alerts
from straced.linux import procfs
from straced.model.tick import ProcessSample, Tick
from straced.service.alerts.rules import Condition
from straced.service.alerts.suspects import Inquiry, Stuck, Suspect
from straced.syscalls.waiting import WAITS_FOR_WORK
from straced.text.sanitize import scrub

MOST_THREADS = 500
"""Of a process."""
LOOKS = 6
"""Within the time after which a thread is stuck."""
SELDOM_NS = 10 * 10**9
GONE = "X"
FUTEXES = frozenset({"futex", "futex_wait", "futex_waitv"})
GRAVE = frozenset(
    {"connect", "fcntl", "fdatasync", "flock", "fsync", "lockf", "msync", "open", "openat", "sendmsg", "sendto", "sync"}
    | {"syncfs", "unlink", "unlinkat", "rename", "renameat2", "write", "writev", "mkdir", "mkdirat", "ftruncate"}
)
"""Calls in which nobody rests on purpose; the sooner they are ended the better."""
Key = tuple[int, int]


class StillThread(Struct):
    """A thread that has not run since."""

    slices: bytes
    since_ns: int
    call: str = ""
    """The call it is in; read once it has been still for long enough."""


class StillThreads:
    """Watches the threads of all watched processes, and asks about suspects."""

    def __init__(self, inquiry: Inquiry | None = None) -> None:
        self._inquiry = inquiry or Inquiry()
        self._threads: dict[Key, dict[int, StillThread]] = {}
        self._next_ns = 0

    async def look(self, tick: Tick, config: Alerts) -> None:
        """Look at all threads, if it is time for that, and have suspects asked about."""
        if not (config.enabled and config.stuck):
            self._threads.clear()
            return
        if tick.monotonic_ns < self._next_ns:
            return
        self._next_ns = tick.monotonic_ns + min(config.stuck // LOOKS, SELDOM_NS)
        pace, before, suspects = Pace(), self._threads, list[Suspect]()
        self._threads = {}
        for sample in tick.processes:
            if sample.facts.state == GONE:
                continue
            await pace.rest()
            key = sample.facts.key
            threads = self._threads[key] = _read(key[0], before.get(key, {}), tick.monotonic_ns, config.stuck)
            suspects += _suspects(key, threads)
        self._inquiry.take(suspects, config.stuck, java=config.java)

    def findings(self, tick: Tick) -> Iterator[Condition]:
        """The threads that are stuck, as ``why`` has confirmed it, and that have not run since."""
        for sample in tick.processes if self._inquiry.has_confirmed else ():
            threads = self._threads.get(sample.facts.key, {})
            for stuck in self._inquiry.confirmed(sample.facts.key):
                still = threads.get(stuck.tid)
                if still is not None and still.call:
                    yield _condition(sample, stuck, still, tick.monotonic_ns)

    def close(self) -> None:
        """Ask nobody any more."""
        self._inquiry.close()


def _read(pid: int, before: dict[int, StillThread], now_ns: int, limit_ns: int) -> dict[int, StillThread]:
    found: dict[int, StillThread] = {}
    try:
        tids = procfs.tasks(pid)
    except (procfs.Gone, OSError):
        return found
    for tid in list(tids)[:MOST_THREADS]:
        try:
            slices = procfs.read_small(f"{pid}/task/{tid}/schedstat").rpartition(b" ")[2]
            known = before.get(tid)
            if known is None or known.slices != slices:
                known = StillThread(slices, now_ns)
            elif not known.call and now_ns - known.since_ns >= limit_ns:
                known.call = _call(pid, tid)
        except (procfs.Gone, OSError):
            continue
        found[tid] = known
    return found


def _call(pid: int, tid: int) -> str:
    word = procfs.read_small(f"{pid}/task/{tid}/syscall").partition(b" ")[0].strip()
    return syscalls.syscall_name(int(word), syscalls.native_abi()) if word.isdigit() else ""


def _suspects(key: Key, threads: dict[int, StillThread]) -> Iterable[Suspect]:
    calls = {tid: each.call for tid, each in threads.items() if each.call}
    whole = len(calls) == len(threads) and not WAITS_FOR_WORK & set(calls.values())
    for tid, call in calls.items():
        if call in GRAVE or call in FUTEXES:
            yield Suspect(key, tid, threads[tid].since_ns, alone=whole)


def _condition(sample: ProcessSample, stuck: Stuck, still: StillThread, now_ns: int) -> Condition:
    facts = sample.facts
    name = f"{facts.pid} ({facts.comm})"
    who = name if stuck.tid == facts.pid else f"thread {stuck.tid} ({scrub(stuck.comm)}) of {name}"
    seconds = (now_ns - still.since_ns) // 10**9
    more = ": a deadlock" if stuck.deadlock else ""
    process = f"{facts.pid}.{facts.start_ticks}"
    return Condition(
        kind="stuck",
        subject=process if stuck.whole else f"{process}/{stuck.tid}",
        text=f"{who} has completed nothing for {seconds} s; it is in {still.call}{more}",
        sample=sample,
        owner=sample.owner,
        data={"seconds": seconds, "calls": still.call, "tid": stuck.tid, "deadlock": stuck.deadlock},
    )
