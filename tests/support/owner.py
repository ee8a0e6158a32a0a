"""Owners of straced in a process of their own: to be killed, forked, or run under another loop or user."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path
from typing import Any

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
    """An environment in which the straced under test can be imported."""
    import straced

    source = str(Path(straced.__file__).parent.parent)
    return {"PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"}


def argv(code: str) -> list[str]:
    """The command line of an owner that runs ``code`` (``await`` is allowed inside its own ``main``)."""
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(code)]


def start_owner(
    start: Starter, code: str, *, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None, **options: Any
) -> Workload:
    """Start an owner; it talks over the same channel as a workload."""
    return start.program([*prefix, *argv(code)], ready=False, env={**environment(), **(env or {})}, **options)


def unprivileged() -> tuple[str, ...]:
    """The words that run a command as nobody; ``setpriv`` must be there, and root."""
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def path_of(program: str) -> str:
    """Where a system program lies, for an environment with another PATH."""
    import shutil

    found = shutil.which(program)
    assert found, program
    return os.path.abspath(found)
