"""Which thread of a process serves a connection, a pipe or a lock.

The kernel knows processes only. What tells threads apart: who is in a call on that descriptor, who could have read what
the asker sent (it ran since), and who rests where threads wait for other work. Those left are the candidates, the stuck
ones first; the main thread is one like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from straced.linux.procfs import Gone
from straced.waits.classify import syscall_args
from straced.waits.classify.classify import wait_of
from straced.waits.classify.kinds import HALTED, SUSPECT
from straced.waits.classify.polls import Watched, epoll_targets
from straced.waits.facts import fds
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders import proxies
from straced.waits.model import LIKELY, ONE_OF, Holder, Wait

MOST_THREADS = 500
_MOST_ALIKE = 4
_CLOCK_SLACK_NS = 20_000_000
"""TCP keeps its times in ticks of 1 to 10 ms."""
_RUNS, _HALTED, _STUCK, _IN_A_CALL, _WAITS, _SLEEPS, _FUTEX, _RESTS = range(8)
_WORD = ("runs", "is halted", "is stuck", "is in a call on it", "waits", "sleeps", "waits on a futex", "rests")
IsBusy = Callable[[RawTask], bool]


class _Thread:
    """A thread that may be meant, and how likely it looks."""

    def __init__(self, raw: RawTask, wait: Wait, rank: int) -> None:
        self.raw, self.wait, self.rank = raw, wait, rank


def threads_of(look: ProcSnapshot, holder: Holder, is_busy: IsBusy) -> tuple[list[Holder], int]:
    """The threads of a holder that may be meant, the likeliest first; and how many the first stands for.

    Args:
        look: the moment.
        holder: a process.
        is_busy: whether a thread was seen at work.

    Raises:
        Gone: the process ended.
    """
    tids = list(look.tasks(holder.pid))
    if len(tids) == 1:
        return [holder], 1
    alive = _alive(look, holder, tids[:MOST_THREADS], is_busy)
    if not alive:
        return [replace(holder, tid=None)], 1
    if len(alive) == 1 and len(tids) <= MOST_THREADS:
        return [replace(holder, tid=alive[0].raw.tid)], 1
    if len({thread.rank for thread in alive}) == 1 and alive[0].rank in (_HALTED, _SLEEPS):
        return [holder], len(tids)  # whichever is meant, it does what all do
    active = [thread for thread in alive if thread.rank < _RESTS]
    found = _could_have_read(look, holder, active) or active
    if not found:
        loops = [thread for thread in alive if thread.wait.kind == "poll"]
        if 1 < len(loops) <= _MOST_ALIKE:
            return [replace(holder, tid=each.raw.tid, relation=ONE_OF, guessed=True) for each in loops], 1
        resting = min(alive, key=lambda thread: (not _concerns(thread, holder.numbers), thread.wait.kind == "signal"))
        return [replace(holder, tid=resting.raw.tid, relation=_inferred(holder), guessed=True)], len(tids)
    if found[0].rank == _FUTEX and len(found) > _MOST_ALIKE:
        worker = next((thread for thread in alive if thread.wait.kind in ("accept", "poll")), found[0])
        return [replace(holder, tid=worker.raw.tid, relation=_inferred(holder), guessed=True)], len(tids)
    if found[0].rank < _FUTEX and all(each.rank == _FUTEX for each in found[1:]) and _loop_left(look, holder, alive):
        found = found[:1]
    if len(found) == 1 and len(tids) <= MOST_THREADS:
        evidence = (
            f"{found[0].raw.tid}, of the {len(tids)} threads of {holder.pid}, {_WORD[found[0].rank]}; the others rest"
        )
        joined = f"{holder.evidence}; {evidence}" if holder.evidence else evidence
        return [replace(holder, tid=found[0].raw.tid, relation=_inferred(holder), guessed=True, evidence=joined)], 1
    found.sort(key=lambda thread: (thread.rank, not _has_asked(look, thread)))
    return [replace(holder, tid=thread.raw.tid, relation=ONE_OF, guessed=True) for thread in found], 1


def others_at_work(look: ProcSnapshot, raw: RawTask, asked: Holder, is_busy: IsBusy) -> list[Holder]:
    """The other threads of a task's own process that may do what was asked, and wake the loop when it is done."""
    holder = Holder(pid=raw.pid, relation=ONE_OF, evidence=f"may wake {raw.tid}, the loop of its process")
    tids = [tid for tid in look.tasks(raw.pid) if tid != raw.tid][:MOST_THREADS]
    alive = [thread for thread in _alive(look, holder, tids, is_busy) if thread.rank < _RESTS]
    alive = _could_have_read(look, asked, alive)
    working = [thread for thread in alive if thread.rank != _FUTEX] or alive[:_MOST_ALIKE]
    return [replace(holder, tid=thread.raw.tid, guessed=True) for thread in working]


