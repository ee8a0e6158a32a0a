"""What each workload does, exactly; and what ``strace -c`` can see of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Truth:
    """A workload with its true calls and errors by name."""

    argv: tuple[object, ...]
    calls: dict[str, tuple[int, int]]
    """``{name: (calls, errors)}`` as they happened."""
    unseen: frozenset[str] = frozenset()
    """Names that ``-c`` cannot count: their row must be missing or unknown, and the quality must say why."""
    reason: str = ""
    """The code of that reason in the quality."""
    i386: bool = False
    ends: bool = False
    """Let the workload end while it is traced."""
    by_strace: dict[str, tuple[int | None, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen = {name: (None, 0) if name in self.unseen else pair for name, pair in self.calls.items()}
        object.__setattr__(self, "by_strace", seen)

    @property
    def name(self) -> str:
        """For the id of a test."""
        return "-".join(map(str, self.argv)) + ("-i386" if self.i386 else "")


def _getppid(calls: int, *argv: object) -> Truth:
    return Truth(argv, {"getppid": (calls, 0)})


TRUTH = [
    _getppid(20000, "n", 20000),
    _getppid(16000, "nthreads", 8, 2000),
    _getppid(16000, "nforks", 8, 2000),
    Truth(("nvfork", 300), {"getppid": (300, 0), "vfork": (300, 0), "wait4": (300, 0)}),
    Truth(
        ("nshort", 300),
        {"getppid": (300, 0), "wait4": (300, 0), "exit_group": (301, 0)},
        unseen=frozenset({"exit_group"}),
        ends=True,
    ),
    _getppid(300, "nthrshort", 300),
    Truth(("nexec", 10, 100), {"getppid": (1100, 0), "execve": (10, 0)}),
    Truth(("threxec", 2000), {"getppid": (4000, 0), "execve": (1, 0)}),
    Truth(
        ("errs", 1000),
        {"read": (1000, 1000), "openat": (1000, 1000), "close": (1000, 1000), "kill": (1000, 1000)},
    ),
    Truth(("eintr", 100), {"nanosleep": (100, 100)}),
    Truth(("io", 2000), {"read": (2000, 0), "write": (2000, 0)}),
    Truth(
        ("unk", 900),
        {"syscall_0x3e8": (300, 300), "syscall_0x3e9": (300, 300), "syscall_0x3ea": (300, 300)},
        unseen=frozenset({"syscall_0x3e8", "syscall_0x3e9", "syscall_0x3ea"}),
    ),
    Truth(("seccerrno", 100), {"getppid": (100, 100)}),
    Truth(("n", 500), {"getppid": (500, 0)}, i386=True),
    _getppid(500, "int80", 500),
    _getppid(3500, "pool", 7, 500),
]
