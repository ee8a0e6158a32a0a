"""The lower half: one of six tables about the chosen process, and the histogram of the chosen call."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from straced.model.frame import Frame, Note, ProcessDetail, ProcessRow
from straced.model.slow import SlowCalls
from straced.model.types import SyscallStats
from straced.text.units import count_of, format_count
from straced.views.text.table import label
from straced.views.tui import file_panel, palette, panels, plots, slow_panel, status_lines
from straced.views.tui.click_line import ClickLine
from straced.views.tui.command_words import command
from straced.views.tui.grid import Grid
from straced.views.tui.segments import Piece, Pieces, whole

_AROUND = 3
MOST_BARS = 5
"""Lines that the durations of the chosen call take at most."""


class Panel(Vertical):
    """Shows a :class:`ProcessDetail`; remembers nothing but the tab."""

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    Panel > #about { height: 1; }
    Panel > #tabs { height: 1; }
    Panel > Grid { height: 1fr; }
    Panel > #histogram { height: auto; }
    """

    def __init__(self) -> None:
        super().__init__(id="panel")
        self.tab = 0
        self._row: ProcessRow | None = None
        self._detail: ProcessDetail | None = None
        self._notes: Sequence[Note] = ()
        self._slow: SlowCalls | None = None
        self._comms: dict[int, str] = {}
        self._below = 0
        self._calls: tuple[SyscallStats, ...] = ()
        self._sort, self._mode = "cpu", "working"
        self._uncounted, self._is_uncounted = "", False
        self._about_line, self._histogram = (Static(id=name, markup=False) for name in ("about", "histogram"))
        self._tab_line = ClickLine(id="tabs")
        self.grid = Grid(id="table")
        self.grid.on_move = lambda index: self._show_histogram()
        self.grid.on_room = self._draw_table

    def compose(self) -> ComposeResult:
        yield self._about_line
        yield self._tab_line
        yield self.grid
        yield self._histogram

    @property
    def lines(self) -> int:
        """Lines that it has to show, those around its table included; without what only fills the room below it."""
        return self.grid.count - self._below + _AROUND + (MOST_BARS + 1 if self._histogram.display else 0)

    @property
    def by_file(self) -> bool:
        """Whether files and peers by time are to be seen."""
        return bool(self.display) and panels.TABS[self.tab] == "by file"

    def turn(self, tab: int) -> None:
        """Show another tab."""
        self.tab = tab % len(panels.TABS)
        self.grid.put_cursor(0)
        self._draw()

    def show(self, row: ProcessRow | None, detail: ProcessDetail | None, frame: Frame, *, sort: str, mode: str) -> None:
        """Show what is known of a process; a detail of another process is not shown."""
        same = detail is not None and row is not None and detail.key == row.key
        self._row, self._detail, self._notes = row, detail if same else None, frame.notes
        self._slow, self._comms = frame.slow, {each.pid: each.comm for each in frame.processes}
        self._sort, self._mode = sort, mode
        self._is_uncounted = frame.uncounted
        self._uncounted = status_lines.uncounted(frame) if frame.uncounted else "calls not counted (yet)"
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self._about_line.update(self._about())
        self._tab_line.put(self._tabs())
        self._draw_table()
        self._show_histogram()

    def _about(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("── ", palette.DIM)
        if self._row is None:
            text.append("no process selected", palette.DIM)
        else:
            if self._detail is not None and self._detail.gone:
                text.append("ENDED ", palette.BAD)
            text.append(f"{self._row.pid} {command(self._row)}", palette.STRONG)
            missing = self._detail.unreadable if self._detail is not None else ()
            if missing:
                text.append(f"  (not available: {', '.join(missing)})", palette.WARN)
        text.append(" ")
        text.append("─" * max(0, self._width - text.cell_len), palette.DIM)
        text.truncate(self._width, overflow="ellipsis")
        return text

    @property
    def _width(self) -> int:
        return self.size.width or self.app.size.width

    def _tabs(self) -> Pieces:
        counts = list(self._counts())
        for number in range(len(counts) - 1, -1, -1):  # names before counts, where there is no room for both
            if sum(len(name) + len(count) + 5 for name, count in zip(panels.TABS, counts, strict=True)) <= self._width:
                break
            counts[number] = counts[number] if number == self.tab else ""
        pieces: list[Piece] = []
        for number, name in enumerate(panels.TABS):
            action, words = f"tab({number})", f"{name}{counts[number]} "
            if number == self.tab:
                pieces.append(Piece(f" {number + 1} {words}", palette.TAB, action))
            else:
                pieces += (Piece(f" {number + 1} ", palette.KEY, action), Piece(words, palette.DIM, action))
            pieces.append(Piece(" "))
        return tuple(pieces)

    def _counts(self) -> tuple[str, ...]:
        detail, events = self._detail, f" {len(self._own_notes)}"
        slow = "" if self._slow is None else f" {slow_panel.count(self._slow, self._row)}"
        if detail is None:
            return "", "", "", events, slow, ""
        calls = "" if detail.calls is None else f" {format_count(detail.total.calls)}"
        threads = "" if detail.threads is None else f" {len(detail.threads)}"
        files = "" if detail.files is None else f" {len(detail.files) + detail.more_files}"
        return calls, threads, files, events, slow, file_panel.FilesTable(file_panel.shown(detail), 0).count

    @property
    def _own_notes(self) -> list[Note]:
        """What happened to this process; without one, to all of them."""
        return [note for note in self._notes if self._row is None or note.pid == self._row.pid]

    def _draw_table(self) -> None:
        detail, name, self._below = self._detail, panels.TABS[self.tab], 0
        self._calls = panels.sorted_calls(detail, self._sort, self._mode) if detail is not None else ()
        if name == "events":
            lines = panels.event_lines(self._own_notes)
            none = [] if lines else [whole("no event of this process yet", palette.DIM)]
            self.grid.show_texts(panels.EVENTS_TITLE, lines, below=none)
        elif name == "slow":
            slow = slow_panel.SlowTable(self._slow, self._row, self._comms, self._width - 1)
            if self._slow is None:
                words = f"{slow_panel.NOBODY}. {self._uncounted}" if self._is_uncounted else slow_panel.NOBODY_HERE
                self.grid.show_texts(slow.title, [], below=[whole(words, palette.WARN)])
            else:
                self.grid.show_texts(slow.title, slow.lines, above=slow.head)
        elif name == "by file" and self._row is not None:
            by_file = file_panel.FilesTable(file_panel.shown(detail), self._width - 1)
            self.grid.show_texts(by_file.title, by_file.lines, above=by_file.above)
        elif detail is None or (detail.gone and detail.calls is None and detail.threads is None):
            word = "process has exited" if detail is not None else "looking" if self._row is not None else ""
            self.grid.show_texts((), [], below=[whole(word, palette.DIM)])
        elif name == "calls":
            table = panels.CallsTable(detail, self._calls, self._width - 1)
            if table.lines:
                below = self._lines_below(detail, self.grid.room - len(table.lines))
                self._below = len(below)
                self.grid.show_texts(table.title, table.lines, below=below)
            else:  # what its threads stand in instead
                threads = panels.thread_lines(detail.threads or ())
                self.grid.show_texts(panels.THREADS_TITLE, threads, below=[self._why_no_calls(detail)])
        elif name == "threads":
            self.grid.show_texts(panels.THREADS_TITLE, panels.thread_lines(detail.threads or ()))
        elif detail.files is None:
            denied = whole("open files: permission denied", palette.WARN)
            self.grid.show_texts(panels.FILES_TITLE, [], below=[denied])
        else:
            self.grid.show_texts(panels.FILES_TITLE, panels.file_lines(detail.files, detail.more_files))

    def _why_no_calls(self, detail: ProcessDetail) -> Pieces:
        counted = detail.calls is not None
        words = " no call in this window; y asks why" if counted else f" {self._uncounted}"
        return whole(words, palette.DIM if counted else palette.WARN)

    def _lines_below(self, detail: ProcessDetail, room: int) -> list[Pieces]:
        """What has room below the calls: the threads of the process, its slow calls, what happened to it, its files."""
        found: list[Pieces] = []
        slow = slow_panel.SlowTable(self._slow, self._row, self._comms, self._width - 1)
        for title, lines in (
            (panels.THREADS_TITLE, panels.thread_lines(detail.threads or ())),
            (slow.title, slow.own),
            (panels.EVENTS_TITLE, panels.event_lines(self._own_notes)),
            (panels.FILES_TITLE, panels.file_lines((detail.files or ())[: max(0, room)], 0)),
        ):
            if lines and room - len(found) > _AROUND:
                found += [whole(""), title, *lines][: room - len(found)]
        return found

    def _show_histogram(self) -> None:
        """The durations of the chosen call: one line of bars, more where the panel is high."""
        lines: list[Pieces] = []
        at = self.grid.cursor or 0
        if panels.TABS[self.tab] == "calls" and self._detail is not None and at < len(self._calls):
            row = self._calls[at]
            buckets = self._detail.histograms.get(f"{row.name}@{row.abi}", ())
            name = label(row, several_abis=False)
            height = max(1, min(MOST_BARS, (self.size.height - 8) // 4))
            words = (name, count_of(row.calls, "call"), "by duration")
            wide = max(map(len, words))
            drawn = plots.chart(buckets, self._width - wide - 4, height)
            said = dict(zip((*range(len(drawn) - 1)[: len(words) - 1], len(drawn) - 1), words, strict=False))
            lines = [
                (Piece(f" {said.get(at, ''):<{wide}}  ", palette.DIM if at else palette.STRONG), *line)
                for at, line in enumerate(drawn)
            ]
        self._histogram.display = bool(lines)
        text = Text(no_wrap=True, overflow="crop")
        for number, line in enumerate(lines):
            text.append("\n" if number else "")
            for piece in line:
                text.append(piece.text, piece.style)
        self._histogram.update(text)
