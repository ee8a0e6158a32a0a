"""What a process holds: descriptors, tasks, helpers; and how its target is. Compared before and after a call."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import time
from collections import Counter

from tests.support import proc

PATIENCE_S = 10.0


def descriptors() -> Counter[str]:
    """Open descriptors by kind; programs, links and maps of eBPF are descriptors too."""
    return Counter(re.sub(r"\d+|/dev/pts.*", "", what) for what in proc.fds().values() if not what.endswith("/fd"))


def children() -> dict[int, str]:
    """Children that are no guard, zombies included."""
    lines = {pid: " ".join(proc.cmdline(pid))[:200] for pid in _children()}
    return {pid: line for pid, line in lines.items() if "/guard/" not in line}


def helpers() -> int:
    """Straces at work below the guards; not the spare, nor the one that measures what a call costs."""
    return sum("-p" in proc.cmdline(pid) for child in _children() for pid in _children(child))


def _children(pid: int | None = None) -> list[int]:
    try:
        with open(f"/proc/{pid or os.getpid()}/task/{pid or os.getpid()}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def tasks() -> list[str]:
    """Other asyncio tasks of this loop."""
    return sorted(repr(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task())


class Held:
    """A moment. Descriptors that only rubbish holds are not held."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.descriptors = descriptors()
        self.tasks = len(tasks())
        self.children = children()
        self.helpers = helpers()
        self.state = proc.state(target)
        self.tracer = proc.tracer(target)

    def more_than(self, before: Held) -> list[str]:
        """What is held now and was not then."""
        found = [f"{count} x {what}" for what, count in (self.descriptors - before.descriptors).items()]
        found += [f"task: {each}" for each in tasks()] if self.tasks > before.tasks else []
        found += [f"child {pid}: {line}" for pid, line in self.children.items() if pid not in before.children]
        found += [f"straces: {self.helpers}"] if self.helpers > before.helpers else []
        if self.state in "TtZ" and not self.tracer and self.state != before.state:
            found.append(f"the target is in {self.state}, was in {before.state}")
        return found + ([f"the target is traced by {self.tracer}"] if self.tracer and not before.tracer else [])


async def settles_to(before: Held, what: str) -> None:
    """Fail unless no more is held than before, soon."""
    began = time.monotonic()
    while found := Held(before.target).more_than(before):
        if time.monotonic() - began > PATIENCE_S:
            raise AssertionError(f"{what} leaves:\n  " + "\n  ".join(found))
        if time.monotonic() - began > 1:
            gc.collect()
        await asyncio.sleep(0.002)
