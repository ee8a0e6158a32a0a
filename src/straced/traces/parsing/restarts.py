"""What became of calls that a signal interrupted: ``= ? ERESTARTSYS`` is a restart, or an EINTR, never both.

strace shows the kernel's internal code. Behind the handler, ``rt_sigreturn(...) = -1 EINTR`` tells that the program got
EINTR; any other value, that the call is entered again, which is no new call. (signal(7), arch_do_signal_or_restart.)
"""

from __future__ import annotations

import re
from collections import Counter

from straced.traces.parsing.line_format import Form

LOOK_AHEAD_LINES = 200
"""A call of the same name behind a signal may be the restart, or the handler's own: so far we look for its return."""
_RETURNED = (b"<... rt_sigreturn resumed>", b"<... sigreturn resumed>")
_RESUMING = b"restart_syscall(<... resuming interrupted "


class Interrupted:
    """One call that ended in ERESTART*, not decided yet."""

    __slots__ = ("maybe", "name", "returned", "seen")

    def __init__(self, name: str) -> None:
        self.name = name
        self.returned = False
        """The handler is over, and did not return EINTR: the call is entered again."""
        self.maybe = False
        """A call of the same name was seen."""
        self.seen = 0


class Restarts:
    """Feed it the blocks of a trace in order; ``decided`` fills with what each interrupted call became."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._start = re.compile(rb"\n" + form.prefix(clock=False) + rb"(?:<\.\.\. )?(\w+)")
        self._body = re.compile(rb"\n" + form.prefix(clock=False))
        self._open: dict[int, list[Interrupted]] = {}
        self.decided: Counter[tuple[int, str, str]] = Counter()
        """How often ``(tid, name, what)``: ``restart`` (the second entry is not a call), ``eintr``, ``phantom`` (a
        restart_syscall whose interrupted call was not seen to begin)."""

    @property
    def undecided(self) -> bool:
        return bool(self._open)

    def feed(self, block: bytes, *, new: bool = True) -> None:
        """Look through a block; with ``new`` false, only for the end of what is open."""
        for tid in list(self._open):
            self._walk(block, tid, 0)
        if not new:
            return
        position = block.find(b"= ? ERESTART")
        while position >= 0:
            self._interrupted(block, position)
            position = block.find(b"= ? ERESTART", position + 12)
        position = block.find(_RESUMING)
        while position >= 0:
            self._phantom(block, position)
            position = block.find(_RESUMING, position + len(_RESUMING))

    def _interrupted(self, block: bytes, position: int) -> None:
        match = self._start.match(block, block.rfind(b"\n", 0, position))
        if match is None:
            return
        tid, name = int(match.group(1) or 0), match.group(2).decode()
        stack = self._open.setdefault(tid, [])
        if len(stack) < 64:
            stack.append(Interrupted(name))
        self._walk(block, tid, block.find(b"\n", position))

    def _phantom(self, block: bytes, position: int) -> None:
        """Entries of restart_syscall that no ERESTART was seen before: in flight when the trace began."""
        start = block.rfind(b"\n", 0, position)
        match = self._start.match(block, start)
        if match is not None:
            tid = int(match.group(1) or 0)
            end = position + len(_RESUMING)
            name = block[end : block.find(b" ", end)].decode("ascii", "replace")
            self.decided[tid, name, "phantom"] += 1

    def _walk(self, block: bytes, tid: int, position: int) -> None:
        """Follow the lines of one task until its newest interrupted call is decided, or the next one is met."""
        mark = self._form.task_mark(tid)
        stack = self._open.get(tid)
        while stack:
            position = block.find(mark, position)
            if position < 0 or position >= len(block) - 1:
                return
            match = self._body.match(block, position)
            body = match.end() if match else position + 1
            end = block.find(b"\n", position + 1)
            verdict = self._judge(stack[-1], block[body : end if end >= 0 else len(block)])
            if verdict is not None:
                done = stack.pop()
                if verdict != "gone":
                    self.decided[tid, done.name, verdict] += 1
            elif b"= ? ERESTART" in block[body:end]:
                break  # interrupted once more, inside the handler or after a re-entry: looked at by the caller
            position = end
        if not stack:
            self._open.pop(tid, None)

    def _judge(self, call: Interrupted, line: bytes) -> str | None:
        call.seen += 1
        if line.startswith(b"+++"):
            return "restart" if call.maybe else "gone"
        if line.startswith(_RETURNED):
            return self._handler_over(call, line)
        name, bracket, _ = line.partition(b"(")
        if not bracket or not name.isascii() or line.startswith((b"---", b"<...")):
            return None
        if name == b"restart_syscall":
            return "gone"  # counted as a phantom of the same call
        if name in (b"rt_sigreturn", b"sigreturn"):
            return None if line.endswith(b"<unfinished ...>") else self._handler_over(call, line)
        if name == call.name.encode():
            if call.returned:
                return "restart"
            call.maybe = True
            if b"= ? ERESTART" in line:
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
