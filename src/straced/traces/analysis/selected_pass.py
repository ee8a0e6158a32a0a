"""The ordered pass over a trace of which only some lines are wanted."""

from __future__ import annotations

from collections.abc import Callable

from straced.traces.analysis.ordered_pass import OrderedPass
from straced.traces.analysis.tasks import UNFINISHED
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.selection import SelectedFiles


class SelectedDetail(OrderedPass):
    """Follows all lines, and counts those that are wanted."""

    def __init__(self, form: Form, files: SelectedFiles) -> None:
        super().__init__(form, files)
        self._selected = files
        self._halves: dict[int, bytes] = {}

    def feed_wanted(self, block: bytes, wanted: Callable[[int, str, bytes], bool]) -> bytes:
        """Read one block, keep what is wanted (by tid, call and clock, and by the path), and return those lines."""
        files = self._selected
        kept: list[bytes] = []
        for words, line in zip(self.words(block), block[1:-1].split(b"\n"), strict=True):
            pid, clock, head, rest = words
            tid = int(pid or self.root)
            good = wanted(tid, (head[5:] if head[:1] == b"<" else head[:-1]).decode(), clock)
            files.mute, files.touched, self.quiet = not good, not files.by_path, not good or files.by_path
            self.read([words])
            if not good:
                continue
            if files.by_path and rest.endswith(UNFINISHED):
                self._halves[tid] = line  # whether it is on the path is known when it returns
                continue
            half = self._halves.pop(tid, None) if head[:1] == b"<" else None
            if files.touched:
                kept += [line] if half is None else [half, line]
                if files.by_path and self.form.durations and rest[-1:] == b">":
                    self.quiet = False
                    self.slow(head, rest, self.lines, pid)
        return b"\n" + b"\n".join(kept) + b"\n" if kept else b"\n"
