"""The ordered pass: the native core reads the lines of which it is certain, and Python all others, in their turn.

The state that lines change is in the core for both; the tree of processes, signals and the slowest calls are here.
"""

from __future__ import annotations

import ctypes
import struct

from straced.traces.analysis.ordered_pass import OrderedPass
from straced.traces.analysis.slowest_calls import MOST
from straced.traces.native.core import NativeFiles, NativeIdle, NativeLocks, OrderedCore, path_stats
from straced.traces.native.library import NativeLibrary, check
from straced.traces.native.tables import NativeTaskTable
from straced.traces.parsing.line_format import Form

_EVENT = struct.Struct("<4Q2q")
_ALL_LEAVE, _ENDED, _MAKES_TASK = 2, 3, 4


class NativeOrderedPass(OrderedPass):
    """Feed it the blocks of a trace in order, and let it finish."""

    def __init__(self, library: NativeLibrary, form: Form) -> None:
        self._core = OrderedCore(library, form)
        super().__init__(form, NativeFiles(self._core))
        state = self.state
        state.tasks = NativeTaskTable(state.tree, self._core)
        state.locks, state.idle = NativeLocks(self._core), NativeIdle(self._core)
        self._told = (ctypes.c_uint64 * 3)()
        self._floor = b""
        self._set_floor()

    def feed(self, block: bytes) -> None:
        if self.state.first_tid is None:
            words = (match[1] for match in self._pattern.finditer(block))
            self.state.first_tid = next((int(pid) for pid in words if pid), None)
        core, told, size = self._core, self._told, len(block)
        number, place = self.lines, 1
        while True:
            place = check(core.library.ordered_feed(core.handle, block, size, place, number, told))
            number, length, events = told
            if events:
                self._take_events(block, events)
            self.lines = number
            if place == size:
                break
            self.lines = number - 1
            self.read(self._pattern.findall(b"\n" + block[place : place + length]))
            if self.state.slowest.floor != self._floor:
                self._set_floor()
            place += length + 1
        self.state.tasks.forget_idle()

    def _take_events(self, block: bytes, count: int) -> None:
        """Let the tree of processes know of exits, ends and births."""
        tree, tasks = self.state.tree, self.state.tasks
        found = ctypes.string_at(self._core.library.ordered_events(self._core.handle), count * _EVENT.size)
        for kind, line, place, length, tid, status in _EVENT.iter_unpack(found):
            clock = block[place : place + length]
            if kind == _ENDED:
                tasks.end(tid)
                tree.end(tid, clock, line, status=status)
            elif kind == _MAKES_TASK:
                tasks.born(tid)
            else:
                tree.leaves(tid, status, whole=kind == _ALL_LEAVE, clock=clock, line=line)

    def _set_floor(self) -> None:
        """Tell the core which calls are none of the slowest."""
        slowest = self.state.slowest
        self._floor = slowest.floor
        least = slowest.rows[0][0] if len(slowest.rows) == MOST else -1
        self._core.library.ordered_floor(self._core.handle, self._floor, len(self._floor), least)

    def finish(self) -> None:
        """Take the sums over from the core."""
        state, data = self.state, self._core.sums()
        names: dict[int, str] = {}
        for _ in range(data.word()):
            name = data.text().decode("ascii", "replace")
            names[data.word()] = name
        state.files.rows = dict(path_stats(data, names) for _ in range(data.word()))
        state.files.folded = data.word()
        for _ in range(data.word()):
            lock = data.signed(), data.text()
            state.locks.rows[lock] = [data.word(), data.wide(), data.signed(), data.word(), data.wide(), data.word()]
        for _ in range(data.word()):
            poll = data.signed(), names[data.word()], data.text().decode(), data.signed()
            state.idle.rows[poll] = [data.word(), data.wide(), data.word()]
        for _ in range(data.word()):
            signal = data.text().decode()
            count = data.word()
            state.signal_counts[signal] = state.signal_counts.get(signal, 0) + count
