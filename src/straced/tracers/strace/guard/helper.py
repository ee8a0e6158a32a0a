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
"""How often a trace that has no other limit looks at the room that is left: strace writes some MB in that time."""


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
        if self.relay is None and (
            (self.stderr and lacks_room(self.output_fd, 0))
            or (self.min_free_bytes is not None and lacks_room(self.output_fd, self.min_free_bytes))
        ):
            self.request_stop("disk_full", self.grace_s)
            return self.step(now)
        if self.max_seconds is None and self.max_bytes is None:
            return None if self.min_free_bytes is None else now + ROOM_LOOK_S
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


def lacks_room(fd, min_free_bytes):
    """Whether no more room than that is left on the file system of a file."""
    try:
        space = os.fstatvfs(fd)
    except OSError:
        return False
    free = (space.f_bavail if os.geteuid() else space.f_bfree) * space.f_frsize
    return space.f_blocks > 0 and free <= min_free_bytes
