"""The exception tree. Each class carries a reason, what to do next, and an exit status.

Decisions are made on these types and on errno, never on the text of a message.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator


class StracedError(Exception):
    """Base of all errors that straced raises on purpose.

    Attributes:
        reason: what is wrong, one sentence without a full stop.
        hint: what to type or do next, or ``""``.
        pid: the target concerned, or ``None``.
    """

    exit_code = 1
    code = "error"

    def __init__(self, reason: str, *, hint: str = "", pid: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.pid = pid


class InvalidArgument(StracedError):
    """A value that no process or kernel was asked about, because it cannot be right."""

    exit_code = 2
    code = "invalid_argument"


class ForkedCopy(InvalidArgument):
    """A manager or profiler that was used before a fork belongs to the parent; the child makes one of its own."""

    code = "forked_copy"

    def __init__(self, what: str, owner: int) -> None:
        super().__init__(
            f"this {what} is a copy, and belongs to process {owner}", hint=f"make a new {what} after the fork"
        )


class AmbiguousTarget(InvalidArgument):
    """A name that several processes have; ``candidates`` are their pids."""

    code = "ambiguous"

    def __init__(self, reason: str, *, candidates: tuple[int, ...] = (), hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.candidates = candidates


class NoEventLoop(StracedError):
    """No asyncio event loop runs here (under trio, say), or the object is used by another one that runs."""

    exit_code = 2
    code = "no_event_loop"


# --- tracers that cannot serve ------------------------------------------------------------------------


class TracerUnavailable(StracedError):
    """No usable tracer, or the one asked for cannot serve here."""

    exit_code = 5
    code = "tracer_unavailable"


class NoResources(TracerUnavailable):
    """The machine, or a limit of this process, has no more descriptors, processes or memory; ``errno`` says which."""

    code = "resources"

    def __init__(self, errno: int, *, pid: int | None = None) -> None:
        reason, hint = _LACKING.get(errno, (os.strerror(errno), ""))
        super().__init__(reason, hint=hint, pid=pid)
        self.errno = errno


@contextlib.contextmanager
def resources(pid: int | None = None) -> Iterator[None]:
    """Raise :class:`NoResources` for an error of the system that says so, whatever needed what is lacking."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        raise NoResources(error.errno, pid=pid) from error


def remedy(number: int | None) -> str:
    """What to raise when the system says that it has no more of something; ``""`` for any other errno."""
    return _LACKING.get(number or 0, ("", ""))[1]


_LACKING = {
    errno.EMFILE: (
        "this process has no file descriptors left",
        "raise its limit: ulimit -n, or LimitNOFILE= of its unit",
    ),
    errno.ENFILE: ("the machine has no file descriptors left", "raise the sysctl fs.file-max"),
    errno.EAGAIN: (
        "no further process or thread can be started",
        "raise the limit: ulimit -u, or TasksMax= of its unit",
    ),
    errno.ENOMEM: ("there is no memory left", "raise the memory limit of this process or its cgroup"),
}


class StraceMissing(TracerUnavailable):
    """No executable strace on PATH, or one too old to be of use."""

    code = "strace_missing"


class StraceRequired(TracerUnavailable):
    """Only ptrace could serve, and it was not asked for by name."""

    code = "strace_required"


class NotLive(TracerUnavailable):
    """The tracer of this session gives no figures before it is detached."""

    code = "not_live"


class TracerCrashed(StracedError):
    """The tracer died by itself; ``signal`` says of what."""

    exit_code = 5
    code = "tracer_crashed"

    def __init__(self, reason: str, *, signal: int = 0, hint: str = "", pid: int | None = None) -> None:
        super().__init__(reason, hint=hint, pid=pid)
        self.signal = signal


# --- attaching ----------------------------------------------------------------------------------------


class AttachError(StracedError):
    """The target could not be attached to. It goes on running, untraced."""

    exit_code = 4
    code = "attach_failed"


class NoSuchProcess(AttachError):
    """Gone, or never there."""

    exit_code = 3
    code = "gone"


class TargetIsZombie(AttachError):
    """Ended, and not yet waited for by its parent: there is nothing left to trace."""

    exit_code = 3
    code = "zombie"


class NotPermitted(AttachError):
    """Another user's process; ``uid`` is whose, where that is the reason."""

    code = "uid"

    def __init__(self, reason: str, *, uid: int | None = None, hint: str = "", pid: int | None = None) -> None:
        super().__init__(reason, hint=hint, pid=pid)
        self.uid = uid


class NotDumpable(AttachError):
    """Same user, but the process set PR_SET_DUMPABLE to 0, or gained privileges by exec."""

    code = "not_dumpable"


class MissingCapability(AttachError):
    """Root in name, without CAP_SYS_PTRACE."""

    code = "capability"


class YamaScope(AttachError):
    """Yama forbids it; ``scope`` is its kernel.yama.ptrace_scope, 1 to 3."""

    code = "yama"

    def __init__(self, scope: int, reason: str, *, hint: str = "", pid: int | None = None) -> None:
        super().__init__(reason, hint=hint, pid=pid)
        self.scope = scope


class PtraceBlocked(AttachError):
    """A seccomp filter (a container's, as a rule) refuses ptrace(2)."""

    code = "seccomp"


class AlreadyTraced(AttachError):
    """The kernel allows one tracer a process, and there is one; ``tracer_pid`` names it."""

    code = "already_traced"

    def __init__(self, tracer_pid: int, reason: str, *, hint: str = "", pid: int | None = None) -> None:
        super().__init__(reason, hint=hint, pid=pid)
        self.tracer_pid = tracer_pid


class KernelThread(AttachError):
    """Kernel threads make no system calls and cannot be traced."""

    code = "kernel_thread"


class OwnProcess(AttachError):
    """straced itself, one of its helpers, one of its ancestors, or another tracer."""

    exit_code = 2
    code = "own_process"


class ProtectedTarget(AttachError):
    """The host's pid 1: refused unless forced."""

    code = "protected"


class FrozenTarget(AttachError):
    """Frozen by its cgroup: a tracer could neither read it nor let go of it until it is thawed."""

    code = "frozen"


class UninterruptibleTarget(AttachError):
    """In state D, waiting for a device, a frozen file system or a vfork child: a tracer could not let go of it."""

    code = "uninterruptible"


class AttachTimeout(AttachError):
    """The kernel did not confirm the attachment in time."""

    code = "timeout"


class TooManyTasks(AttachError):
    """More threads and processes than a full trace may have; they can be counted."""

    code = "tasks"


# --- full traces and programs -------------------------------------------------------------------------


class OutputError(StracedError):
    """The file to write cannot be written."""

    exit_code = 2
    code = "output"


class OutputExists(OutputError):
    """There is a file already, and nobody said that it may be replaced."""

    code = "output_exists"


class ExecFailed(StracedError):
    """The command cannot be started; ``errno`` says why."""

    exit_code = 126
    code = "exec_failed"

    def __init__(self, errno: int, reason: str, *, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.errno = errno


class CommandNotFound(ExecFailed):
    """No such command on PATH."""

    exit_code = 127
    code = "command_not_found"


class ServiceUnreachable(StracedError):
    """No straced service answers."""

    exit_code = 6
    code = "service_unreachable"
