"""Whether a call of a manager may begin; if not, why, for :meth:`StraceManager.last_error` and in the log."""

from __future__ import annotations

from straced.concurrency.ownership import OwnerBinding
from straced.errors import NoResources, StracedError, StraceMissing
from straced.linux import procfs
from straced.manager import log_events
from straced.manager.last_errors import LastErrors
from straced.tracers.strace import binary


class Admission:
    """Refuses without doing anything.

    Args:
        owner: whose the manager is.
        enabled: whether anything may be attached to.
        errors: is told why not.
    """

    def __init__(self, owner: OwnerBinding, enabled: bool, errors: LastErrors) -> None:
        self._owner = owner
        self.enabled = enabled
        self._errors = errors

    def may_use(self, pid: int) -> bool:
        """Whether this process and loop may use the manager."""
        try:
            self._owner.enter()
        except StracedError as error:
            self._errors[pid] = error
            return False
        return True

    def may_start(self, kind: str, pid: int) -> bool:
        """Whether a trace may be started: ``summary`` or ``full``."""
        suffix = "_full" if kind == "full" else ""
        if not self.may_use(pid):
            return False
        if not self.enabled:
            log_events.debug("strace_disabled" + suffix, pid=pid)
            self._errors[pid] = StracedError("straced is disabled", pid=pid)
            return False
        try:
            binary.find()
        except NoResources as error:
            self._errors[pid] = error
            log_events.refusal(kind, pid, error)
            return False
        except (StraceMissing, OSError) as found:
            missing = found if isinstance(found, StraceMissing) else StraceMissing(str(found), pid=pid)
            self._errors[pid] = missing
            log_events.warning("strace_not_available" + suffix, pid=pid, error=missing.reason)
            return False
        return True


def is_available() -> bool:
    """Whether there is a usable strace on PATH, looked up now."""
    try:
        binary.find()
    except NoResources:
        return True  # it is there, and could not be asked what it is now
    except (StraceMissing, OSError):
        return False
    return True


def process_of(pid: int) -> int:
    """The process that the id of a thread means, which is said; any other number as it is."""
    try:
        process = int(procfs.status(pid).get("Tgid", pid)) if isinstance(pid, int) and pid > 0 else pid
    except (procfs.Gone, OSError):
        return pid
    if process != pid:
        log_events.info("strace_thread_of_process", tid=pid, pid=process)
    return process
