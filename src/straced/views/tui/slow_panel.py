"""The tab of calls over a limit, as lines: those of the chosen process, then those of the others. No widget in here."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence

from straced.model.frame import ProcessRow
from straced.model.slow import SlowCalls, SlowSyscall
from straced.text.sanitize import CUT, scrub
from straced.text.units import count_of, format_count, format_ns
from straced.views.tui import cells, palette
from straced.views.tui.segments import Piece, Pieces, whole

WIDE = 100
"""Columns from which there is room for more than what must be known."""
_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
NOBODY = "no slow calls here: they need eBPF"
NOBODY_HERE = f"{NOBODY}, in a service also slow.enabled"


def of_process(slow: SlowCalls, row: ProcessRow | None) -> Sequence[SlowSyscall]:
    """The calls of a process; a pid that was another's before has those that began since."""
    if row is None:
        return ()
    asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    begun_ns = row.start_ticks * _TICK_NS - asleep_ns
    return [call for call in slow.calls if call.pid == row.pid and call.start_ns >= begun_ns]


def count(slow: SlowCalls, row: ProcessRow | None) -> str:
    """How many there are of a process, and of all where those are more: ``2 of 14``."""
    own, known = len(of_process(slow, row)), len(slow.calls)
    return str(own) if own == known else f"{own} of {known}"


class SlowTable:
    """The table, for a screen of some width.

    Args:
        slow: the calls, the newest first; ``None``: nobody tells any.
        row: the chosen process.
        comms: names of processes, by pid.
        width: cells there are.
    """

    def __init__(self, slow: SlowCalls | None, row: ProcessRow | None, comms: Mapping[int, str], width: int) -> None:
        self._slow, self._row, self._comms = slow, row, comms
        self._wide = width >= WIDE
        head = f"{'time':<8} {'took':>8} {'waited':>8} " if self._wide else f"{'time':<8} {'took':>8} "
        tail = f"{'thread':<19} {'syscall':<11} {'result':<9} " if self._wide else f"{'thread':<15} {'syscall':<10} "
        self._head = head + tail
        self._room = width - len(self._head) - 1

    @property
    def title(self) -> Pieces:
        """What the columns are."""
        return whole(f"{self._head}file or peer", palette.TITLE)

    @property
    def head(self) -> list[Pieces]:
        """What is slow, and what is not among the lines."""
        if self._slow is None:
            return []
        none = "" if self._row is None or of_process(self._slow, self._row) else "; none of this process"
        return [whole(limits(self._slow) + none, palette.DIM)]

    @property
    def own(self) -> list[Pieces]:
        """Calls of the chosen process."""
        return (
            [self._line(call, call.tid, call.comm) for call in of_process(self._slow, self._row)] if self._slow else []
        )

    @property
    def lines(self) -> list[Pieces]:
        """Calls of the chosen process, and those of others."""
        slow, row = self._slow, self._row
        if slow is None:
            return []
        own = of_process(slow, row)
        chosen = set(map(id, own))
        others = [call for call in slow.calls if id(call) not in chosen]
        lines = self.own
        if others and row is not None:
            lines.append(whole(f"── {format_count(len(others))} of other processes", palette.DIM))
        lines += [self._line(call, call.pid, self._comms.get(call.pid) or call.comm) for call in others]
        return lines

    def _line(self, call: SlowSyscall, number: int, name: str) -> Pieces:
        took = f"{'≥' if call.inside else ''}{format_ns(call.duration_ns)}"
        word = "inside" if call.inside else call.errno or "ok"
        style = palette.WARN if call.inside else palette.BAD if call.errno else palette.DIM
        waited: Pieces = ()
        result: Pieces = ()
        if self._wide:
            waited = (Piece(format_ns(call.waiting_ns).rjust(8) + " ", palette.WAITING),)
            result = (Piece(cells.fit(word, 9) + " ", style),)
        elif call.errno:
            result = (Piece(f"{call.errno} ", style),)
        about = scrub(call.about)
        room = self._room - (0 if self._wide else sum(len(piece.text) for piece in result))
        if len(about) > room:  # the end of a path tells more than its beginning
            about = CUT + about[len(about) - max(8, room) + 1 :]
        arguments = scrub(_without(call.about, call.call)).partition("(")[2].removesuffix(")")
        return (
            Piece(time.strftime("%H:%M:%S ", time.localtime(call.epoch_s)), palette.DIM),
            Piece(took.rjust(8) + " ", palette.STRONG + palette.of_duration(call.duration_ns)),
            *waited,
            Piece(cells.fit(f"{number} {scrub(name, 15)}", 19 if self._wide else 15) + " "),
            Piece(cells.fit(call.name, 11 if self._wide else 10) + " ", palette.of_call(call.name)),
            *result,
            Piece(about or "-", palette.STRONG if about else palette.DIM),
            Piece(f"  {arguments}" if arguments and self._wide else "", palette.DIM),
        )


def _without(about: str, call: str) -> str:
    """The call without what its descriptors are about, where that stands beside it: ``1</tmp/log>`` is ``1``."""
    return re.sub(rf"<{re.escape(about)}(<[^<>]*>)?>", "", call) if about else call


def limits(slow: SlowCalls) -> str:
    """What is slow here, and what is not among the lines."""
    parts = [f"slow: {format_ns(slow.limit_ns)} or more" if slow.limit_ns else "the limit of then is not known"]
    if missing := slow.untold + slow.lost:
        parts.append(f"{format_count(missing)} more left out (too many at a time)")
    if slow.waits:
        parts.append(f"{count_of(slow.waits, 'wait')} for work left out")
    return "; ".join(parts)
