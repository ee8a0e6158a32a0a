"""Whose the lines of a log on a terminal are: strace leaves the pid out while it has one task only.

Its rule (``printleader``): ``[pid N]`` stands before a line while two or more tasks are traced. So a line without it is
of the only task left, which is not always the first. Which number the first one has shows later, if at all.
"""

from __future__ import annotations

import re

from straced.traces.parsing.line import BRACKETS, CLOCKS, OWN_WORDS, RELATIVE
from straced.traces.parsing.line_format import Form

ROOT = 0
"""The number that stands for the first task in all lines; :attr:`TerminalPids.root` tells which it is."""
MOST_TASKS = 100_000
_WORDS = re.compile(rb"(?:" + OWN_WORDS + rb")?Process (\d{1,10}) (attached|detached)(?: with (\d{1,10}) threads)?")
_LEAD = re.compile(rb"\[pid +(\d{1,7})(<[^>\n]*>)?\] ")
_BORN = re.compile(rb"= (\d+)(?:<[^>\n]*>)?(?: <[\d.+]+>)?$")
_SUPERSEDED = re.compile(rb"\+\+\+ superseded by execve in pid (\d{1,7}) ")
_CHANGES = (b"+++ ", b" = ?", b"<unfinished", b"clone", b"fork(")
"""What a block holds in which the tasks may change."""
_FORKS = (b"clone", b"clone3", b"fork", b"vfork")


class TerminalPids:
    """Puts a pid in front of every line of a log without pids, or with ``[pid N]``: the form of ``-f -o FILE``."""

    def __init__(self, form: Form) -> None:
        time = CLOCKS[form.clock] if form.clock else rb""
        also = rb"(?:" + RELATIVE + rb")?" if form.relative_too else rb""
        head = time + also + rb"(?:" + BRACKETS + rb")*"
        body = rb"(?:[A-Za-z_]\w*\(|\?\?\?\(|<\.\.\. \w|--- (?:SIG|stopped)|\+\+\+ )"
        self._alone = re.compile(rb"\n(?=" + head + body + rb")")
        self._line = re.compile(head + rb"(?=" + body + rb")")
        self.root = 0
        """The TID of the first task; 0 while it is not known."""
        self.brackets = False
        """Whether any line has its pid."""
        self.with_threads: dict[int, int] = {}
        """Processes to which strace attached with all their threads, and how many these were."""
        self.attached: list[int] = []
        """Tasks that strace attached to before the first call."""
        self._living: set[int] = {ROOT}
        self._leaving: set[int] = set()
        """Those in exit or exit_group; with -qq nothing else tells of their end."""
        self._children: set[int] = set()
        self._open: dict[int, bytes] = {}
        self._group: dict[int, int] = {}
        self._announced = False
        """strace tells of each task that it attaches to."""
        self._called = False
        self._last = ROOT

    def feed(self, block: bytes) -> bytes:
        """Return a block with a pid before each line that strace wrote for a task."""
        if len(self._living) == 1 and not self._open and b"[pid " not in block and b"Process " not in block:
            (owner,) = self._living
            if not any(mark in block for mark in _CHANGES):
                self._called = True
                return self._alone.sub(b"\n%-5d " % owner, block)
        lines = block[1:-1].split(b"\n")
        done = [self._read(line) for line in lines]
        if len(self._living) > MOST_TASKS or len(self._children) > MOST_TASKS:
            self._living, self._children = {self._last}, set()
            self._open.clear()
            self._group.clear()
        return b"\n" + b"\n".join(done) + b"\n"

    def _read(self, line: bytes) -> bytes:
        lead = _LEAD.match(line) if line[:5] == b"[pid " else None
        match = self._line.match(line, lead.end() if lead else 0)
        if match is None:
            if lead is None and (words := _WORDS.match(line)):
                self._own_words(words)
            return line
        body = line[match.end() :]
        if lead is not None:
            self.brackets = True
            owner = self._numbered(int(lead.group(1)), body)
            comm, rest = lead.group(2) or b"", line[lead.end() :]
        else:
            owner, comm, rest = self._owner(body), b"", line
            self._living = {owner}
            self._leaving &= {owner}
        self._called = True
        self._last = owner
        self._follow(owner, body)
        return b"%-5d " % owner + rest if not comm else b"%d%s " % (owner, comm) + rest

    def _own_words(self, words: re.Match[bytes]) -> None:
        tid = int(words.group(1))
        if words.group(2) == b"detached":
            self._living.discard(ROOT if tid == self.root else tid)
            return
        self._announced = True
        if not self._called:
            self.attached.append(tid)
            if not self.root:
                self.root = tid
            if words.group(3):
                self.with_threads[tid] = int(words.group(3))
        if tid != self.root:
            self._children.add(tid)
            self._living.add(tid)

    def _numbered(self, tid: int, body: bytes) -> int:
        """The task of a line that has a pid; perhaps the first whose number shows."""
        if not self.root and tid not in self._children:
            if self._is_root(body):
                self.root = tid
            else:
                self._children.add(tid)
        owner = ROOT if tid == self.root else tid
        self._living.add(owner)
        return owner

    def _is_root(self, body: bytes) -> bool:
        """Whether a number that was not met before is that of the first task."""
        if self._announced:
            return True
        waits = self._open.get(ROOT)
        if waits is not None:
            return body.startswith(b"<... " + waits + b" resumed>")
        return not any(name in _FORKS for name in self._open.values())

    def _owner(self, body: bytes) -> int:
        """The task of a line without a pid: the only one left."""
        left = self._living - self._leaving or self._living
        if len(left) > 1 and body.startswith(b"<... "):
            name = body[5 : body.find(b" ", 5)]
            left = {tid for tid in left if self._open.get(tid) == name} or left
        if len(left) == 1:
            return next(iter(left))
        return ROOT if ROOT in left or not left else self._last if self._last in left else min(left)

    def _follow(self, tid: int, body: bytes) -> None:
        """What a line says about which tasks there are."""
        first = body[:1]
        if first == b"+":
            if superseded := _SUPERSEDED.match(body):
                other = int(superseded.group(1))
                self._end(ROOT if other == self.root else other)
                self._living.add(tid)
            else:
                self._end(tid)
            return
        if first == b"-":
            return
        if first == b"<":
            name = body[5 : body.find(b" ", 5)]
            self._open.pop(tid, None)
        else:
            name = body[: body.find(b"(")]
        self._leaving.discard(tid)
        if body.endswith(b"<unfinished ...>"):
            self._open[tid] = name
        elif name in _FORKS and (born := _BORN.search(body[-80:])):
            child = int(born.group(1))
            self._children.add(child)
            if b"CLONE_THREAD" in body:
                self._group[child] = self._group.get(tid, tid)
        if name in (b"exit_group", b"exit") and body.endswith(b"= ?"):
            mine = self._group.get(tid, tid)
            self._leaving |= (
                {tid} if name == b"exit" else {each for each in self._living if self._group.get(each, each) == mine}
            )

    def _end(self, tid: int) -> None:
        self._living.discard(tid)
        self._leaving.discard(tid)
        self._open.pop(tid, None)
        self._group.pop(tid, None)
        self._children.discard(tid)
