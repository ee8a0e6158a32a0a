"""One look at /proc: cached reads that turn a refusal into ``None`` and remember it.

A look is short; everything it reads belongs to one moment. What races is read twice by the callers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from straced.linux import procfs
from straced.linux.procfs import Gone, Stat

T = TypeVar("T")
_OWNED = frozenset({"fd", "fdinfo", "mem", "maps", "auxv", "mountinfo", "ns"})

_EVERY_CALL = (b"do_syscall_64", b"entry_SYSCALL", b"__x64_sys_", b"el0", b"invoke_syscall", b"do_el0")
"""Functions at the bottom of every stack, which say nothing."""


class RawTask(Struct, frozen=True, kw_only=True):
    """A task as /proc shows it, before anybody has thought about it."""

    pid: int
    tid: int
    stat: Stat
    number: int | None = None
    """The system call it is in; -1 when it sleeps outside one (page fault), ``None`` when running or not readable."""
    args: tuple[int, ...] = ()
    readable: bool = False
    """/proc/PID/task/TID/syscall could be read."""
    run_ns: int | None = None
    """CPU time, from schedstat."""
    slices: int | None = None
    """How often it was put on a CPU; unchanged between two reads means that it did not run in between."""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.tid

    @property
    def state(self) -> str:
        return self.stat.state


class ProcReader:
    """Reads below ``root``; ``refused`` collects (pid, what) that the kernel did not let us read."""

    def __init__(self, root: str = procfs.ROOT, cgroup_root: str = "/sys/fs/cgroup") -> None:
        self.root = root
        self.cgroup_root = cgroup_root
        self.refused: dict[int, set[str]] = {}
        self._cache: dict[tuple[str, int], object] = {}

    def cached(self, what: str, key: int, make: Callable[[], T]) -> T:
        """``make()`` once for each (what, key) of this look."""
        slot = (what, key)
        if slot not in self._cache:
            self._cache[slot] = make()
        found: T = self._cache[slot]  # type: ignore[assignment]
        return found

    def read(self, pid: int, path: str, tid: int | None = None) -> bytes | None:
        """A file of a process (or of one thread); ``None`` when refused.

        Raises:
            Gone: the task ended.
        """
        where = f"{self.where(pid, path)}/{path}" if tid is None else f"{pid}/task/{tid}/{path}"
        try:
            return procfs.read(where, self.root)
        except OSError:
            self.refused.setdefault(pid, set()).add(path.partition("/")[0])
            return None

    def where(self, pid: int, path: str) -> str:
        """The directory that shows what a process owns: a living thread's when the leader has ended."""
        if path.partition("/")[0] not in _OWNED:
            return str(pid)
        return self.cached("where", pid, lambda: self._where(pid))

    def _where(self, pid: int) -> str:
        try:
            if self.stat(pid).state == "Z":
                for tid in self.tasks(pid):
                    if self.stat(pid, tid).state not in "ZX":
                        return f"{pid}/task/{tid}"
        except (Gone, OSError):
            pass
        return str(pid)

    def optional(self, pid: int, path: str, tid: int | None = None) -> bytes | None:
        """As :meth:`read`, for files that not every kernel has: absence is ``None`` too."""
        try:
            return self.read(pid, path, tid)
        except Gone:
            return None

    def stat(self, pid: int, tid: int | None = None) -> Stat:
        return procfs.stat(pid if tid is None else f"{pid}/task/{tid}", self.root)

    def tasks(self, pid: int) -> list[int]:
        """Thread ids, the leader first.

        Raises:
            Gone: no such process.
        """
        try:
            return sorted(procfs.tasks(pid, self.root), key=lambda tid: (tid != pid, tid))
        except PermissionError:  # hidepid
            self.refused.setdefault(pid, set()).add("task")
            return [pid]

    def status(self, pid: int) -> dict[str, str]:
        """/proc/PID/status, empty when it cannot be read any more."""

        def make() -> dict[str, str]:
            try:
                return procfs.status(pid, self.root)
            except (Gone, OSError):
                return {}

        return self.cached("status", pid, make)

    @property
    def hides_strangers(self) -> bool:
        """Whether other users' processes do not show at all: hidepid of proc(5). Each PID namespace has a first one."""
        return self.root == procfs.ROOT and not os.path.exists(f"{self.root}/1")

    def uid(self, pid: int) -> int | None:
        words = self.status(pid).get("Uid", "").split()
        return int(words[0]) if words else None

    def link(self, pid: int, path: str) -> bytes | None:
        """Where a link of /proc/PID points, unscrubbed; ``None`` when refused or gone."""
        try:
            return os.readlink(os.fsencode(f"{self.root}/{self.where(pid, path)}/{path}"))
        except FileNotFoundError:
            return None
        except OSError:
            self.refused.setdefault(pid, set()).add(path.partition("/")[0])
            return None

    def link_self(self, path: str) -> bytes | None:
        """A link of our own process, whatever ``root`` is."""
        return os.readlink(os.fsencode(f"/proc/self/{path}"))

    def counters(self, pid: int, tid: int) -> tuple[int, int, int] | None:
        """(CPU ns, times put on a CPU, ns ready without one) of a task, from schedstat; ``None`` where there is none.

        Raises:
            Gone: the task ended.
        """
        data = self.read(pid, "schedstat", tid)
        words = data.split() if data else []
        return (int(words[0]), int(words[2]), int(words[1])) if len(words) == 3 else None

    def task(self, pid: int, tid: int, attempts: int = 3) -> RawTask:
        """Read a task so that all its parts belong together, as far as it holds still for that.

        Raises:
            Gone: the task ended.
        """
        for _ in range(attempts):
            before = self.counters(pid, tid)
            facts = self.stat(pid, tid)
            number, args, readable = self._syscall(pid, tid, facts)
            after = self.counters(pid, tid)
            if before == after:
                break
        counters = after or (None, None)
        return RawTask(
            pid=pid,
            tid=tid,
            stat=facts,
            number=number,
            args=args,
            readable=readable,
            run_ns=counters[0],
            slices=counters[1],
        )

    def _syscall(self, pid: int, tid: int, facts: Stat) -> tuple[int | None, tuple[int, ...], bool]:
        if facts.is_kernel_thread or facts.state in "ZX":
            return None, (), True
        try:
            data = self.read(pid, "syscall", tid)
        except Gone:
            # Also what a kernel without CONFIG_HAVE_ARCH_TRACEHOOK has; the stat file tells the two apart.
            self.stat(pid, tid)
            return None, (), False
        words = (data or b"").split()
        if not words:
            return None, (), False
        if words[0] == b"running":
            return None, (), True
        return int(words[0]), tuple(int(word, 16) for word in words[1:7]), True

    def wchan(self, pid: int, tid: int) -> str | None:
        """The kernel function a task sleeps in; ``None`` for none or where it is hidden (``0``).

        Without what a compiler adds to the name of a clone: ``do_sigtimedwait.isra.0``.
        """
        data = self.optional(pid, "wchan", tid)
        return data.decode("ascii", "replace").partition(".")[0] if data and data != b"0" else None

    def stack(self, pid: int, tid: int) -> list[str]:
        """The kernel functions a task sleeps in, innermost first; root only (proc_pid_stack(5)), else empty."""
        lines = (self.optional(pid, "stack", tid) or b"").split(b"\n")
        words = (line.partition(b"] ")[2].partition(b"+")[0].partition(b".")[0] for line in lines)
        return [word.decode("ascii", "replace") for word in words if word and not word.startswith(_EVERY_CALL)]

    def is_native(self, pid: int) -> bool:
        """Whether the numbers and layouts are those of 64-bit programs; AT_PHENT in auxv is 56 for them."""

        def make() -> bool:
            data = self.optional(pid, "auxv") or b""
            for at in range(0, len(data) - 15, 16):
                if int.from_bytes(data[at : at + 8], "little") == 4:
                    return int.from_bytes(data[at + 8 : at + 16], "little") == 56
            return not data

        return self.cached("native", pid, make)
