"""What a task is called in another PID namespace: numbers in arguments and memory are those of pid_namespaces(7).

``NSpid`` of /proc/PID/status lists the numbers of a task from the namespace of this /proc down to its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from straced.linux.procfs import Gone
from straced.waits.facts.snapshot import ProcSnapshot


def is_nested(look: ProcSnapshot, pid: int) -> bool:
    """Whether a process counts its processes in another way than this /proc does."""
    return len(_numbers(look, pid, "NSpid")) > 1


def number_in(look: ProcSnapshot, observer: int, pid: int, line: str = "NSpid") -> int | None:
    """What ``observer`` calls a process (or, by ``NSpgid``, its group); ``None`` when it cannot see it.

    Only of processes of one family: that two namespaces lie equally deep does not make them the same.
    """
    level = max(len(_numbers(look, observer, "NSpid")), 1)
    numbers = _numbers(look, pid, line)
    return int(numbers[level - 1]) if len(numbers) >= level else None


def called(look: ProcSnapshot, observer: int, number: int, among: Iterable[int]) -> int | None:
    """The process, of some, that ``observer`` calls ``number``."""
    return next((pid for pid in among if number_in(look, observer, pid) == number), None)


def own_number(look: ProcSnapshot, pid: int, tid: int) -> int:
    """What a thread calls itself, gettid(2)."""
    if not is_nested(look, pid):
        return tid

    def make() -> int:
        for line in (look.proc.optional(pid, "status", tid) or b"").split(b"\n"):
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
        return tid

    return look.proc.cached("own number", tid, make)


def thread_called(look: ProcSnapshot, pid: int, number: int) -> int | None:
    """The thread of a process that calls itself ``number``."""
    try:
        return next((tid for tid in look.tasks(pid) if own_number(look, pid, tid) == number), None)
    except (Gone, OSError):
        return None


def _numbers(look: ProcSnapshot, pid: int, line: str) -> list[str]:
    return look.proc.status(pid).get(line, "").split()
