"""The ordered pass over a trace of which only some lines are selected."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable

from straced.traces.analysis.file_stats import FileRows, PathStats
from straced.traces.analysis.ordered_pass import OrderedPass
from straced.traces.analysis.tasks import UNFINISHED
from straced.traces.parsing.line_format import Form


class SelectedFiles(FileRows):
    """File rows that keep only what is selected, and remember whether the last call was."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self.mute = False
        self.touched = False
        self._pattern = path
        self.by_path = path is not None

    def _row(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> PathStats:
        if self._pattern is not None and not self.mute:
            text = path.decode("utf-8", "replace")
            if fnmatch.fnmatchcase(text, self._pattern) or self._pattern in text:
                self.touched = True
            else:
                return PathStats(0)
        return PathStats(0) if self.mute else super()._row(path, name, errno, ns, line)

    use = _row


class SelectedPass(OrderedPass):
    """Follows all lines, and counts those that are selected."""

    def __init__(self, form: Form, files: SelectedFiles) -> None:
        super().__init__(form, files)
        self._selected = files
        self._halves: dict[int, bytes] = {}

    def feed_selected(self, block: bytes, selected: Callable[[int, str, bytes], bool]) -> bytes:
        """Read one block, keep what is selected (by tid, call and clock, and by the path), and return those lines."""
        files = self._selected
        kept: list[bytes] = []
        for words, line in zip(self.words(block), block[1:-1].split(b"\n"), strict=True):
            pid, clock, head, rest = words
            tid = int(pid or 0)
            good = selected(tid, (head[5:] if head[:1] == b"<" else head[:-1]).decode(), clock)
            files.mute, files.touched, self.state.quiet = not good, not files.by_path, not good or files.by_path
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
                    self.state.quiet = False
                    self.slow(head, rest, self.lines, pid)
        return b"\n" + b"\n".join(kept) + b"\n" if kept else b"\n"
