"""Who gets no signal from the screen: the first process, and those that straced itself lives by."""

from __future__ import annotations

import os
from collections.abc import Collection

from straced.errors import OwnProcess, ProtectedTarget, StracedError
from straced.linux import procfs


def spared(pid: int, helpers: Collection[int] = ()) -> StracedError | None:
    """Say why a process gets no signal from here, whatever the user may do; ``None``: it may get one.

    Args:
        pid: the process.
        helpers: processes of straced: guards and tracers.
    """
    me, hint = os.getpid(), "use kill(1) from another terminal if you must"
    if pid == 1:
        return ProtectedTarget("1 is the first process: everything else depends on it", hint=hint, pid=pid)
    if pid == me:
        return OwnProcess("that is straced itself", hint="q quits", pid=pid)
    if pid in helpers:
        return OwnProcess(f"{pid} is a helper of straced: its target could be left stopped", hint="q quits", pid=pid)
    if pid in procfs.ancestors(me):
        return OwnProcess(f"straced runs below {pid}: this screen would end with it", hint=hint, pid=pid)
    return None
