"""What ``straced why`` says of a process that is stuck, asked with the rights of its owner, in a process of its own.

A process of its own, since a look at all descriptors of the host must not hold up the collector; and the owner's
rights, since the alert is shown to the owner.
"""

from __future__ import annotations

import asyncio
import os
import sys

from straced.concurrency import children
from straced.concurrency.shielding import carry
from straced.linux import procfs
from straced.model.owner import Owner
from straced.text.sanitize import scrub

LIMIT_S = 30.0
WATCH = "1s"
MAX_CHARS = 4000


async def verdict_on(pid: int, owner: Owner | None, tracer: str = "auto") -> str:
    """The answer of ``straced why``; its first line is the sentence. Empty when there is none in time.

    Args:
        pid: the process or thread that is stuck.
        owner: with whose rights it is looked at.
        tracer: what may count it: ``auto``, or ``none`` for /proc alone.
    """
    identity = _as_owner(owner)
    if identity is None:
        return ""
    argv = [*identity, sys.executable, "-m", "straced", "why", str(pid), "-d", WATCH, "--tracer", tracer]
    package = os.path.dirname(os.path.dirname(sys.modules["straced"].__file__ or ""))
    try:
        process = await children.start(
            argv,
            {
                "stdin": asyncio.subprocess.DEVNULL,
                "stdout": asyncio.subprocess.PIPE,
                "stderr": asyncio.subprocess.DEVNULL,
                "start_new_session": True,
                "cwd": "/",
                "env": {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": package, "NO_COLOR": "1"},
            },
        )
    except OSError:
        return ""
    output = b""
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            await carry(children.end(process))
    lines = output.decode("utf-8", "replace").splitlines()
    return "\n".join(scrub(line, 500) for line in lines)[:MAX_CHARS]


def _as_owner(owner: Owner | None) -> list[str] | None:
    """Words before a command that give it the owner's rights, or ``None``; few where only root sees the process."""
    if os.geteuid() != 0 or owner is None or owner.private or owner.uid == 0:
        return []
    setpriv = procfs.find_executable("setpriv")
    if setpriv is None:
        return None
    words = [f"--reuid={owner.uid}", f"--regid={owner.gid}", "--clear-groups", "--pdeathsig=KILL", "--"]
    return [str(setpriv), *words]
