"""How calls ended that a signal interrupted: ``= ? ERESTARTSYS`` is a restart, or an EINTR, never both.

strace shows the kernel's internal code. Behind the handler, ``rt_sigreturn(...) = -1 EINTR`` means that the program got
EINTR; any other value, that the call is entered again, which is no new call. (signal(7), arch_do_signal_or_restart.)
A ``restart_syscall`` is how the kernel enters it again after ERESTART_RESTARTBLOCK (restart_syscall(2)): it belongs to
the call that was interrupted, whatever name strace guessed, with its time and its error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from straced.traces.parsing.line import TraceLine, parse_line
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.resumed_sums import Pieces, ResumedSums

LOOK_AHEAD_LINES = 200
"""A call of the same name behind a signal may be the restart, or the handler's own: so far we look for its return."""
MOST_OPEN = 50_000
"""Tasks that are followed at once."""
_FEW = 8
_RETURNED = (b"<... rt_sigreturn resumed>", b"<... sigreturn resumed>")
_AGAIN, _AGAIN_RETURNED = b"restart_syscall(", b"<... restart_syscall resumed>"
_GUESS = re.compile(rb"restart_syscall\(<\.\.\. resuming interrupted (\w+)")
_ERESTART = b"= ? ERESTART"
UNKNOWN = "restart_syscall"
_GONE_ON_WITH = frozenset({"poll", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "futex", "futex_time64"})
"""The calls that end in ERESTART_RESTARTBLOCK. Of a task that it has seen in no call yet, strace guesses ``read``."""


class Interrupted:
    """One call that ended in ERESTART*, not decided yet."""

    __slots__ = ("maybe", "name", "pieces", "returned", "seen")

    def __init__(self, name: str, pieces: Pieces) -> None:
        self.name = name
        self.pieces = pieces
        self.returned = False
        """The handler is over, and did not return EINTR: the call is entered again."""
        self.maybe = False
        """A call of the same name was seen."""
        self.seen = 0


