"""Ways in which a wait may end that lead to no task: what the kernel, a clock, a person or anybody may do."""

from __future__ import annotations

import re

from straced.text.units import format_ns
from straced.waits.classify.titles import is_postgres
from straced.waits.facts import fds
from straced.waits.facts.file_systems import mounts
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders import files
from straced.waits.model import Resource, Wait, Way

_VALUE = re.compile(rb"^it_value: \((\d+), (\d+)\)", re.MULTILINE)
_SIGURG = 1 << 22
_SIGMASK = re.compile(rb"^sigmask:\s*([0-9a-f]+)", re.MULTILINE)


def of_wait(look: ProcSnapshot, raw: RawTask, wait: Wait) -> tuple[Way, ...]:
    """The ways out of a wait that is about one thing (a poll has those of all that it watches)."""
    resource = wait.resource
    if wait.kind == "sleep":
        return (Way(kind="timer", text="its timer"),)
    if wait.kind == "signal":
        return (Way(kind="anybody", text="a signal"),)
    if wait.kind == "io_uring":
        return (Way(kind="kernel", text="a completion of io_uring"),)
    if resource is not None and wait.kind == "tty_write" and files.is_stopped(look, wait):
        return (Way(kind="person", text=f"Ctrl-Q at {resource.name}, whose output was stopped (Ctrl-S)"),)
    if resource is None or wait.kind not in ("event_read", "accept", "tty_read", "ipc", "socket_read"):
        return ()
    if wait.kind == "ipc":
        return (Way(kind="anybody", text=f"{resource.name}, which anybody may serve"),)
    if wait.kind == "socket_read" and (resource.peer or resource.kind not in ("udp", "unix")):
        return ()
    if wait.kind == "socket_read" and resource.kind == "unix" and _is_connected(look, raw, resource):
        return ()
    way = of_resource(look, raw, resource)
    return (way,) if way is not None else ()


def of_resource(look: ProcSnapshot, raw: RawTask, resource: Resource) -> Way | None:
    """The way that one descriptor opens; ``None`` for one that somebody must stand behind, or that is disarmed."""
    if resource.kind == "signalfd":
        latch = is_postgres(raw) and _takes(look, raw, resource, _SIGURG)
        return Way(kind="anybody", text="its latch, which any process of its server may set" if latch else "a signal")
    if resource.kind == "eventfd" and raw.stat.num_threads > 1:
        return OWN_THREADS
    if resource.kind == "timerfd":
        return _timer(look, raw, resource)
    if "(listening)" in resource.name:
        return Way(kind="connection", text=f"a connection to {resource.name.removesuffix(' (listening)')}")
    if resource.kind == "udp":
        return None if resource.peer else Way(kind="anybody", text=f"a datagram to {resource.name}")
    if resource.kind == "unix":
        connected = _is_connected(look, raw, resource)
        return None if connected else Way(kind="anybody", text=f"a message to {resource.name}")
    if resource.kind in ("tcp", "pipe", "fifo", "pidfd"):
        return None
    if resource.kind == "file" and is_fifo(look, raw, resource):
        return None
    if resource.kind == "file" and resource.name.count("/") == 1:
        return Way(kind="anybody", text=f"a message on the POSIX queue {resource.name}")
    kind, text = _OTHERS.get(resource.kind, ("kernel", "an event on {}"))
    return Way(kind=kind, text=text.format(resource.name))


OWN_THREADS = Way(kind="threads", text="its own threads")
_OTHERS = {
    "eventfd": ("anybody", "an eventfd"),
    "inotify": ("anybody", "a change of a watched file (inotify)"),
    "fanotify": ("anybody", "an access to a watched file (fanotify)"),
    "io_uring": ("kernel", "a completion of io_uring"),
    "tty": ("person", "a person at {}"),
    "socket": ("kernel", "a message on {}"),
    "unknown": ("unseen", "{}, which cannot be read"),
}


def is_fifo(look: ProcSnapshot, raw: RawTask, resource: Resource) -> bool:
    """Whether a watched descriptor with a path is a FIFO.

    Regular files are always ready. What else has a path is a device, a file of a kernel file system, or a POSIX
    queue, whose mount nobody sees.
    """
    if resource.name.startswith(("/dev/", "/proc/", "/sys/")) or resource.fd is None:
        return False
    info = fds.info(look.proc, raw.pid, resource.fd)
    return info is not None and info.mount in mounts(look.proc, raw.pid)


def _is_connected(look: ProcSnapshot, raw: RawTask, resource: Resource) -> bool:
    sock = look.sockets.get(raw.pid, resource.inode) if resource.inode else None
    return sock is None or bool(sock.peer_inode)


def _timer(look: ProcSnapshot, raw: RawTask, resource: Resource) -> Way | None:
    info = fds.info(look.proc, raw.pid, resource.fd) if resource.fd is not None else None
    match = _VALUE.search(info.text) if info else None
    if match is None:
        return Way(kind="timer", text="a timer (timerfd)")
    left_ns = int(match[1]) * 10**9 + int(match[2])
    return Way(kind="timer", text=f"its timer (timerfd, {format_ns(left_ns)} left)") if left_ns else None


def _takes(look: ProcSnapshot, raw: RawTask, resource: Resource, bit: int) -> bool:
    info = fds.info(look.proc, raw.pid, resource.fd) if resource.fd is not None else None
    match = _SIGMASK.search(info.text) if info else None
    return match is not None and bool(int(match[1], 16) & bit)
