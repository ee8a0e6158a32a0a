"""The tab of files and peers by time, as lines: since somebody began to look. No widget in here."""

from __future__ import annotations

from straced.model.file_window import FileWindow
from straced.model.files import FileUse
from straced.model.frame import ProcessDetail
from straced.text.sanitize import CUT, scrub
from straced.text.units import count_of, format_bytes, format_count, format_ns
from straced.views.tui import cells, palette
from straced.views.tui.segments import Piece, Pieces, whole

COLUMNS = (
    ("time", 7, 0), ("waited", 7, 60), ("calls", 8, 0), ("calls/s", 8, 100), ("errors", 6, 60), ("bytes", 8, 100),
    ("p99", 7, 60), ("max", 7, 100), ("syncs", 6, 120), ("reply", 7, 120),
)  # fmt: skip
"""Their widths, and from how many cells of the screen on there is room for them."""
LOOKING = " counting begins; the first figures are there in a moment"
NOT_RESOLVED, OTHERS = "(not resolved)", "(all others)"
_LEAST_NAME = 12


def shown(detail: ProcessDetail | None) -> FileWindow:
    """What of a process is to be shown; one that had ended when somebody looked was never counted."""
    if detail is None or detail.by_file is None:
        return FileWindow(ended=detail is not None and detail.gone)
    return detail.by_file


class FilesTable:
    """The table, for a screen of some width.

    Args:
        window: what there is to show.
        width: cells there are.
    """

    def __init__(self, window: FileWindow, width: int) -> None:
        self._window = window
        none = {
            "syncs": not any(row.syncs for row in window.rows),
            "reply": not any(row.replies for row in window.rows),
        }
        self._columns = [(name, size) for name, size, least in COLUMNS if width >= least and not none.get(name)]
        self._head = "".join(f"{name:>{size}} " for name, size in self._columns)
        self._room = max(_LEAST_NAME, width - len(self._head) - 1)

    @property
    def title(self) -> Pieces:
        """What the columns are."""
        return whole(f"{self._head}file or peer", palette.TITLE)

    @property
    def count(self) -> str:
        """How many there are, for the tab."""
        return "" if self._window.duration_ns is None else f" {len(self._window.rows) + self._window.more}"

    @property
    def above(self) -> list[Pieces]:
        """Since when it is counted, and what is missing."""
        window = self._window
        if window.duration_ns is None or window.unavailable:
            return []
        style = palette.BAD if window.unplaced or window.lost != 0 else palette.DIM
        return [whole(words(window), style)]

    @property
    def lines(self) -> list[Pieces]:
        """A line for each file and peer, the most time first."""
        window = self._window
        if window.unavailable:
            return [whole(f" no files and peers: {window.unavailable}", palette.WARN)]
        if window.duration_ns is None:
            ended = " it ended before anything was counted"
            return [whole(ended if window.ended else LOOKING, palette.DIM)]
        lines = [self._line(row, row.name, row.calls_s) for row in window.rows]
        if window.more:
            lines.append(whole(f" ({format_count(window.more)} more with less time)", palette.DIM))
        if window.others is not None:
            lines.append(self._line(window.others, OTHERS, None))
        return lines or [whole(" no call about a file or peer yet", palette.DIM)]

    def _line(self, row: FileUse, name: str | None, calls_s: float | None) -> Pieces:
        errno = f"{row.errno} " if row.errno is not None else ""
        shown, room = (NOT_RESOLVED if name is None else scrub(name)), max(_LEAST_NAME, self._room - len(errno))
        if len(shown) > room:  # the end of a path tells more than its beginning
            shown = CUT + shown[len(shown) - room + 1 :]
        told = _cells(row, calls_s)
        return (
            *(Piece(told[column].text.rjust(size) + " ", told[column].style) for column, size in self._columns),
            Piece(errno, palette.BAD),
            Piece(shown, palette.WARN if name is None else palette.DIM if name == OTHERS else palette.STRONG),
        )


def _cells(row: FileUse, calls_s: float | None) -> dict[str, Piece]:
    """The figures of a row by the column that they stand in."""
    return {
        "time": Piece(format_ns(row.wall_ns), palette.STRONG),
        "waited": Piece(format_ns(row.waiting_ns), palette.WAITING if row.waiting_ns else palette.DIM),
        "calls": Piece(format_count(row.calls)),
        "calls/s": Piece(cells.rate(calls_s), palette.RATE),
        "errors": Piece(cells.short_rate(row.errors), palette.BAD if row.errors else palette.DIM),
        "bytes": Piece(format_bytes(row.bytes), palette.NOTHING if row.bytes else palette.DIM),
        "p99": Piece(format_ns(row.p99_ns), palette.of_duration(row.p99_ns)),
        "max": Piece(format_ns(row.max_ns), palette.of_duration(row.max_ns)),
        "syncs": Piece(cells.short_rate(row.syncs) if row.syncs else "-"),
        "reply": Piece(format_ns(row.mean_reply_ns), palette.of_duration(row.mean_reply_ns)),
    }


def words(window: FileWindow) -> str:
    """How long it was counted, and what is in no row."""
    span = "until its end" if window.ended else "since you look"
    parts = [f" counted for {format_ns(window.duration_ns)}, {span}"]
    if window.unplaced:
        parts.append(
            f"{count_of(window.unplaced, 'call in no row (it', 'calls in no row (they')} came too close together)"
        )
    if window.lost is None or window.lost:
        told = window.lost is not None
        lost = count_of(window.lost, "call was lost", "calls were lost")
        parts.append(lost if told else "an unknown number of calls were lost")
    unknown = sum(row.name is None for row in window.rows)
    if unknown:
        parts.append(f"{format_count(unknown)} without a name")
    return "; ".join(parts)
