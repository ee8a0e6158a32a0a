"""Our lines beside strace's own of the same program, after what differs from run to run is taken out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path

import msgspec

from straced.records.text.lines import LineOptions, TextLines
from tests.records.jobs import Job, fresh
from tests.records.recorder import Recorded

ROOT = Path(__file__).parents[2]
"""Where `python -m tests...` is found, wherever pytest was started."""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}
FLAGS = ("-f", "-s", "0", "-q")
NAMES = "-yy"
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_INODE = re.compile(r"(?<=[\[>])\d{3,}(?=[\],-])")
_UNNAMED = re.compile(r"(?<=/#)\d+(?=>\(deleted\))")
_NAMED = re.compile(r"<(/[^<>]*)>")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (.*)", re.DOTALL)
_EPHEMERAL = re.compile(r"(?<=[:(])(?:32[7-9]|3[3-9]\d|[4-6]\d\d)\d\d(?=[\]\->)])")
"""Ports that the kernel chose; those of our programs are lower."""
_CHANGING = re.compile(
    r"(?<=getppid\(\) = )\d+|(?<=\) = )\d{8,}$|(?<=clock_gettime\()(.*)(?=\) = 0)|(?<=gettimeofday\()(.*)(?=\) = 0)"
)
_MEASURED = re.compile(
    r"\b(f_bfree|f_bavail|f_files|f_ffree|uptime|freeram|sharedram|bufferram|freeswap|procs|tms_\w+|it_value=\{tv_sec)=\d+"
    r"(?:, tv_[un]sec=\d+)?|\b(ru_[us]time)=\{[^}]*\}"
)
"""Fields of structures that differ from run to run: what is free, what was used, what is left of a timer."""
_TERMINAL = re.compile(r"(?<=TIOCGPTN, )\[\d+\]")
"""The number of a terminal: the next that is free on the machine."""
_COUNT = re.compile(r"(0x[0-9a-f]+|ADDRESS) /\* \d+ (?:vars|entries) \*/")


def strace_lines(job: Job, out: Path, *, names: bool = True) -> dict[str, list[str]]:
    """The lines of a program by task, in strace's own words; names: what descriptors stand for, too."""
    fresh(job.folder)
    run = ["strace", *FLAGS, *[NAMES] * names, "-o", str(out), "--", *job.argv]
    null = subprocess.DEVNULL
    subprocess.run(
        run, env=job.environment, cwd=job.folder, stdin=null, stdout=null, stderr=null, timeout=60, check=False
    )
    return joined(out.read_text("latin-1").splitlines())


def record_all(jobs: list[Job], folder: Path) -> list[Recorded]:
    """Records of programs, by the recorder of the tests."""
    source, made = folder / "jobs", folder / "records"
    source.write_bytes(msgspec.msgpack.encode(jobs))
    argv = [sys.executable, "-m", "tests.records.recorder", str(source), str(made)]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=120)
    return msgspec.msgpack.decode(made.read_bytes(), type=list[Recorded])


def text_of(recorded: Recorded, *, names: bool = True) -> list[str]:
    """Records as lines."""
    lines = TextLines(recorded.facts, LineOptions(stamp="", durations=False, words=False, names=names))
    parts = [lines.feed(record) for record in recorded.records]
    return b"".join([*parts, lines.flush()]).decode("latin-1").splitlines()


def joined(lines: Iterable[str]) -> dict[str, list[str]]:
    """Lines by task, unfinished ones with what resumed them, in the order in which the tasks appear."""
    found: dict[str, list[str]] = {}
    begun: dict[str, int] = {}
    for line in lines:
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.startswith("---"):
            continue
        own = found.setdefault(pid, [])
        resumed = re.match(r"<\.\.\. \w+ resumed>", text)
        if text.endswith("<unfinished ...>"):
            begun[pid] = len(own)
            own.append(text.removesuffix("<unfinished ...>").rstrip(" "))
        elif resumed and pid in begun:
            start = own[begun.pop(pid)]
            rest = text[resumed.end() :]
            own[-1] = start + (" " if start.endswith(",") and not rest.startswith(" ") else "") + rest
        else:
            own.append(text)
    return found


