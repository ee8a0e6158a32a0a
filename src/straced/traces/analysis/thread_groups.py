"""Which tasks are threads of which process, when nothing else is read from a trace."""

from __future__ import annotations

import re

from straced.traces.parsing.line_format import Form

MOST_THREADS = 200_000
_MARK = b"CLONE_THREAD"
_CHILD = re.compile(rb"= (\d+)(?:<[^>\n]*>)?(?: <[\d.]+>)?(?=\n)")


class Threads:
    """Feed it the blocks of a trace in order; ``leader`` maps the TID of a thread to its process."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._start = re.compile(rb"\n" + form.prefix(clock=False))
        self._resumed = re.compile(rb"\n" + form.prefix(clock=False) + rb"<\.\.\. clone3? resumed>")
        self._open: set[int] = set()
        self.leader: dict[int, int] = {}

    def feed(self, block: bytes) -> None:
        """Look through a block."""
        for tid in list(self._open):
            self._find_result(block, 0, tid)
        position = block.find(_MARK)
        while position >= 0:
            start = self._start.match(block, block.rfind(b"\n", 0, position))
            end = block.find(b"\n", position)
            if start is not None:
                tid = int(start.group(1) or 0)
                if block.endswith(b"<unfinished ...>", 0, end):
                    self._open.add(tid)
                    self._find_result(block, end, tid)
                else:
                    self._born(tid, _CHILD.search(block, position, end + 1))
            position = block.find(_MARK, end)

    def _find_result(self, block: bytes, position: int, tid: int) -> None:
        mark = self._form.task_mark(tid)
        while (position := block.find(mark, position)) >= 0:
            end = block.find(b"\n", position + 1)
            if self._resumed.match(block, position):
                self._open.discard(tid)
                self._born(tid, _CHILD.search(block, position, end + 1))
                return
            position = end

    def _born(self, tid: int, match: re.Match[bytes] | None) -> None:
        if match is not None and len(self.leader) < MOST_THREADS:
            self.leader[int(match.group(1))] = self.leader.get(tid, tid)
