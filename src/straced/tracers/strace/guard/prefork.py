"""A process that is one execve away from being a strace.

A fork of Python, and what its child has to do before the execve, takes longer than all else that the guard does to
start a strace: of each page that the child writes to, the kernel makes a copy. So the guard is one fork ahead where it
can be. vfork(2) would not need that, but its child could not ask for PR_SET_PDEATHSIG, which only it can ask for.
"""

import _signal as signal
import _socket
import errno
import fcntl
import marshal
import os
import sys
import time

import kernel

OUTPUT_FD = 3
"""Where a strace finds its output: ``-o /proc/self/fd/3``."""
LIFELINE_FD = 4
"""The end of a pipe whose other end only the guard holds; see :func:`_die_with_guard`."""
ORDER_BYTES = 1 << 20


QUIET_S = 0.005
"""A new spare is made when no strace has attached for this long: its fork would be in the way of what comes then."""


class Spares:
    """At most one spare process at a time, and when to make the next one."""

    def __init__(self):
        self.lifeline = os.pipe2(os.O_CLOEXEC)
        self.waiting = None
        self.due = None
        """When to make the next one; ``None`` for not before the next :meth:`start`."""

    def start(self, argv, environment, stderr_fd, output_fd):
        """Make the spare a strace, or else a process that is forked now. Returns its pid and a pidfd.

        Raises:
            OSError: it could not be forked, or not be told.
        """
        spare, self.waiting = self.waiting, None
        self.due = time.monotonic() + QUIET_S
        order = argv, environment, stderr_fd, output_fd
        if spare is None or not spare.become(*order):
            spare = Spare(self.lifeline[0])
            if not spare.become(*order):
                raise ChildProcessError(errno.ECHILD, "killed")
        return spare.pid, spare.pidfd

    def postpone(self, now):
        """Something else comes first."""
        if self.due is not None:
            self.due = now + QUIET_S

    def make(self, now):
        """Make one if it is time to; whether it was made."""
        if self.due is None or now < self.due:
            return False
        self.due = None
        try:
            self.waiting = Spare(self.lifeline[0])
        except OSError:
            return False  # no process or descriptor to be had: the next strace is forked when it is asked for
        return True

    def find(self, pid):
        """The waiting one, if that is its pid."""
        return self.waiting if self.waiting and self.waiting.pid == pid else None

    def drop(self):
        """It has ended."""
        self.waiting.close()
        self.waiting = None

    def end(self):
        """Begin to end it; it has nothing to lose."""
        self.due = None
        if self.waiting:
            kernel.send(self.waiting.pidfd, signal.SIGKILL)


class Spare:
    """Forked, and waiting for :meth:`become`. It ends with the guard, and has none of its descriptors open."""

    def __init__(self, lifeline):
        self.channel, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.channel.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 2 * ORDER_BYTES)
        guard = os.getpid()
        self.pid = kernel.fork()
        if self.pid == 0:
            _wait_and_become(theirs, lifeline, guard)
        theirs.close()
        self.pidfd = os.pidfd_open(self.pid)  # if that fails, the channel goes with this object, and the child with it

    def become(self, argv, environment, stderr_fd, output_fd):
        """Make it the strace; ``pidfd`` is the caller's then. False when somebody has killed it meanwhile."""
        fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (stderr_fd, output_fd))
        try:
            order = marshal.dumps((argv, environment))
            self.channel.sendmsg([order], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
        except OSError as error:
            self.close()
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            return False
        self.channel.close()
        return True

    def close(self):
        """Let go of it: it ends when its channel does."""
        self.channel.close()
        os.close(self.pidfd)


def _wait_and_become(channel, lifeline, guard):
    """In the child: a session of its own, no terminal, default signals, and after the order five descriptors."""
    try:
        os.setsid()  # Ctrl-C and Ctrl-Z of a terminal never reach it
        kernel.reset_signals()
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # the guard itself may be killed
        channel_fd, lifeline_fd = _above(channel.fileno()), _above(_die_with_guard(lifeline))
        if os.getppid() != guard:
            os._exit(1)
        kernel.set_name(b"straced-spare")
        os.dup2(channel_fd, OUTPUT_FD)
        os.dup2(lifeline_fd, LIFELINE_FD)
        # What is held open here never ends for who reads it. 0 to 2 are /dev/null already, as they are in the guard.
        _close_all_above(LIFELINE_FD)
        channel = _socket.socket(fileno=OUTPUT_FD)
        order, ancillary, _, _ = channel.recvmsg(ORDER_BYTES, _socket.CMSG_SPACE(8), _socket.MSG_CMSG_CLOEXEC)
        if order:
            argv, environment = marshal.loads(order)
            fds = ancillary[0][2]
            stderr_fd, output_fd = (int.from_bytes(fds[at : at + 4], sys.byteorder) for at in (0, 4))
            os.dup2(stderr_fd, 2)
            os.dup2(output_fd, OUTPUT_FD)
            os.execve(argv[0], argv, environment)
    except BaseException:
        pass
    os._exit(127)


def _die_with_guard(lifeline):
    """Have the kernel kill this whole process group when nobody holds the other end of the pipe any more.

    PR_SET_PDEATHSIG ends the strace alone. The children by which it tests ptrace when it starts have none, and would
    stay behind, frozen, when the guard and the owner, who sweep them away, are both killed in that moment.
    """
    fd = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK)  # anew: who is signalled goes by the opening
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    return fd


def _above(fd):
    """A copy of ``fd`` above the numbers that are given out, so that none is in the way of another."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _close_all_above(number):
    for name in os.listdir("/proc/self/fd"):
        if int(name) > number:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that the listing was read from
