"""One strace: how it is started, and the ladder by which it is stopped."""

import _signal as signal
import os
import time

import kernel

ATTACH_WAIT_S = 1.5
"""A strace killed while it starts leaves its self-test child frozen, so a stop waits until it has attached."""
FIRST_INTERRUPT_S = 1.0
STDERR_KEPT = 8192
ROOM_LOOK_S = 0.25
"""How often a trace that has no other limit looks at the room that is left, where there is much."""
FASTEST_BYTES_A_SECOND = 20 * 1000 * 1000
"""More than a strace was seen to write: the room is looked at before it can be gone."""
SHORTEST_LOOK_S = 0.005


class GuardedStrace:
    """A running strace and what the owner asked of it."""

    def __init__(self, number, pids, output_fd, relay, limits):
        self.number = number
        self.pids = pids
        self.output_fd = output_fd
        self.relay = relay
        self.max_bytes = limits.get("max_bytes")
        self.min_free_bytes = limits.get("min_free_bytes")
        self.end_when_full = limits.get("end_when_full", False)
        self.max_seconds = limits.get("max_seconds")
        self.deadline = None
        """Known once it has a target: how long a strace takes to begin is no part of its time."""
        self.stderr = b""
        self.stderr_fd = -1
        self.pid = 0
        self.pidfd = -1
        self.why = "self"
        self.stop_at = None
        self.kill_at = None
        self.interrupts = 0
        self.grace_s = 2.0

    def start(self, argv, environment, spares):
        """Start it. A pipe that never blocks takes stderr: unread, a full one would freeze the target."""
        self.stderr_fd, stderr_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        output = self.relay.writer_fd if self.relay else self.output_fd
        try:
            self.pid, self.pidfd = spares.start(argv, environment, stderr_writer, output)
        finally:
            os.close(stderr_writer)
        if self.relay:
            self.relay.close_writer()

    @property
    def attached(self):
        """Whether the kernel names this helper as the tracer of anything it was given."""
        return any((found := kernel.tracer_and_state(pid)) and found[0] == self.pid for pid in self.pids)

    @property
    def has_ended(self):
        """Whether it is no more, though that may not have been looked at yet."""
        return not self.pid or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def request_stop(self, why, grace_s):
        """Begin the ladder; a second request only shortens it."""
        now = time.monotonic()
        if self.stop_at is None:
            self.why, self.grace_s = why, grace_s
            self.stop_at = now
        elif self.kill_at is not None:
            self.kill_at = min(self.kill_at, now + grace_s)

    def step(self, now):
        """Do what is due. Returns when to be called again, or ``None`` for when something happens."""
        if self.pid == 0:
            return None  # ended; its relay still has something to give
        if self.stop_at is None:
            return self._check_limits(now)
        if self.interrupts == 0:
            if now < self.stop_at + ATTACH_WAIT_S and not self.attached:
                return now + 0.001
            kernel.send(self.pidfd, signal.SIGCONT)
            kernel.send(self.pidfd, signal.SIGINT)
            self.interrupts, self.stop_at, self.kill_at = 1, now, now + self.grace_s
        elif self.interrupts == 1 and now >= self.stop_at + FIRST_INTERRUPT_S:
            kernel.send(self.pidfd, signal.SIGINT)  # the first may be swallowed in a storm of vforks
            self.interrupts = 2
        if now >= self.kill_at:
            self.why = "killed"
            kernel.kill_group(self.pid)
            self.kill_at = now + 60
        return min(self.kill_at, self.stop_at + FIRST_INTERRUPT_S) if self.interrupts == 1 else self.kill_at

    def _check_limits(self, now):
        room = None if self.min_free_bytes is None or self.relay else room_beyond(self.output_fd, self.min_free_bytes)
        if (room is not None and room <= 0) or (
            self.stderr and self.relay is None and room_beyond(self.output_fd, 0) <= 0
        ):
            self.request_stop("disk_full", self.grace_s)
            return self.step(now)
        if self.max_seconds is None and self.max_bytes is None:
            return None if room is None else now + room_look_s(room)
        if self.max_seconds is not None and self.deadline is None and self.attached:
            self.deadline = now + self.max_seconds
        size = self.relay.received if self.relay else os.fstat(self.output_fd).st_size
        if self.max_bytes is not None and size >= self.max_bytes:
            self.request_stop("max_bytes", self.grace_s)
        elif self.deadline is not None and now >= self.deadline:
            self.request_stop("max_seconds", self.grace_s)
        else:
            return now + 0.02
        return self.step(now)

    def read_stderr(self):
        """Take what strace said; False at the end of it."""
        try:
            data = os.read(self.stderr_fd, 65536)
        except BlockingIOError:
            return True
        self.stderr = (self.stderr + data)[:STDERR_KEPT]
        return bool(data)

    def close(self):
        """Let go of every descriptor."""
        for fd in (self.pidfd, self.stderr_fd, self.output_fd):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.stderr_fd = self.output_fd = -1
        if self.relay:
            self.relay.close()


def room_beyond(fd, min_free_bytes):
    """How much the file system of a file has beside what is to be left free; without end where that is not known."""
    try:
        space = os.fstatvfs(fd)
    except OSError:
        return float("inf")
    free = (space.f_bavail if os.geteuid() else space.f_bfree) * space.f_frsize
    return free - min_free_bytes if space.f_blocks > 0 else float("inf")


def room_look_s(room):
    """After how long the room that is left is to be looked at again, so that strace cannot have filled it by then."""
    return min(ROOM_LOOK_S, max(SHORTEST_LOOK_S, room / FASTEST_BYTES_A_SECOND))
