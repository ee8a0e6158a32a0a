"""Owners of straced in a process of their own: to be killed, forked, or run under another loop or user."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from tests.support.needs import unavailable
from tests.support.workload import Starter, Workload

ROOT = Path(__file__).parent.parent.parent
PRELUDE = """
import asyncio, os, signal, socket, sys, threading, time
from pathlib import Path
_channel = socket.socket(fileno=int(os.environ["GT_FD"]))
_channel.set_inheritable(False)
def say(*words):
    _channel.sendall((" ".join(map(str, words)) + "\\n").encode())
def hear():
    return _channel.recv(1)
async def ahear():
    return await asyncio.to_thread(hear)
def ready():
    say("ready", os.getpid()); hear()
from straced import ProcessGroupManager, Profiler, StraceManager, errors, gate
"""


def environment() -> dict[str, str]:
    """An environment in which the straced under test, and what it needs, can be imported by any Python."""
    import msgspec

    import straced

    folders = [Path(module.__file__ or "").parent.parent for module in (straced, msgspec)]
    return {"PYTHONPATH": os.pathsep.join(map(str, folders)), "PYTHONDONTWRITEBYTECODE": "1"}


def argv(code: str, python: str = sys.executable) -> list[str]:
    """The command line of an owner that runs ``code`` (``await`` is allowed inside its own ``main``)."""
    return [python, "-c", PRELUDE + textwrap.dedent(code)]


def start_owner(
    start: Starter, code: str, *, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None, **options: Any
) -> Workload:
    """Start an owner; it talks over the same channel as a workload."""
    python = python_of_nobody() if any(word.startswith("--reuid=") for word in prefix) else sys.executable
    return start.program([*prefix, *argv(code, python)], ready=False, env={**environment(), **(env or {})}, **options)


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
"""The words that run a command as nobody; ``setpriv`` must be there, and root."""


@functools.cache
def python_of_nobody() -> str:
    """A Python that nobody can run and that can import straced (root's own may lie below /root)."""
    code = "import os, sys, straced, straced.model.types; sys.exit(not os.access(sys.executable, os.X_OK))"
    for python in (sys.executable, os.path.realpath(sys.executable), "/usr/bin/python3"):
        result = subprocess.run([*NOBODY, python, "-c", code], env=environment(), capture_output=True, cwd="/")
        if result.returncode == 0:
            return python
    return unavailable("nobody", "no Python that another user can run can read this source tree")