class Comparison(msgspec.Struct):
    """How lines of a call compare."""

    equal: Counter[str] = msgspec.field(default_factory=Counter)
    shortened: Counter[str] = msgspec.field(default_factory=Counter)
    """Equal but for a structure that records do not hold."""
    different: dict[str, list[tuple[str, str]]] = msgspec.field(default_factory=dict)
    alone: list[str] = msgspec.field(default_factory=list)
    """Lines of one run for which the other has none."""

    def add(self, ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> None:
        """Compare the lines of one program."""
        first, second = normal(ours), normal(theirs)
        for left, right in zip_longest(first, second, fillvalue=[]):
            matcher = SequenceMatcher(None, [name_of(each) for each in left], [name_of(each) for each in right], False)
            for kind, a, b, c, d in matcher.get_opcodes():
                if kind == "equal":
                    for mine, strace in zip(left[a:b], right[c:d], strict=True):
                        self._line(mine, strace)
                else:
                    self.alone += left[a:b] + right[c:d]

    def _line(self, mine: str, strace: str) -> None:
        name = name_of(strace)
        if mine == strace:
            self.equal[name] += 1
        elif same_but_shorter(mine, strace):
            self.shortened[name] += 1
        else:
            self.different.setdefault(name, []).append((mine, strace))


TELL_TASKS = frozenset(
    """
    getpid gettid getpgrp getpgid getsid setsid set_tid_address fork vfork clone clone3 wait4 waitid kill tkill tgkill
    fcntl futex getsockopt sendmsg recvmsg""".split()  # noqa: SIM905
)
"""Calls in whose lines there are numbers of tasks."""


def name_of(line: str) -> str:
    """The call of a line."""
    return line.partition("(")[0] if "(" in line else line.partition(" ")[0]


def normal(tasks: dict[str, list[str]]) -> list[list[str]]:
    """Lines without what differs from run to run: addresses, numbers of tasks and inodes, and width."""
    numbers = {pid: f"PID{place}" for place, pid in enumerate(tasks)}
    pid = re.compile(rf"\b({'|'.join(numbers)})\b")
    in_proc = re.compile(rf"(?<=/proc/)({'|'.join(numbers)})\b")

    def line(text: str) -> str:
        text = re.sub(r",\s+", ", ", re.sub(r"\s+= ", " = ", text))
        text = re.sub(r"\?\d+", "?", _UNNAMED.sub("?", text))
        where = pid if name_of(text) in TELL_TASKS else in_proc  # elsewhere a number of bytes may be the same
        text = _INODE.sub("?", where.sub(lambda match: numbers[match[1]], text))
        text = _NAMED.sub(lambda match: f"<{os.path.realpath(match[1])}>", text)
        text = _CHANGING.sub("...", _EPHEMERAL.sub("PORT", text))
        text = _TERMINAL.sub("[N]", _MEASURED.sub(r"\1\2=...", text))
        return _COUNT.sub(r"\1", _ADDRESS.sub("ADDRESS", text))

    return [[line(text) for text in lines] for lines in tasks.values()]


def same_but_shorter(mine: str, strace: str) -> bool:
    """Whether lines are equal where what we leave out, ``{...}`` and ``[...]``, is any structure or array of strace."""
    if "[?->" in mine:
        strace = re.sub(r"(?<=(?:TCP|UDP):\[)\S*?->", "?->", strace)
    left, right = _CALL.fullmatch(mine), _CALL.fullmatch(strace)
    if left is None or right is None or left[1] != right[1] or left[3] != right[3]:
        return False
    mine_args, their_args = arguments(left[2]), arguments(right[2])
    if left[1] == "execve" and mine_args[-1] == "[...]":  # the address of the environment is gone
        their_args[-1] = "[...]"
    return len(mine_args) == len(their_args) and all(map(_same_argument, mine_args, their_args))


def _same_argument(mine: str, strace: str) -> bool:
    if mine == "{...}":
        return strace.startswith("{") and strace.endswith("}")
    if mine == "[...]":
        return strace.lstrip("~").startswith("[") and strace.endswith("]")
    name, equals, value = mine.partition("=")
    if equals and value == "[...]":
        return strace.startswith(f"{name}=[")
    return mine == strace


def arguments(text: str) -> list[str]:
    """Arguments of a call, split at the commas that separate them."""
    found, depth, start, quoted, place = [], 0, 0, False, 0
    while place < len(text):
        char = text[place]
        if quoted:
            place += char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and not depth:
            found.append(text[start:place].strip())
            start = place + 1
        place += 1
    return [*found, text[start:].strip()] if text else []
