"""Calls of one process by file and peer, from when somebody began to look at them."""

from __future__ import annotations

from msgspec import Struct

from straced.model.files import MOST_ROWS, FileTable, FileUse, chosen

SHOWN, SHOWN_FAILING = 200, 40
"""Rows that a screen is given, and how many of them for their errors where their time is too little."""


class FileRow(FileUse, frozen=True, kw_only=True):
    """A file or peer with what it comes to a second."""

    calls_s: float | None = None
    """Calls a second since the refresh before; ``None``: it cannot be told."""
    bytes_s: float | None = None
    """Likewise of the bytes."""


class FileWindow(Struct, frozen=True, kw_only=True):
    """What a process did, by file and peer, since somebody began to look."""

    duration_ns: int | None = None
    """How long it has been counted; ``None``: nothing is there yet."""
    rows: tuple[FileRow, ...] = ()
    """The most time first, at most 200, and among them those that fail most."""
    more: int = 0
    """Rows that are not among them."""
    others: FileUse | None = None
    """All for which there was no room among the rows that are kept."""
    unplaced: int = 0
    """Calls that are in no row."""
    lost: int | None = 0
    """Calls that could not be counted; ``None``: not known."""
    ended: bool = False
    """It is not counted any more, and these are its last figures."""
    unavailable: str = ""
    """Why there are no figures, and what to do."""


def window_of(
    table: FileTable, before: FileTable | None, apart_ns: int, duration_ns: int, *, lost: int | None = 0
) -> FileWindow:
    """What a screen is given of a reading.

    Args:
        table: all that was counted until now.
        before: until the reading before, if there was one.
        apart_ns: time between both.
        duration_ns: time since the begin.
        lost: calls that could not be counted.
    """
    known = {row.name: row for row in before.rows if row.name is not None} if before is not None else {}
    all_known = before is not None and before.others is None and len(before.rows) < MOST_ROWS

    def row(use: FileUse) -> FileRow:
        fields = {name: getattr(use, name) for name in FileUse.__struct_fields__}
        earlier = known.get(use.name or "")
        if use.name is None or apart_ns <= 0 or (earlier is None and not all_known):
            return FileRow(**fields)
        calls, moved = (earlier.calls, earlier.bytes) if earlier is not None else (0, 0)
        seconds = apart_ns / 1e9
        return FileRow(**fields, calls_s=(use.calls - calls) / seconds, bytes_s=(use.bytes - moved) / seconds)

    return FileWindow(
        duration_ns=duration_ns,
        rows=tuple(map(row, chosen(table.rows, SHOWN, SHOWN_FAILING)[0])),
        more=max(0, len(table.rows) - SHOWN),
        others=table.others,
        unplaced=table.unplaced,
        lost=lost,
    )
