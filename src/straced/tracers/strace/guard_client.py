"""The owner's side of the guard: start it, send it orders, and learn what became of them.

Answers arrive on a thread of its own and are handed over as :class:`concurrent.futures.Future`, so that any event
loop, in any thread, may wait for them, and several loops one after the other may use one guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import marshal
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypedDict

from straced.errors import TracerUnavailable, resources

_GUARD = str(Path(__file__).parent / "guard" / "__main__.py")
_PACKET = 1 << 20
OUTPUT = "/proc/self/fd/3"
"""Where a strace finds its output; /dev/fd, a link to this folder, is not everywhere.

It opens it anew: ``-A`` because a plain ``-o`` truncates.
"""


LIMITS = ("max_bytes", "max_seconds", "disk_full", "reader_gone", "reader_slow")
"""Reasons for which the guard itself ends a trace, once it is one."""


class HelperExit(TypedDict, total=False):
    """What the guard says of a strace that has ended."""

    pid: int
    code: int
    """Exit status, or minus the signal."""
    why: str
    """``self`` (its targets are gone, or it failed), or the reason of the stop: ``detach``, ``killed``, ..."""
    stderr: bytes
    targets: list[tuple[int, tuple[int, str] | None]]
    dropped_lines: int
    dropped_bytes: int


def _answer() -> Future[Any]:
    """A future that a cancelled waiter cannot cancel: the answer arrives whether or not anybody still waits."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


class StraceHelper:
    """One strace, as its owner sees it."""

    def __init__(self, number: int, targets: Sequence[int]) -> None:
        self.number = number
        self.targets = frozenset(targets)
        self.pid: int | None = None
        self.guard: socket.socket | None = None
        """The connection to the guard that has it: another guard does not know it."""
        self.stopping = False
        """Whether it was told to let go of its targets."""
        self.spawned: Future[int] = _answer()
        self.attached: Future[bool] = _answer()
        """Done when it has the first of its targets: True when it was seen to wait for events after that.

        Every target but the first may still be missing. False also when it ended before.
        """
        self.exited: Future[HelperExit] = _answer()
        self.how_ended: HelperExit | None = None
        """What :attr:`exited` is about to say, for those who are told before everybody else."""
        self._first_told: list[Callable[[], None]] = []
        self._telling = threading.Lock()

    @property
    def alive(self) -> bool:
        return self.pid is not None and not self.exited.done()

    def before_exited(self, call: Callable[[], None]) -> None:
        """Call back when it has ended, before anybody can see that; at once when it has.

        Args:
            call: called on the thread that hears the guard, or on this one.
        """
        with self._telling:
            if self.how_ended is None:
                self._first_told.append(call)
                return
        call()

    def ended(self, how: HelperExit) -> None:
        """Tell everybody who waits."""
        with self._telling:
            self.how_ended = how
        try:
            for call in self._first_told:
                call()
        finally:
            self._first_told.clear()
            self.exited.set_result(how)
        if not self.attached.done():
            self.attached.set_result(False)


async def all_ended(helpers: Sequence[StraceHelper]) -> list[HelperExit]:
    """Wait until every one of these straces has ended; what the guard says of each."""
    return [await asyncio.wrap_future(helper.exited) for helper in helpers]


