"""One frame as text, for a pipe, a dumb terminal or a ticket. Nothing of Textual in here."""

from __future__ import annotations

from straced.model.frame import Frame
from straced.views.text.summary import Line as TextLine
from straced.views.text.summary import Span
from straced.views.tui import cells, columns, status_lines
from straced.views.tui.rows import TITLES, ProcessRows
from straced.views.tui.segments import Pieces

WIDTH = 160
"""Where no terminal says how wide it is."""


def lines(
    frame: Frame, rows: ProcessRows, *, limit: int | None, width: int | None, state: status_lines.State
) -> list[TextLine]:
    """The head, the list and how far it holds, as :mod:`straced.views.text.terminal` writes them."""
    room = width or WIDTH
    kept = columns.fitting(room, without=columns.unknown(frame), sorted_by=TITLES[rows.order])
    listed = rows.lines()
    shown = listed if limit is None else listed[:limit]
    found: list[TextLine] = [(Span(status_lines.machine_line(frame)),), (Span(status_lines.totals_line(frame)),), ()]
    found.append((Span(_text(columns.title_line(kept, TITLES[rows.order]), room), "title"),))
    for line in shown:
        if line.short is not None:
            short = columns.short_line(kept, rows.with_trail(line.short), line.indent, room)
            found.append((Span(_text(short, room)),))
        elif line.row is None:
            found.append((Span(cells.fit(line.job, room).rstrip(), "strong"),))
        else:
            row = rows.with_trail(line.row)
            found.append((Span(_text(columns.row_line(kept, row, line.indent), room)),))
    if len(listed) > len(shown):
        found.append((Span(f" ({len(listed) - len(shown)} more: --all)", "weak"),))
    found.append(())
    found += [(span,) for span in status_lines.banners(frame, state)]
    found.append((Span(status_lines.quality_line(frame, state), "strong"),))
    return found


def _text(pieces: Pieces, width: int) -> str:
    return cells.fit("".join(piece.text for piece in pieces), width).rstrip()