def _inferred(holder: Holder) -> str:
    return ONE_OF if holder.relation == ONE_OF else LIKELY


def _alive(look: ProcSnapshot, holder: Holder, tids: Sequence[int], is_busy: IsBusy) -> list[_Thread]:
    found = []
    for tid in tids:
        try:
            raw = look.task(holder.pid, tid)
            if raw.state in "ZX":
                continue
            wait = wait_of(look, raw)
        except (Gone, OSError):
            continue
        found.append(_Thread(raw, wait, _RUNS if is_busy(raw) else _rank(look, raw, wait, holder.numbers)))
    return sorted(found, key=lambda thread: thread.rank)


def _rank(look: ProcSnapshot, raw: RawTask, wait: Wait, numbers: tuple[int, ...]) -> int:
    if wait.kind == "running":
        return _RUNS
    if wait.kind in HALTED:
        return _HALTED
    if wait.kind in SUSPECT:
        return _STUCK
    if wait.helper:
        return _RESTS
    if _is_in_call(look, raw, numbers) or any(one.fd in numbers for one in wait.watched):
        return _IN_A_CALL
    if wait.kind == "sleep":
        return _SLEEPS
    if wait.kind == "futex":
        return _FUTEX
    return _RESTS if _rests(wait) else _WAITS


def _is_in_call(look: ProcSnapshot, raw: RawTask, numbers: tuple[int, ...]) -> bool:
    name = look.call_name(raw)
    if name is None or not raw.args or name not in syscall_args.READS | syscall_args.WRITES:
        return False
    return raw.args[0] & 0xFFFFFFFF in numbers


def _rests(wait: Wait) -> bool:
    """Whether a thread waits for other work: for a new connection, for a signal, or to be woken by its own kind."""
    if wait.kind in ("accept", "signal", "event_read", "tty_read", "io_uring"):
        return True
    listens = any("(listening)" in one.name for one in wait.watched)
    return wait.kind == "poll" and (listens or all(one.internal for one in wait.watched))


def _loop_left(look: ProcSnapshot, holder: Holder, alive: Sequence[_Thread]) -> bool:
    """Whether an event loop that watches the descriptor is not waiting in it: its thread is at work somewhere else."""
    own = [fd for fd in fds.listing(look.proc, holder.pid) or () if fd.kind == "eventpoll"]
    loops = {fd.number for fd in own if any(number in holder.numbers for number, _ in _watched(look, holder.pid, fd))}
    return bool(loops) and not any(_polls(look, thread, loops) for thread in alive)


def _watched(look: ProcSnapshot, pid: int, fd: fds.Fd) -> list[Watched]:
    return epoll_targets(look, pid, fd.number) or []


def _polls(look: ProcSnapshot, thread: _Thread, loops: set[int]) -> bool:
    name = look.call_name(thread.raw) or ""
    return name.startswith("epoll") and bool(thread.raw.args) and thread.raw.args[0] & 0xFFFFFFFF in loops


def _has_asked(look: ProcSnapshot, thread: _Thread) -> bool:
    """Whether a thread polls a connection that its process has made, and that owes it an answer."""
    return thread.wait.kind == "poll" and any(proxies.asked(look, thread.raw, one) for one in thread.wait.watched)


def _concerns(thread: _Thread, numbers: tuple[int, ...]) -> bool:
    return thread.wait.kind in ("accept", "poll") or any(one.fd in numbers for one in thread.wait.watched)


def _could_have_read(look: ProcSnapshot, holder: Holder, threads: list[_Thread]) -> list[_Thread]:
    """Leave out those that did not run since the last data arrived, where it was read: somebody else has read it."""
    arrived_ns = _arrival(look, holder)
    if arrived_ns is None:
        return threads
    limit_ns = arrived_ns + _CLOCK_SLACK_NS
    return [thread for thread in threads if (thread.wait.since_ns or 0) <= limit_ns]


def _arrival(look: ProcSnapshot, holder: Holder) -> int | None:
    """How long ago the last data of a TCP connection arrived at the holder, at most; ``None`` if it waits there."""
    for number in holder.numbers:
        fd = fds.get(look.proc, holder.pid, number)
        space = look.sockets.namespace(holder.pid)
        sock = space.inet_by_inode.get(fd.inode) if fd is not None and fd.inode is not None else None
        if sock is not None and sock.family == "tcp" and not sock.receive_queue:
            times = space.tcp_times.get(sock.inode)
            passed_ns = time.monotonic_ns() - space.tcp_times_at_ns
            return times.received_ms * 10**6 + passed_ns if times is not None else None
    return None