class GuardClient:
    """Starts the guard with the first order; inert in a forked copy of its owner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving: subprocess.Popen[bytes] | None = None
        self._owner: int | None = None
        self._numbers = itertools.count(1)
        self._helpers: dict[int, StraceHelper] = {}
        self.spare: int | None = None
        """The process that the guard keeps ready to become the next strace."""
        self.cost_ns: Future[int] = _answer()
        """What one traced call costs here, once :meth:`calibrate` has found it."""
        self._calibrating = False

    @property
    def pid(self) -> int | None:
        """The guard itself, while it runs."""
        process = self._process
        return process.pid if process is not None and self._socket is not None else None

    @property
    def mine(self) -> bool:
        """False in a forked child: its copy must never touch the parent's helpers."""
        return self._owner is None or os.getpid() == self._owner

    @property
    def started(self) -> bool:
        """Whether the guard is up."""
        return self._socket is not None

    def start(self) -> None:
        """Start the guard if it is not up yet; takes some milliseconds, in any thread.

        Raises:
            TracerUnavailable: it could not be started.
        """
        if not self.mine:
            raise TracerUnavailable("a forked copy does not use its parent's guard")
        try:
            with self._lock, resources():
                if self._socket is None:
                    self._start()
        except OSError as error:
            raise TracerUnavailable(f"the guard of the tracers could not be started ({error.strerror})") from error

    def spawn(self, argv: list[str], pids: list[int], fd: int, limits: dict[str, float] | None = None) -> StraceHelper:
        """Start a strace on ``pids``; ``fd`` becomes its output (or, with ``spill_bytes``, the sink of a relay)."""
        helper = StraceHelper(next(self._numbers), pids)
        self._helpers[helper.number] = helper
        order = ("spawn", helper.number, [os.fsencode(word) for word in argv], tuple(pids), limits or {})
        try:
            with self._lock, resources():
                if self._socket is None:
                    self._start()
                helper.guard = self._socket
                self._send(order, [fd])
        except TracerUnavailable:
            self._helpers.pop(helper.number, None)
            raise
        except OSError as error:
            self._helpers.pop(helper.number, None)
            raise TracerUnavailable(f"the guard of the tracers could not be reached ({error.strerror})") from error
        return helper

    def stop(self, helper: StraceHelper, why: str = "detach", grace_s: float = 2.0) -> None:
        """Begin the stop ladder: SIGINT, SIGINT after a second, SIGKILL after ``grace_s``. Returns at once."""
        if self.mine and not helper.exited.done():
            helper.stopping = True
            with contextlib.suppress(OSError), self._lock:
                if helper.guard is self._socket:  # else its guard is leaving, and ends it
                    self._send(("stop", helper.number, why, float(grace_s)), [])

    def leaving(self, target: int) -> list[StraceHelper]:
        """Helpers that were told to let go of ``target`` and have not ended: it will be free in a moment."""
        return [helper for helper in list(self._helpers.values()) if helper.stopping and target in helper.targets]

    def calibrate(self, strace: str) -> None:
        """Measure once, in the background, what a traced call costs."""
        if self._calibrating or not self.mine:
            return
        self._calibrating = True
        argv = [os.fsencode(word) for word in (strace, "-q", "-c", "-A", "-o", OUTPUT)]
        with contextlib.suppress(OSError), self._lock:
            self._send(("calibrate", next(self._numbers), argv), [])

    def close(self) -> None:
        """Tell the guard to stop everything and to leave, which it does by itself. A later order starts another."""
        if not self.mine:
            return
        with self._lock:
            channel, self._socket, self.spare = self._socket, None, None
            if channel is None:
                return
            self._leaving = self._process
            with contextlib.suppress(OSError):
                channel.send(marshal.dumps(("quit",)))
            self._finalizer.detach()

    def wait_closed(self, timeout_s: float) -> bool:
        """After :meth:`close`: whether the guard has ended in time."""
        process = self._leaving
        if process is None:
            return True
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _send(self, order: tuple[Any, ...], fds: list[int]) -> None:
        """Needs the lock."""
        if not self.mine:
            raise OSError(1, "a forked copy does not use its parent's guard")
        if self._socket is None:
            raise OSError(errno.ENOTCONN, "there is no guard")
        socket.send_fds(self._socket, [marshal.dumps(order)], fds)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _PACKET)
            # A pidfd beside the pipe: a forked child of the owner holds the socket open, and EOF comes never.
            try:
                owner = os.pidfd_open(os.getpid())
            except OSError:
                ours.close()
                raise
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", _GUARD, str(theirs.fileno()), str(owner)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), owner),
                    start_new_session=True,
                    cwd="/",
                    env={"LC_ALL": "C", **{k: v for k, v in os.environ.items() if k.startswith("STRACED_")}},
                )
            except OSError:
                ours.close()
                raise
            finally:
                os.close(owner)
        self._socket = ours
        self._owner = os.getpid()
        # An owner that is dropped without a word lets its guard go too.
        self._finalizer = weakref.finalize(self, _hang_up, ours, os.getpid())
        listener = threading.Thread(
            target=_listen, args=(weakref.ref(self), ours, self._process), daemon=True, name="straced-guard"
        )
        try:
            listener.start()
        except RuntimeError as error:
            self._socket = None
            self._finalizer.detach()
            ours.close()
            self._process.kill()  # it has no strace yet
            self._process.wait()
            raise OSError(errno.EAGAIN, "no room for another thread") from error

    def _lost(self, channel: socket.socket) -> None:
        """The guard is gone: the next order starts a new one."""
        with self._lock:
            if self._socket is channel:
                self._socket = self.spare = None

    def _hear(self, channel: socket.socket, kind: str, *rest: Any) -> None:
        if kind == "cost":
            if not self.cost_ns.done():
                self.cost_ns.set_result(rest[0])
            return
        if kind == "spare":
            if channel is self._socket:
                self.spare = rest[0] or None
            return
        helper = self._helpers.get(rest[0])
        if helper is None:
            return
        if kind == "spawned":
            helper.pid = rest[1]
            if helper.pid == self.spare:
                self.spare = None
            helper.spawned.set_result(rest[1])
        elif kind == "attached":
            helper.attached.set_result(rest[1])
        elif kind == "failed":
            self._helpers.pop(helper.number, None)
            error = OSError(rest[1], os.strerror(rest[1]))
            helper.spawned.set_exception(error)
            helper.ended({"pid": 0, "code": 127, "why": "failed", "stderr": str(error).encode()})
        elif kind == "exit":
            self._helpers.pop(helper.number, None)
            helper.ended(rest[1])

    def _guard_ended(self, channel: socket.socket) -> None:
        """A guard is gone, and with it (PDEATHSIG) every strace of its; what they had counted is lost."""
        for helper in list(self._helpers.values()):
            if helper.guard is not channel:
                continue
            self._helpers.pop(helper.number, None)
            if not helper.spawned.done():
                helper.spawned.set_exception(OSError(32, "the guard has ended"))
            if helper.pid is not None:
                sweep_group(helper.pid)
            if not helper.exited.done():
                helper.ended({"pid": helper.pid or 0, "code": -9, "why": "guard_gone", "stderr": b""})


def _listen(client: weakref.ref[GuardClient], channel: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Hear the guard out, on a thread of its own that does not keep its client alive."""
    while True:
        try:
            data = channel.recv(_PACKET)
        except OSError:
            break
        if not data:
            break
        if (listening := client()) is not None:
            listening._hear(channel, *marshal.loads(data))
            del listening
    if (listening := client()) is not None:
        listening._lost(channel)
        del listening
    channel.close()
    process.wait()
    if (listening := client()) is not None:
        listening._guard_ended(channel)


def _hang_up(channel: socket.socket, owner: int) -> None:
    """End the conversation, by which the guard stops everything and leaves; not from a forked copy."""
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)


def sweep_group(leader: int) -> None:
    """End what a killed strace left of its own session: only members that strace itself forked."""
    import signal

    from straced.linux import procfs

    for pid in procfs.pids():
        try:
            stat = procfs.stat(pid)
            if stat.session == leader and stat.pgrp == leader and stat.comm == "strace":
                pidfd = os.pidfd_open(pid)
                try:
                    if procfs.stat(pid).session == leader:
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                finally:
                    os.close(pidfd)
        except (procfs.Gone, OSError):
            continue
