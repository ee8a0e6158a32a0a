"""Opening a gate for a tracer that does not stop its targets, or for want of one."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from straced.gating import protocol
from straced.gating.waiting import START_S, is_ready
from straced.linux import procfs

if TYPE_CHECKING:
    import subprocess


def release(pid: int) -> None:
    """Let the program run.

    Safe at any time: nothing is done to a process that is no gate, or none any more; a gate that has not come to its
    wait yet is opened when it has, by a thread that lives no longer than that may take. So is one that cannot be
    looked at now, for want of a descriptor; without a thread, too, it opens by itself when its patience is over.
    """
    if not _done(pid):
        import threading

        thread = threading.Thread(target=_open_when_ready, args=(pid,), daemon=True, name="straced-gate")
        with contextlib.suppress(RuntimeError):
            thread.start()


def shut(process: subprocess.Popen[bytes]) -> bool:
    """End a gate whose program is not to run; ``False``: the program runs already, and is not ours to end.

    A tracer of ptrace's kind opens the gate as soon as it has it, before anybody could confirm that.

    Args:
        process: our own child, which is waited for if it ended.
    """
    if process.poll() is None and not protocol.may_wait(process.pid) and process.poll() is None:
        return False
    process.kill()
    process.wait()
    return True


def _open_when_ready(pid: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and not _done(pid):
        time.sleep(0.001)


def _done(pid: int) -> bool:
    """Open it if it waits; whether there is nothing more to do."""
    try:
        if is_ready(pid):
            _open(pid)
            return True
        return not protocol.may_wait(pid)
    except OSError:
        return False


def _open(pid: int) -> None:
    """Send SIGURG, which a waiting gate handles and which does nothing to a program that does not.

    A gate that was started with it ignored or blocked has to pass both on. Its wait is ended by a stop and a continue
    (signal(7)); the other way is better, for nothing can come between the two.
    """
    import signal

    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        listens = _listens(pid, signal.SIGURG)
        if not is_ready(pid):
            return
        if listens:
            signal.pidfd_send_signal(pidfd, signal.SIGURG)
        else:
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        pass  # ended, or another user's, which opens by itself
    finally:
        os.close(pidfd)


def _listens(pid: int, number: int) -> bool:
    try:
        lines = procfs.status(pid)
        caught, blocked = int(lines["SigCgt"], 16), int(lines["SigBlk"], 16)
    except (procfs.Gone, KeyError, ValueError):
        return False
    bit = 1 << (number - 1)
    return bool(caught & bit) and not blocked & bit
