"""The servers that a run of scenarios shares, and the scenarios themselves by name.

A server is started when the first scenario asks for it, listens on a loopback address that this run alone uses, runs
as an unprivileged user where root starts it and it refuses that, and is ended by its pid.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from field_judge import Truth
from msgspec import Struct
from tests.support.servers import server_program
from why_world import World

from straced.linux import procfs

Made = TypeVar("Made")
_LEAVES_S = 20.0


class Field:
    """The servers of one run; leaving it ends them and removes their files."""

    def __init__(self, programs: Path = Path("/nonexistent")) -> None:
        self._stack = contextlib.ExitStack()
        self._made: dict[object, object] = {}
        self._programs = programs
        self.host = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        """An address of this run's own: a port that is free on it stays free."""

    def __enter__(self) -> Field:
        # Others than root enter it, and the name of a unix socket has room for 107 bytes.
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="straced-field-")))
        self.directory.chmod(0o755)
        self.world = self._stack.enter_context(World(self.directory, self._programs))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def shared(self, make: Callable[[Field], Made]) -> Made:
        """What ``make(field)`` returns, made once a run."""
        if make not in self._made:
            self._made[make] = make(self)
        found: Made = self._made[make]  # type: ignore[assignment]
        return found

    def place(self, name: str, user: str | None = None) -> Path:
        """A new directory for a server's files."""
        path = self.directory / f"{name}-{len(self._made)}-{random.randrange(10**6)}"
        path.mkdir()
        if user is not None:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        return path

    def port(self) -> int:
        with socket.create_server((self.host, 0)) as free:
            return int(free.getsockname()[1])

    def server(self, *argv: str, stop: int = signal.SIGTERM, **options: object) -> int:
        """Start a server; at the end it is asked to leave, and killed with its children if it does not."""
        role = self.world.command(*argv, **options)
        self.world.cleanup(_leave, role.process, stop)
        return role.pid

    def connects(self, port: int) -> bool:
        """Whether somebody listens there."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, port), 5):
            return True
        return False


def _leave(process: subprocess.Popen[bytes], stop: int) -> None:
    """A server that was stopped by a scenario goes on first."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
        process.send_signal(stop)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LEAVES_S)


def program(name: str) -> str:
    """The path of a server's program, which must be there."""
    found = server_program(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


def unprivileged(*names: str) -> str | None:
    """A user for a server that refuses to run as root; ``None`` when this is not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in (*names, "nobody") if name in known), None)


def as_user(name: str | None) -> dict[str, object]:
    """The options of Popen that start a program as another user."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": [pwd.getpwnam(name).pw_gid]}


def title(pid: int) -> str:
    """What a process calls itself in its command line."""
    try:
        return " ".join(procfs.cmdline(pid))
    except (procfs.Gone, OSError):
        return ""


Stage = Callable[[Field, World], "Truth | list[Truth]"]


class Scenario(Struct, frozen=True, kw_only=True):
    """One situation of a real server."""

    name: str
    needs: tuple[str, ...]
    stage: Stage
    in_suite: bool
    """Run once in ``make test``; ``make field`` runs all."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(*needs: str, in_suite: bool = True) -> Callable[[Stage], Stage]:
    """Register a function as a scenario; ``needs`` are names of tests/support/needs.py."""

    def register(stage: Stage) -> Stage:
        name = stage.__name__
        SCENARIOS[name] = Scenario(name=name, needs=needs, stage=stage, in_suite=in_suite)
        return stage

    return register
