"""One more look, with eBPF: of several who could end a wait, the one who did it the last time.

That is said only if it is proven: the call which woke the task was about what the task waits for, the same futex or
condition variable of the same process, or a descriptor that is the other end. An interrupt or softirq that came in such
a call does not count, except with TCP and UDP: over loopback their data arrive in one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from straced.text.units import format_ns
from straced.waits.facts import fds
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Node, Resource

if TYPE_CHECKING:
    from straced.tracers.ebpf.wakes import LastWake

_FUTEXES = ("futex", "futex_wake")
_INTERNET = ("tcp", "udp")
_CONDITION_BYTES = 48
"""sizeof(pthread_cond_t): whoever waits on one does so on either of two words of it, in turn."""


class Wakers:
    """Who woke which task, once the window is over; empty where nobody could watch."""

    def __init__(self) -> None:
        self.last: dict[int, LastWake] = {}
        self.refused = ""
        """Why nobody could."""


@contextlib.contextmanager
def watched(tids: Iterable[int]) -> Iterator[Wakers]:
    """Watch who wakes these tasks, until the end of the block."""
    from straced.tracers.ebpf.wakes import WakeWatch

    found = Wakers()
    try:
        watch = WakeWatch(tids)
    except OSError as error:
        found.refused = error.strerror or str(error)
        yield found
        return
    try:
        yield found
        found.last = watch.read()
    finally:
        watch.close()


def marked(look: ProcSnapshot, node: Node, wakers: Wakers) -> Node:
    """The same chain; where several could end a wait, who did it the last time stands first and is marked."""
    holders = [marked(look, holder, wakers) for holder in node.holders]
    wake = wakers.last.get(node.task.tid)
    if wake is not None and len(holders) + node.more > 1 and _is_proven(look, node, wake):
        same = [holder for holder in holders if holder.task.tid == wake.tid]
        same = same or [holder for holder in holders if holder.task.pid == wake.pid != node.task.pid]
        if same:
            age = format_ns(max(0, time.monotonic_ns() - wake.monotonic_ns))
            text = f"{wake.tid} woke {node.task.tid} the last time, {age} ago, by {wake.call}"
            first = replace(same[0], woke_last=True, evidence=text)
            holders = [first, *(holder for holder in holders if holder is not same[0])]
    return replace(node, holders=tuple(holders))


def _is_proven(look: ProcSnapshot, node: Node, wake: LastWake) -> bool:
    wait = node.task.wait
    if wake.call in _FUTEXES:
        return (
            wake.pid == node.task.pid
            and not wake.interrupted
            and wait.address is not None
            and abs(wake.argument - wait.address) < _CONDITION_BYTES
        )
    link = look.proc.link(wake.pid, f"fd/{wake.argument & 0xFFFFFFFF}")
    if link is None:
        return False
    other = fds.describe(0, link)
    mine = wait.watched or ((wait.resource,) if wait.resource else ())
    if wake.interrupted:
        mine = tuple(each for each in mine if each.kind in _INTERNET)
    return any(_is_other_end(look, node.task.pid, each, wake.pid, other) for each in mine)


def _is_other_end(look: ProcSnapshot, pid: int, mine: Resource, waker: int, other: fds.Fd) -> bool:
    if mine.inode is None or other.inode is None or pid == waker:
        return False
    if mine.kind == "pipe":
        return other.kind == "pipe" and other.inode == mine.inode
    sock = look.sockets.get(pid, mine.inode) if other.kind == "socket" else None
    if sock is None:
        return False
    if sock.family == "unix":
        return sock.peer_inode == other.inode
    end = look.sockets.namespace(pid).other_end(sock)
    return end is not None and end.inode == other.inode
