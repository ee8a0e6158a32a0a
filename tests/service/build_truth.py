"""A build with many short processes, and what each program of it asked, by strace's own log of the same run."""

from __future__ import annotations

import collections
import os
import re
import subprocess
from pathlib import Path

Counts = collections.Counter[tuple[str, str]]
"""By program and system call."""
MAKEFILE = """\
all: $(foreach n,1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16,step$(n)) $(foreach n,1 2 3 4,unit$(n).o)
step%:
\t@readlink -f /proc/self/exe >/dev/null; cat Makefile | sort | head -n 3 >$@; (echo $@; expr $* + 1; true) >>$@
unit%.o:
\t@echo 'int f$*(void) { return $*; }' >unit$*.c; gcc -c -o $@ unit$*.c; test -e missing$* || exec touch $@
"""
_FORKS = ("clone", "clone3", "vfork", "fork")


class Build:
    """``make -j8`` under strace, which waits until it is told to go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "strace.log"
        self.gone = False
        (folder / "Makefile").write_text(MAKEFILE)
        waits = ["sh", "-c", "read go; exec make -j8 all"]
        self._process = subprocess.Popen(
            ["strace", "-f", "-q", "-o", str(self.log), "-s", "256", *waits],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )

    def waiting(self) -> int | None:
        """The process that waits for its line, once it does."""
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            pid, _, call = line.partition(" ")
            if call.strip().startswith("read(0"):
                return int(pid)
        return None

    def go(self) -> None:
        """Let it build."""
        assert self._process.stdin is not None
        self.gone = True
        self._process.stdin.write(b"\n")
        self._process.stdin.close()

    def wait(self) -> int:
        """Its exit status."""
        return self._process.wait(60)

    def close(self) -> None:
        """End what still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def truth(self, root: int) -> Counts:
        """What each program asked after the first read, which was in flight before."""
        return Log(root).of(self.log.read_text().splitlines())


class Log:
    """Reads lines of ``strace -f``: a call belongs to the program that entered it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._programs: dict[int, list[str]] = {root: [_file_of("/bin/sh")]}
        """What each process ran, one after the other; the first is what its parent ran when it forked."""
        self._parents: dict[int, tuple[int, int]] = {}
        self._counted: collections.Counter[tuple[int, int, str]] = collections.Counter()
        self._opened: dict[int, str] = {}
        self._restarted: dict[int, str] = {}
        self._always: set[int] = set()
        """Those whose call is made again also behind a handler: a fork that a signal came before (ERESTARTNOINTR)."""

    def of(self, lines: list[str]) -> Counts:
        first = next(i for i, line in enumerate(lines) if line.split()[:2] == [str(self._root), "read(0,"])
        for line in lines[first + 1 :]:
            word, _, call = line.partition(" ")
            if not call.strip().startswith(("---", "+++")):
                self._take(int(word), call.strip())
        found: Counts = collections.Counter()
        for (pid, place, name), count in self._counted.items():
            found[self._program(pid, place), name] += count
        return found

    def _take(self, pid: int, call: str) -> None:
        programs = self._programs.setdefault(pid, [""])
        if call.startswith("<..."):
            name, entered = call.split()[1], self._opened.pop(pid, "")
        else:
            name, entered = call.partition("(")[0], call
            again = self._restarted.get(pid)
            if again == name or pid not in self._always:  # a handler of a signal may come first
                self._restarted.pop(pid, None)
                self._always.discard(pid)
            if again != name:
                self._counted[pid, len(programs) - 1, name] += 1
            if call.endswith("<unfinished ...>"):
                self._opened[pid] = call
                return
        result = call.rpartition(" = ")[2]
        if "ERESTART" in result:
            self._restarted[pid] = name
            if "ERESTARTNOINTR" in result:
                self._always.add(pid)
        if name == "execve" and result == "0":
            path = re.search(r'execve\("([^"]+)"', entered)
            assert path is not None
            programs.append(_file_of(path[1]))
        if name in _FORKS and result.isdecimal():
            self._parents[int(result)] = pid, len(programs) - 1

    def _program(self, pid: int, place: int) -> str:
        while not place and pid in self._parents:
            pid, place = self._parents[pid]
        return self._programs[pid][place]


def _file_of(path: str) -> str:
    return os.path.basename(os.path.realpath(path))
