"""Programs that a coroutine starts for its caller, and ends when the caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from straced.concurrency.shielding import carry


async def start(argv: Sequence[str | os.PathLike[str]], popen_options: Mapping[str, Any]) -> asyncio.subprocess.Process:
    """Start a program; when that is cancelled, end and reap it."""
    return await carry(asyncio.create_subprocess_exec(*argv, **popen_options), end)


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill and reap a program, as ``asyncio.create_subprocess_exec`` does when it is cancelled."""
    _kill(process)
    await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    """``process.kill()`` takes the wait status of one that has just ended, and asyncio is left without it."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        try:
            pidfd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return
        except OSError:  # no descriptor left
            process.kill()
            return
        try:
            if (
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            ):  # else it is no child of ours
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
