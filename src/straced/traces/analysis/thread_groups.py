"""Which tasks are threads of which process, for readings without the ordered pass."""

from __future__ import annotations

import re
from collections.abc import Iterable

from straced.traces.analysis.clone_flags import is_thread
from straced.traces.parsing.line_format import Form

MOST_THREADS = 200_000
MOST_OPEN = 50_000
_CALLS = (b"clone", b"fork")
_CHILD = re.compile(rb"= (\d+)(?:<[^>\n]*>)?(?: <[\d.+]+>)?(?=\n)")


class ThreadGroups:
    """Follows fork and clone calls through the blocks of a trace, in order.

    ``leader`` maps the TID of a thread to its pid; ``born`` holds all tasks whose birth was seen.
    """

    def __init__(self, form: Form) -> None:
        self._start = re.compile(rb"\n" + form.prefix(clock=False) + rb"(<\.\.\. )?(clone3?|v?fork)(?(2) resumed>|\()")
        self._open: dict[int, bool] = {}
        """Tasks in a clone: whether that makes a thread."""
        self.leader: dict[int, int] = {}
        self.born: set[int] = set()

    def feed(self, block: bytes, begins: Iterable[int] | None = None) -> None:
        """Read one block of whole lines that begins and ends with a newline.

        Args:
            block: the lines.
            begins: the newlines before those of fork and clone, in order, where they are known.
        """
        for begin in self._lines(block) if begins is None else begins:
            match = self._start.match(block, begin)
            if match is None:
                continue
            tid = int(match.group(1) or 0)
            end = block.find(b"\n", match.end())
            thread = self._open.pop(tid, False) if match.group(2) else is_thread(block[match.end() : end])
            if block.endswith(b"<unfinished ...>", begin, end):
                if len(self._open) < MOST_OPEN:
                    self._open[tid] = thread
            elif child := _CHILD.search(block, max(match.end(), end - 100), end + 1):
                self._born(tid, int(child.group(1)), thread)

    @staticmethod
    def _lines(block: bytes) -> list[int]:
        """Where the lines begin that may be such calls, in order."""
        begins: set[int] = set()
        for name in _CALLS:
            place = block.find(name)
            while place >= 0:
                begins.add(block.rfind(b"\n", 0, place))
                place = block.find(name, block.find(b"\n", place))
        return sorted(begins)

    def _born(self, tid: int, child: int, thread: bool) -> None:
        if len(self.born) < MOST_THREADS:
            self.born.add(child)
            if thread:
                self.leader[child] = self.leader.get(tid, tid)
            else:
                self.leader.pop(child, None)
