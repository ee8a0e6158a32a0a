"""The head of the screen: the machine as meters, the totals with what they were before, and how far figures hold."""

from __future__ import annotations

import time
from collections import deque

from rich.cells import cell_len
from rich.style import Style

from straced.model.frame import Frame
from straced.text.tracer_names import tracer_name
from straced.text.units import count_of, format_count
from straced.views.tui import cells, palette, plots, status_lines
from straced.views.tui.segments import Piece, Pieces

KEPT = 240
"""Totals that are kept: as many as the widest screen shows."""
METER_MOST = 64
SORT_WORDS = {"cpu": "CPU", "rss": "RSS", "pid": "PID"}
MODE_WORDS = {"working": "on-CPU"}
FILTER_MOST = 24
ROOMY = 90
_DOT = Piece(" · ", palette.DIM)
_FIGURE_WIDTH = 9
_WORDS_WIDTH = 12


class RateTrail:
    """Calls and errors a second of the last frames."""

    def __init__(self) -> None:
        self.calls: deque[float] = deque(maxlen=KEPT)
        self.errors: deque[float] = deque(maxlen=KEPT)
        self._at: tuple[float, int] | None = None

    def add(self, frame: Frame) -> None:
        """Take a frame in, once."""
        at = frame.epoch_s, frame.monotonic_ns
        if at == self._at:
            return
        self._at = at
        for kept, value in ((self.calls, frame.calls_s), (self.errors, frame.errors_s)):
            if value is not None:
                kept.append(value)


def head(frame: Frame, state: status_lines.State) -> Pieces:
    """``straced top · filter "x": 3 of 48 · box · local · 12:00:01 · sorted by CPU · showing on-CPU time``"""
    pieces = [Piece("straced top", palette.KEY)]
    found = f"{format_count(state.matching)} of {format_count(len(frame.processes))}"
    filtered = f'filter "{_cut(state.filter)}": {found}' if state.filter else ""
    sort, mode = SORT_WORDS.get(state.sort, state.sort), MODE_WORDS.get(state.mode, state.mode)
    order = f"sorted by {sort} · showing {mode} time"
    for text, style in (
        (filtered, palette.WARN),  # what hides rows stays in sight
        (frame.host, palette.STRONG),
        (frame.source, palette.LABEL),
        (_when(frame), palette.NOTHING),
        (order, palette.NOTHING),
    ):
        if text:
            pieces += (_DOT, Piece(text, style))
    return tuple(pieces)


def _when(frame: Frame) -> str:
    """The time of a frame; of history the minute with its day, and how much is kept."""
    if frame.source != "history":
        return time.strftime("%H:%M:%S", time.localtime(frame.epoch_s))
    minute = time.strftime("%a %d %b %H:%M", time.localtime(frame.epoch_s))
    if frame.kept_since is None:
        return minute
    return f"{minute} of history since {time.strftime('%a %d %b %H:%M', time.localtime(frame.kept_since))}"


def calls(frame: Frame, past: RateTrail, width: int) -> Pieces:
    """The CPUs as a meter, and the calls a second of all that are counted."""
    machine = frame.machine
    share = None if machine.cpu_pct is None else machine.cpu_pct / 100
    words_ = f"{status_lines.percent(machine.cpu_pct)} of {machine.cpus}".rjust(_WORDS_WIDTH)
    left = plots.meter("CPU", share, words_, _half(width), palette.of_share(machine.cpu_pct, warn=60, bad=85))
    return (*_padded(left, _half(width)), *_totals("calls/s", frame.calls_s, past.calls, width, palette.RATE))


def errors(frame: Frame, past: RateTrail, width: int) -> Pieces:
    """The memory as a meter, and the errors a second."""
    machine = frame.machine
    share, words_ = None, "- of -"
    if machine.memory_bytes and machine.memory_used_bytes is not None:
        share = machine.memory_used_bytes / machine.memory_bytes
        used, there_is = cells.size(machine.memory_used_bytes), cells.size(machine.memory_bytes)
        words_ = f"{used} of {there_is}".rjust(_WORDS_WIDTH)
    style = palette.of_share(None if share is None else 100 * share, warn=75, bad=92)
    left = plots.meter("mem", share, words_, _half(width), style)
    lit = palette.BAD if frame.errors_s else palette.DIM
    return (*_padded(left, _half(width)), *_totals("errors/s", frame.errors_s, past.errors, width, lit))


def machine(frame: Frame, width: int) -> Pieces:
    """``48 processes, 40 counted · alerts - · load 1.83 4.36 3.48 · PSI cpu 19 memory 0 io 0``"""
    number = len(frame.processes)
    watched = "not counted" if frame.tracer is None else f"{format_count(frame.watched)} counted"
    pieces = [Piece(f"{count_of(number, 'process')}, {watched}", palette.STRONG), _DOT]
    pieces.append(Piece(f"alerts {format_count(frame.alerts)}", palette.BAD if frame.alerts else palette.NOTHING))
    if frame.machine.load is not None:
        pieces += (_DOT, Piece("load ", palette.LABEL))
        pieces.append(Piece(" ".join(f"{value:.2f}" for value in frame.machine.load[: 3 if width >= ROOMY else 1])))
    if frame.machine.pressure is not None:
        pieces += (_DOT, Piece("PSI", palette.LABEL))
        for name, value in frame.machine.pressure.items():
            lit = palette.of_share(value, warn=10, bad=40) if value >= 10 else palette.NOTHING
            word = name if width >= ROOMY else name[:3]
            pieces += (Piece(f" {word} ", palette.DIM), Piece(f"{value:.0f}", lit))
    return tuple(pieces)


def quality(frame: Frame, state: status_lines.State, width: int) -> Pieces:
    """How old the figures are, how they were counted, what was lost, and what that costs."""
    words = status_lines.quality_words(frame, state)
    if not _fits(words, width):
        words[-1] = words[-1].replace("straced itself", "straced").removesuffix(" CPU")
    if not _fits(words, width):
        words.pop()
    kind = frame.quality.kind
    tracer = tracer_name(frame.tracer or "")
    pieces: list[Piece] = []
    for number, word in enumerate(words):
        old = number == 0 and state.age_s > 3 * max(1.0, state.interval_s) and frame.source != "history"
        style = palette.QUALITY.get(word, palette.LABEL if word == tracer else palette.NOTHING)
        pieces += (_DOT, Piece(word, palette.WARN if old else style))
        if word == kind and kind == "lossy":
            pieces[-1] = Piece(word, palette.BAD)
    return tuple(pieces[1:])


def _fits(words: list[str], width: int) -> bool:
    return sum(map(len, words)) + len(" · ") * (len(words) - 1) <= width


def _cut(text: str) -> str:
    return text if cell_len(text) <= FILTER_MOST else cells.fit(text, FILTER_MOST)


def _half(width: int) -> int:
    return min(width // 2, METER_MOST)


def _padded(pieces: Pieces, width: int) -> Pieces:
    used = sum(len(piece.text) for piece in pieces)
    return (*pieces, Piece(" " * (width - used + 2)))


def _totals(label: str, value: float | None, past: deque[float], width: int, style: Style) -> Pieces:
    room = max(0, width - _half(width) - 2 - len("errors/s") - _FIGURE_WIDTH - 2)
    return (
        Piece(f"{label:<8}", palette.LABEL),
        Piece(cells.rate(value).rjust(_FIGURE_WIDTH), palette.STRONG),
        Piece(" "),
        Piece(cells.sparkline(tuple(past), room).lstrip(), style),
    )