class Restarts:
    """Follows interrupted calls through the blocks of a trace, in order, and counts in ``decided`` how they ended."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._start = re.compile(rb"\n" + form.prefix(clock=False))
        self._lines = re.compile(rb"\n" + form.prefix(clock=False) + rb"([^\n]*)")
        self._open: dict[int, list[Interrupted]] = {}
        self._again: dict[int, tuple[str, Pieces]] = {}
        """Tasks in a restart_syscall: the call that it is, and its pieces so far."""
        self.at_attach: dict[int, str] = {}
        """The call that a task was in before the trace, where ``straced trace`` tells; it is gone on with once."""
        self.decided: Counter[tuple[int, str, str]] = Counter()
        """How often ``(tid, name, what)``: ``restart`` (the second entry is not a call) or ``eintr``."""
        self.resumed = ResumedSums()
        """What of the figures of restart_syscall belongs to other calls."""

    @property
    def follows(self) -> bool:
        """Whether any call is not decided yet."""
        return bool(self._open or self._again)

    def feed(self, block: bytes) -> None:
        """Look through a block."""
        marks = [*_places(block, _ERESTART), *_places(block, _AGAIN)]
        if not marks and not self._open and not self._again:
            return
        first: dict[int, int] = {}
        for place in sorted(marks):
            begin = block.rfind(b"\n", 0, place)
            if match := self._start.match(block, begin):
                first.setdefault(int(match.group(1) or 0), begin)
        for tid in (*self._open, *self._again):
            first[tid] = 0
        if len(first) > _FEW:
            self._sweep(block, first)
            return
        for tid, position in first.items():
            for line in self._lines_of(block, tid, position):
                self._line(tid, line)

    def finish(self) -> dict[tuple[int, str], int]:
        """Decide what is left at the end of a trace, and return the calls that wait to be entered again."""
        waiting: Counter[tuple[int, str]] = Counter()
        for tid, stack in self._open.items():
            for call in stack:
                if call.maybe:
                    self.decided[tid, call.name, "restart"] += 1
                else:
                    waiting[tid, call.name] += 1
                self.resumed.close(tid, call.name, call.pieces)
        for tid, (name, pieces) in self._again.items():
            waiting[tid, name] += 1
            self.resumed.close(tid, name, pieces)
        self._open.clear()
        self._again.clear()
        return dict(waiting)

    def _lines_of(self, block: bytes, tid: int, position: int) -> Iterator[bytes]:
        """What stands behind the prefix in each line of a task, from ``position`` on."""
        mark = self._form.task_mark(tid)
        while 0 <= (position := block.find(mark, position)) < len(block) - 1:
            match = self._start.match(block, position)
            end = block.find(b"\n", position + 1)
            if match is not None:
                yield block[match.end() : end if end >= 0 else len(block)]
            position = end if end >= 0 else len(block)

    def _sweep(self, block: bytes, first: dict[int, int]) -> None:
        """The same for many tasks, in one go."""
        for match in self._lines.finditer(block):
            tid = int(match.group(1) or 0)
            if (begin := first.get(tid)) is not None and match.start() >= begin:
                self._line(tid, match.group(2))

    def _line(self, tid: int, line: bytes) -> None:
        if line.startswith((_AGAIN, _AGAIN_RETURNED)):
            self._resumes(tid, line)
            return
        stack = self._open.get(tid)
        if stack and (verdict := self._judge(stack[-1], line)) is not None:
            done = stack.pop()
            if verdict != "gone":
                self.decided[tid, done.name, verdict] += 1
            self.resumed.close(tid, done.name, done.pieces)
            if not stack:
                del self._open[tid]
        if _ERESTART in line and (value := parse_line(line)) is not None and (value.errno or "").startswith("ERESTART"):
            if stack and stack[-1].maybe and stack[-1].name == value.name:
                before = stack.pop()  # what was entered again is interrupted once more
                self.decided[tid, before.name, "restart"] += 1
                self.resumed.close(tid, before.name, before.pieces)
            self._interrupted(tid, value.name, (value.duration_ns, None))
        elif line.startswith(b"+++"):
            if (again := self._again.pop(tid, None)) is not None:
                self.resumed.close(tid, *again)
            for call in self._open.pop(tid, ()):
                if call.maybe:
                    self.decided[tid, call.name, "restart"] += 1
                self.resumed.close(tid, call.name, call.pieces)

    def _interrupted(self, tid: int, name: str, pieces: Pieces) -> None:
        if len(self._open) < MOST_OPEN:
            stack = self._open.setdefault(tid, [])
            if len(stack) < 64:
                stack.append(Interrupted(name, pieces))

    def _resumes(self, tid: int, line: bytes) -> None:
        """A restart_syscall, or its second half."""
        if line.startswith(_AGAIN):
            stack = self._open.get(tid)
            if stack:
                call = stack.pop()
                name, pieces = call.name, call.pieces
                if not stack:
                    del self._open[tid]
            else:
                guess = _GUESS.match(line)
                name, pieces = guess.group(1).decode() if guess else UNKNOWN, (None, None)
                name = self.at_attach.pop(tid, name)
                if name not in _GONE_ON_WITH:
                    name = UNKNOWN
            if name != UNKNOWN:
                self.decided[tid, name, "restart"] += 1
                self.resumed.begin(tid, name)
        elif tid in self._again:
            name, pieces = self._again.pop(tid)
        else:
            return
        value = parse_line(line)
        if value is None or value.result is None:
            if len(self._again) < MOST_OPEN:
                self._again[tid] = name, pieces
        else:
            self._returned(tid, name, pieces, value)

    def _returned(self, tid: int, name: str, pieces: Pieces, value: TraceLine) -> None:
        if value.duration_ns is not None and name != UNKNOWN:
            self.resumed.piece(value.duration_ns)
            pieces = pieces[0], (pieces[1] or 0) + value.duration_ns
        if value.errno is not None and value.errno.startswith("ERESTART"):
            self._interrupted(tid, name, pieces)
            return
        if name != UNKNOWN and value.errno is not None:
            self.resumed.fail(tid, name, value.errno)
        self.resumed.close(tid, name, pieces)

    def _judge(self, call: Interrupted, line: bytes) -> str | None:
        call.seen += 1
        if line.startswith(b"+++"):
            return "restart" if call.maybe else "gone"
        if line.startswith(_RETURNED):
            return self._handler_over(call, line)
        name, bracket, _ = line.partition(b"(")
        if not bracket or not name.isascii() or line.startswith((b"---", b"<...")):
            return None
        if name in (b"rt_sigreturn", b"sigreturn"):
            return None if line.endswith(b"<unfinished ...>") else self._handler_over(call, line)
        if name == call.name.encode():
            if call.returned:
                return "restart"
            call.maybe = True
            if _ERESTART in line:
                return "restart"
        return "restart" if call.maybe and call.seen > LOOK_AHEAD_LINES else None

    @staticmethod
    def _handler_over(call: Interrupted, line: bytes) -> str | None:
        if call.returned:
            return None
        if b"= -1 EINTR" in line:
            return "eintr"
        call.returned = True
        return None


def _places(block: bytes, mark: bytes) -> Iterator[int]:
    place = block.find(mark)
    while place >= 0:
        yield place
        place = block.find(mark, place + len(mark))
