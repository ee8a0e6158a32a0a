"""Whether threads that do not run are stuck: ``why`` is asked, of many at once, in a process of its own.

That is this module, run with pairs of numbers: it looks at all descriptors of the host, which must not hold up the
collector. What it says of a thread holds until that thread runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from straced.concurrency import children
from straced.concurrency.shielding import carry

if TYPE_CHECKING:
    from straced.waits.model import Why

LIMIT_S = 60.0
WINDOW_NS = 10**9
MOST = 500
"""Threads that are asked about at once; others wait."""
OFTEN_NS = 10**9
JAVA, JAVA_S = "--java", 20.0
Key = tuple[int, int]


class Suspect(Struct, frozen=True):
    """A thread that has not run for long."""

    key: Key
    """Pid and start time of its process."""
    tid: int
    since_ns: int
    alone: bool
    """No thread of its process runs, or waits for work."""


class Stuck(Struct, frozen=True, kw_only=True):
    """A thread that is stuck, as ``why`` has it."""

    key: Key
    tid: int
    comm: str
    deadlock: bool
    whole: bool
    """It stands for its process."""


class Inquiry:
    """Asks about suspects, once for as long as they stand still, and remembers the answers."""

    def __init__(self) -> None:
        self._asked: dict[tuple[Key, int, int], None] = {}
        self._stuck: dict[Key, list[Stuck]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._next_ns = 0

    @property
    def has_confirmed(self) -> bool:
        """Whether any thread is stuck."""
        return bool(self._stuck)

    def confirmed(self, key: Key) -> list[Stuck]:
        """The threads of a process that are stuck."""
        return self._stuck.get(key, [])

    def take(self, suspects: list[Suspect], limit_ns: int, *, java: bool = False) -> None:
        """Ask about those who are new, unless others are asked about, or were a moment ago.

        Args:
            suspects: all there are now.
            limit_ns: after which time a thread is one.
            java: ask virtual machines, too.
        """
        now = {(each.key, each.tid, each.since_ns): each for each in suspects}
        self._asked = {key: None for key in self._asked if key in now}
        alive = {(each.key, each.tid) for each in suspects}
        kept = {key: [each for each in found if (key, each.tid) in alive] for key, found in self._stuck.items()}
        self._stuck = {key: found for key, found in kept.items() if found}
        new = [each for key, each in now.items() if key not in self._asked][:MOST]
        if new and self._asking is None and time.monotonic_ns() >= self._next_ns:
            self._next_ns = time.monotonic_ns() + max(limit_ns // 10, OFTEN_NS)
            self._asking = asyncio.create_task(self._ask(new, java=java))

    async def _ask(self, suspects: list[Suspect], *, java: bool) -> None:
        try:
            found = await _answers(suspects, java=java)
            for suspect in suspects:
                self._asked[suspect.key, suspect.tid, suspect.since_ns] = None
            for key in {each.key for each in suspects}:
                fresh = [each for each in found if each.key == key]
                known = [each for each in self._stuck.get(key, []) if each.tid not in {one.tid for one in fresh}]
                self._stuck[key] = _first_of_whole([*known, *fresh])
        finally:
            self._asking = None

    def close(self) -> None:
        """End what is asked now."""
        if self._asking is not None:
            self._asking.cancel()


def _first_of_whole(found: list[Stuck]) -> list[Stuck]:
    """Of a process that stands still as a whole one thread is enough: one in a deadlock, else the first."""
    whole = sorted((each for each in found if each.whole), key=lambda each: (not each.deadlock, each.tid))
    return [*whole[:1], *(each for each in found if not each.whole)]


async def _answers(suspects: Iterable[Suspect], *, java: bool) -> list[Stuck]:
    words = [f"{each.key[0]}.{each.key[1]}/{each.tid}/{int(each.alone)}" for each in suspects]
    package = os.path.dirname(os.path.dirname(sys.modules["straced"].__file__ or ""))
    quiet = {"stdin": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL, "start_new_session": True}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": package}
    options = {**quiet, "stdout": asyncio.subprocess.PIPE, "cwd": "/", "env": environment}
    try:
        process = await children.start([sys.executable, "-m", __name__, *([JAVA] if java else []), *words], options)
    except OSError:
        return []
    output = b""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            await carry(children.end(process))
    try:
        return msgspec.json.decode(output, type=list[Stuck])
    except msgspec.DecodeError:
        return []


def main() -> None:
    """Look at the threads that are named, and print those that are stuck."""
    from straced.waits.threads import stuck_threads

    os.nice(5)
    wanted = []
    for word in filter(lambda word: word != JAVA, sys.argv[1:]):
        process, tid, alone = word.split("/")
        pid, start = process.split(".")
        wanted.append(Suspect((int(pid), int(start)), int(tid), 0, alone == "1"))
    keys = {(each.key[0], each.tid): each for each in wanted}
    found = []
    for why in stuck_threads(WINDOW_NS, keys):
        assert why.chain is not None
        task, suspect = why.chain.task, keys[why.chain.task.pid, why.chain.task.tid]
        if why.start_ticks == suspect.key[1] and _is_worth_it(why, suspect):
            stuck = Stuck(key=suspect.key, tid=task.tid, comm=task.comm, deadlock=why.deadlock, whole=suspect.alone)
            found.append(stuck)
    if JAVA in sys.argv:
        by_java = _known_to_java(keys.values())
        theirs = {(each.key, each.tid) for each in by_java}
        found = [*(each for each in found if (each.key, each.tid) not in theirs), *by_java]
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _known_to_java(suspects: Iterable[Suspect]) -> list[Stuck]:
    """The threads in deadlocks that virtual machines know, also those who were asked about before there was one.

    Where their sockets are is a file system of theirs, which may let us wait: what is not known in time is left out.
    """
    found: list[Stuck] = []
    alone = {each.key: each.alone for each in suspects}
    asking = threading.Thread(target=lambda: found.extend(_asked_of_java(alone)), daemon=True)
    asking.start()
    asking.join(JAVA_S)
    return list(found)


def _asked_of_java(alone: Mapping[Key, bool]) -> Iterator[Stuck]:
    from straced.linux import procfs
    from straced.waits import hotspot

    for key, whole in alone.items():
        pid, start = key
        for tid in hotspot.deadlocked(pid) or ():
            with contextlib.suppress(procfs.Gone, OSError):
                comm = procfs.stat(f"{pid}/task/{tid}").comm
                if procfs.stat(pid).start_ticks == start:
                    yield Stuck(key=key, tid=tid, comm=comm, deadlock=True, whole=whole)


def _is_worth_it(why: Why, suspect: Suspect) -> bool:
    """Whether a stuck thread is none of a pool that rests: those wait on futexes, or for who takes the next request."""
    from straced.waits.classify.kinds import SUSPECT

    if why.chain is None or all(root.end == "idle" for root in why.roots):
        return False
    return why.deadlock or suspect.alone or why.chain.task.wait.kind in SUSPECT


if __name__ == "__main__":
    main()
