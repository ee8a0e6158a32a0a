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
_DAY = "%a %d %b %H:%M"
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


def head(frame: Frame, state: status_lines.State, width: int) -> Pieces:
    """``straced top · filter "x": 3 of 48 · box · local · 12:00:01 · sorted by CPU · showing on-CPU time``

    What has no room is left out from the end, whole.
    """
    pieces = [Piece("straced top", palette.KEY)]
    found = f"{format_count(state.matching)} of {format_count(len(frame.processes))}"
    filtered = f'filter "{_cut(state.filter)}": {found}' if state.filter else ""
    sort, mode = SORT_WORDS.get(state.sort, state.sort), MODE_WORDS.get(state.mode, state.mode)
    used = cell_len(pieces[0].text)
    for text, style in (
        (filtered, palette.WARN),  # what hides rows stays in sight
        (frame.host, palette.STRONG),
        (frame.source, palette.LABEL),
        (_when(frame), palette.NOTHING),
        (f"sorted by {sort}", palette.NOTHING),
        ("" if frame.uncounted else f"showing {mode} time", palette.NOTHING),
    ):
        used += cell_len(_DOT.text) + cell_len(text) if text else 0
        if used > width:
            break
        if text:
            pieces += (_DOT, Piece(text, style))
    return tuple(pieces)


def _when(frame: Frame) -> str:
    """The time of a frame; of history the minute with its day, and how much is kept."""
    if frame.source != "history":
        return time.strftime("%H:%M:%S", time.localtime(frame.epoch_s))
    minute = time.strftime(_DAY, time.localtime(frame.epoch_s))
    return minute if frame.kept_since is None else f"{minute} · kept since {moment(frame.kept_since, frame.epoch_s)}"


def moment(epoch_s: float, beside: float) -> str:
    """A time, with its day where that is not the one of the time beside it."""
    at, other = time.localtime(epoch_s), time.localtime(beside)
    return time.strftime("%H:%M" if at[:3] == other[:3] else _DAY, at)


def calls(frame: Frame, past: RateTrail, width: int) -> Pieces:
    """The CPUs as a meter, and the calls a second of all that are counted."""
    machine = frame.machine
    share = None if machine.cpu_pct is None else machine.cpu_pct / 100
    words_ = f"{status_lines.percent(machine.cpu_pct)} of {machine.cpus}".rjust(_WORDS_WIDTH)
    left = plots.meter("CPU", share, words_, _half(width), palette.of_share(machine.cpu_pct, warn=60, bad=85))
    return _beside(frame, left, width, "calls/s", frame.calls_s, past.calls, palette.RATE)


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
    return _beside(frame, left, width, "errors/s", frame.errors_s, past.errors, lit)


def machine(frame: Frame, width: int) -> Pieces:
    """``48 processes, 40 counted · alerts - · load 1.83 4.36 3.48 · PSI cpu 19 memory 0 io 0``"""
    number = len(frame.processes)
    watched = "not counted" if frame.tracer is None else f"{format_count(frame.watched)} counted"
    pieces = [Piece(f"{count_of(number, 'process')}, {watched}", palette.STRONG)]
    if frame.alerts is not None:
        lit = palette.BAD if frame.alerts else palette.NOTHING
        pieces += (_DOT, Piece(f"alerts {format_count(frame.alerts)}", lit))
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
    while not _fits(words, width) and len(words) > 1:
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


def _beside(
    frame: Frame, meter: Pieces, width: int, label: str, value: float | None, past: deque[float], style: Style
) -> Pieces:
    """The totals, beside what the machine does now; history keeps neither that nor what was before its minute."""
    if frame.source == "history":
        return _totals(label, value, deque(), width, style)
    half = _half(width)
    return (*_padded(meter, half), *_totals(label, value, past, width - half - 2, style))


def _padded(pieces: Pieces, width: int) -> Pieces:
    used = sum(len(piece.text) for piece in pieces)
    return (*pieces, Piece(" " * (width - used + 2)))


def _totals(label: str, value: float | None, past: deque[float], width: int, style: Style) -> Pieces:
    room = max(0, width - len("errors/s") - _FIGURE_WIDTH - 2)
    return (
        Piece(f"{label:<8}", palette.LABEL),
        Piece(cells.rate(value).rjust(_FIGURE_WIDTH), palette.STRONG),
        Piece(" "),
        Piece(cells.sparkline(tuple(past), room).lstrip(), style),
    )
