"""What a task did last before a signal ended it: its last calls, and what it wrote to stderr."""

from __future__ import annotations

import re
from collections import deque

from msgspec import Struct

from straced.traces.native.finding import contains
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.strings import unescape

CALLS = 3
"""How many are kept of each task."""
WINDOW_BYTES = 1 << 20
"""So much text before the end of a task is looked at."""
MOST_ENDS = 200
_MOST_WRITES = 100
"""Writes to stderr, of any task, that are looked at for each end."""
_KILLED = b"+++ killed by "
_STDERR = re.compile(rb"(?:<\.\.\. )?p?writev?(?:64|2)?\(2[,<]")
_WRITE = b"(2"
_PADDING, _UNFINISHED = re.compile(rb"\) +="), re.compile(rb",? *<unfinished \.\.\.>$")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_TEXT_BYTES = 200


class LastCalls(Struct):
    """Of one task; the last comes last."""

    calls: list[tuple[int, bytes]]
    """Line number and text."""
    stderr: tuple[int, bytes] | None = None
    """Line number and data of the last write, as far as strace printed it."""


class EndsOfTasks:
    """Feed it the blocks of a trace in order."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._start = re.compile(rb"\n" + form.prefix(clock=False))
        self._blocks: deque[bytes] = deque()
        self._held = 0
        self._looked = 0
        self.tasks: dict[int, LastCalls] = {}
        """Of each task that a signal ended, by TID: the first ``MOST_ENDS`` of the trace."""

    def feed(self, block: bytes, number: int) -> None:
        """Look through a block whose first line has this number."""
        if self._looked < MOST_ENDS and contains(block, _KILLED):
            self._look(block, number)
        self._blocks.append(block)
        self._held += len(block) - 1
        while self._blocks and self._held - len(self._blocks[0]) + 1 >= WINDOW_BYTES:
            self._held -= len(self._blocks.popleft()) - 1

    def _look(self, block: bytes, number: int) -> None:
        before = b"".join(each[:-1] for each in self._blocks)
        text = before + block
        first = number - before.count(b"\n")
        place = text.find(_KILLED, len(before))
        while place >= 0 and self._looked < MOST_ENDS:
            begin = text.rfind(b"\n", 0, place)
            start = self._start.match(text, begin)
            if start is not None and start.end() == place:
                self._looked += 1
                self.tasks[int(start.group(1) or 0)] = self._of(text, begin, int(start.group(1) or 0), first)
            place = text.find(_KILLED, place + 1)

    def _of(self, text: bytes, end: int, tid: int, first: int) -> LastCalls:
        """What stands of a task in the window before the place ``end``."""
        floor = max(0, end - WINDOW_BYTES)
        mark = self._form.task_mark(tid)
        calls: list[tuple[int, bytes]] = []
        place = end
        while len(calls) < CALLS and (place := text.rfind(mark, floor, place)) >= 0:
            line = self._line(text, place)
            if line and line[:1] not in b"+-<":  # a second half tells less than the first
                calls.append((first + text.count(b"\n", 0, place), _shown(line)))
        return LastCalls(calls[::-1], self._stderr(text, floor, end, mark, first))

    def _stderr(self, text: bytes, floor: int, end: int, mark: bytes, first: int) -> tuple[int, bytes] | None:
        place = end
        for _ in range(_MOST_WRITES):
            place = text.rfind(_WRITE, floor, place)
            begin = text.rfind(b"\n", 0, place) if place >= 0 else -1
            if begin < 0:
                return None
            line = self._line(text, begin) if text.startswith(mark, begin) else b""
            if _STDERR.match(line) and (data := b"".join(map(unescape, _STRING.findall(line[:4096])))):
                return first + text.count(b"\n", 0, begin), data[:_TEXT_BYTES]
            place = begin
        return None

    def _line(self, text: bytes, begin: int) -> bytes:
        """The line behind the newline at ``begin``, without its prefix; empty: it is of another form."""
        start = self._start.match(text, begin)
        end = text.find(b"\n", begin + 1)
        return text[start.end() : end] if start is not None else b""


def _shown(line: bytes) -> bytes:
    return _PADDING.sub(b") =", _UNFINISHED.sub(b" ...", line)[:_TEXT_BYTES])
