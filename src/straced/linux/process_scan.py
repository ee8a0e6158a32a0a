"""All processes of the machine, cheaply: one small file each, whose descriptors stay closed between frames."""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec import Struct

from straced.linux import procfs
from straced.linux.container_matching import ContainerMatcher
from straced.linux.containers import Container, inner_pid
from straced.model.frame import OUTSIDE, RUNNING, Key
from straced.syscalls import native_abi, syscall_name
from straced.text.sanitize import scrub_bytes

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ABI_OF_ELF = {(2, 62): "x86_64", (1, 62): "x32", (1, 3): "i386", (2, 183): "arm64", (1, 40): "arm"}
"""ELF class and machine (elf(5)) to the ABI of a program's calls."""
CMDLINE_LIMIT = 400
"""Characters of a command line that are kept: more than the widest screen shows."""


class ScannedProcess(Struct, frozen=True):
    """What one scan knows of a process."""

    pid: int
    start_ticks: int
    key: Key
    """Both: who it is, also when its pid is used again."""
    ppid: int
    comm: str
    state: str
    threads: int
    cpu_ticks: int
    rss_bytes: int
    kernel_thread: bool


class Identity(Struct, frozen=True):
    """What is read once a process, and again after an exec (a new comm)."""

    comm: str
    cmdline: str
    uid: int | None
    abi: str | None
    """Of its calls; ``None`` where its executable may not be read, and then neither may its calls."""
    containers: tuple[Container, ...] = ()
    """Those that it is in, the outermost first, without those that straced itself is in."""
    inner_pid: int | None = None
    """Its pid in its own PID namespace, if that is another than ours."""


class ProcessScan:
    """Scans /proc; remembers identities, and CPU time for the shares."""

    def __init__(self, root: str = procfs.ROOT) -> None:
        self._root = root
        self.containers = ContainerMatcher(root)
        self._identities: dict[Key, Identity] = {}
        self._ticks: dict[Key, int] = {}
        self._at_ns = 0

    def scan(self, now_ns: int) -> tuple[list[ScannedProcess], dict[Key, float]]:
        """All processes but kernel threads, and the CPU share of those that the scan before had too."""
        found = [facts for pid in procfs.pids(self._root) if (facts := self._facts(pid)) and not facts.kernel_thread]
        elapsed_s = (now_ns - self._at_ns) / 1e9
        ticks = {facts.key: facts.cpu_ticks for facts in found}
        shares = {
            key: 100 * max(0, after - self._ticks[key]) / _TICKS_PER_S / elapsed_s
            for key, after in ticks.items()
            if key in self._ticks and elapsed_s > 0
        }
        self._ticks, self._at_ns = ticks, now_ns
        self._identities = {key: self._identities[key] for key in ticks if key in self._identities}
        return found, shares

    def identity(self, facts: ScannedProcess) -> Identity:
        """Command line and user; read again when the name has changed."""
        known = self._identities.get(facts.key)
        if known is None or known.comm != facts.comm:
            known = Identity(
                comm=facts.comm,
                cmdline=self._cmdline(facts.pid),
                uid=self._uid(facts.pid),
                abi=abi_of(facts.pid, self._root),
                containers=(inside := self.containers.inside(facts.pid)),
                inner_pid=inner_pid(facts.pid, self._root) if inside else None,
            )
            self._identities[facts.key] = known
        return known

    def _facts(self, pid: int) -> ScannedProcess | None:
        try:
            data = procfs.read_small(f"{pid}/stat", self._root)
        except (procfs.Gone, OSError):
            return None
        opening, closing = data.find(b"("), data.rfind(b")")
        fields = data[closing + 2 :].split()
        if opening < 0 or len(fields) < 22:
            return None
        start_ticks = int(fields[19])
        return ScannedProcess(
            pid=pid,
            start_ticks=start_ticks,
            key=(pid, start_ticks),
            ppid=int(fields[1]),
            comm=scrub_bytes(data[opening + 1 : closing]),
            state=fields[0].decode("ascii", "replace"),
            threads=int(fields[17]),
            cpu_ticks=int(fields[11]) + int(fields[12]),
            rss_bytes=int(fields[21]) * _PAGE_BYTES,
            kernel_thread=bool(int(fields[6]) & procfs.PF_KTHREAD),
        )

    def _cmdline(self, pid: int) -> str:
        try:
            data = procfs.read(f"{pid}/cmdline", self._root)
        except (procfs.Gone, OSError):
            return ""
        return scrub_bytes(data[: CMDLINE_LIMIT * 4].rstrip(b"\0").replace(b"\0", b" "), CMDLINE_LIMIT)

    def _uid(self, pid: int) -> int | None:
        try:
            words = procfs.status(pid, self._root).get("Uid", "").split()
        except (procfs.Gone, OSError):
            return None
        return int(words[0]) if words else None


def abi_of(pid: int, root: str = procfs.ROOT) -> str | None:
    """The ABI of a program's calls, by the head of its executable; ``None`` where that may not be read."""
    try:
        with open(f"{root}/{pid}/exe", "rb", buffering=0) as file:
            head = file.read(20)
    except OSError:
        return None
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return _ABI_OF_ELF.get((head[4], int.from_bytes(head[18:20], "little")))


def call_now(where: str, abi: str | None, root: str = procfs.ROOT) -> str | None:
    """The call a task is in, by /proc/PID/syscall or /proc/PID/task/TID/syscall; ``None`` where that may not be read.

    Needs the right to ptrace the task (proc_pid_syscall(5)).
    """
    try:
        return parse_call(procfs.read_small(f"{where}/syscall", root), abi)
    except (procfs.Gone, OSError):
        return None


def parse_call(line: bytes, abi: str | None = None) -> str | None:
    """``0 0x3 ...`` is read; ``running`` stays; ``-1 ...`` is blocked outside of a call (a page fault)."""
    word = line.split(maxsplit=1)[0] if line.strip() else b""
    if word == b"running":
        return RUNNING
    if word == b"-1":
        return OUTSIDE
    return syscall_name(int(word), abi or native_abi()) if word.isdigit() else None


def tree(facts: Iterable[ScannedProcess], roots: Iterable[int]) -> set[int]:
    """The pids of ``roots`` and of all that descend from them."""
    below: dict[int, list[int]] = {}
    for each in facts:
        below.setdefault(each.ppid, []).append(each.pid)
    found: set[int] = set()
    queue = list(roots)
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue += below.get(pid, ())
    return found
