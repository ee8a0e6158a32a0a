"""The object that tells details besides counting: calls over a limit."""

from __future__ import annotations

import ctypes
import errno
import functools
import sys
import threading
from pathlib import Path

from straced.records.subjects import (
    CLOSING,
    ENDING,
    MADE_TO_WAIT,
    MOVING,
    OPENING,
    address_use,
    descriptors_of,
    is_from_here,
    turn_of,
)
from straced.records.values import NUMBERS
from straced.syscalls import names
from straced.tracers.ebpf import detail_wire, libbpf, record_wire, wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.record_engine import plans

_SHARED = ("_limits", "_state")
_KEY, _ROW = ctypes.sizeof(detail_wire.WireFileKey), ctypes.sizeof(detail_wire.WireFileRow)


class DetailEngine(Engine):
    """One loaded object that counts, and tells calls over a limit. Nothing is told before a session has a limit."""

    layouts = detail_wire.LAYOUTS
    tells_details = True

    def _configure(self) -> None:
        self._library.bpf_map__set_max_entries(self._map("slow_limits"), self.owners_max)
        self._library.bpf_map__set_max_entries(self._map("file_rows"), detail_wire.FILE_ROWS if self.tells_files else 1)
        if self.tells_files:
            self._library.bpf_map__set_max_entries(self._map("turns"), detail_wire.TURNS)
        self._peeking = threading.Lock()

    def _load(self) -> None:
        super()._load()
        self._limits = self._mapped("slow_limits", self.owners_max * ctypes.sizeof(detail_wire.WireSlowLimit))
        self._state = self._mapped(".data.details", ctypes.sizeof(detail_wire.DetailsState))
        self._mapped("plans", record_wire.PLACES * ctypes.sizeof(record_wire.WirePlan))[:] = plans(None)
        size = record_wire.PLACES * ctypes.sizeof(detail_wire.WireDetailPlan)
        self._mapped("detail_plans", size)[:] = _detail_plans()

    def close(self) -> None:
        """Give everything back to the kernel. Idempotent."""
        super().close()
        for name in _SHARED:
            self.__dict__.pop(name, None)

    @property
    def slow_calls_fd(self) -> int:
        """The descriptor of the ring of slow calls."""
        return self.map_fd("slow_calls")

    def limit(self, session: int) -> detail_wire.WireSlowLimit:
        """The limit of a session, in shared memory."""
        size = ctypes.sizeof(detail_wire.WireSlowLimit)
        return detail_wire.WireSlowLimit.from_buffer(self._limits, session * size)

    def set_least(self, slower_ns: int, files: int) -> None:
        """Say what the lowest limit of all sessions is, and how many of them want sums by file."""
        state = detail_wire.DetailsState.from_buffer(self._state)
        state.least_ns, state.files = slower_ns, files

    def file_rows(self) -> list[tuple[bytes, bytes]]:
        """All rows of files with their keys."""
        keys = (ctypes.c_char * (_KEY * detail_wire.FILE_ROWS))()
        rows = (ctypes.c_char * (_ROW * detail_wire.FILE_ROWS))()
        found: list[tuple[bytes, bytes]] = []
        batch, first = (ctypes.c_char * 8)(), None
        while True:
            count = ctypes.c_uint32(detail_wire.FILE_ROWS)
            result = self._library.bpf_map_lookup_batch(
                self.map_fd("file_rows"), first, batch, keys, rows, ctypes.byref(count), None
            )
            if result < 0 and result != -errno.ENOENT:
                libbpf.check(result, "rows of files")
            raw_keys, raw_rows = keys.raw, rows.raw
            found += [
                (raw_keys[at * _KEY : (at + 1) * _KEY], raw_rows[at * _ROW : (at + 1) * _ROW])
                for at in range(count.value)
            ]
            if result < 0 or not count.value:
                return found
            first = batch

    def add_file_row(self, key: detail_wire.WireFileKey) -> None:
        """Make an empty row."""
        row = detail_wire.WireFileRow()
        result = self._library.bpf_map_update_elem(
            self.map_fd("file_rows"), ctypes.byref(key), ctypes.byref(row), libbpf.BPF_NOEXIST
        )
        libbpf.check(result, "rows of files")

    def drop_file_rows(self, session: int) -> None:
        """Take the rows of a session away."""
        for key, _row in self.file_rows():
            if int.from_bytes(key[:4], sys.byteorder) == session:
                self._library.bpf_map_delete_elem(self.map_fd("file_rows"), key)

    def peek(self) -> bytes:
        """The calls over the limit that are inside now, one after the other, as they come in the ring."""
        with self._peeking:
            return self.iterated("peek")


class FileEngine(DetailEngine):
    """One with room for sums by file and peer, 11 MB of it."""

    tells_files = True


def detail_object() -> bytes:
    """The prebuilt object that ships in the package."""
    return Path(__file__).with_name("details.bpf.o").read_bytes()


@functools.cache
def _detail_plans() -> bytes:
    """The detail plan of each place."""
    entries = (detail_wire.WireDetailPlan * record_wire.PLACES)()
    for number, abi in enumerate(wire.ABIS):
        for nr, name in (names(abi) if abi else {}).items():
            nr &= ~wire.X32_SYSCALL_BIT
            if nr < NUMBERS:
                entry = entries[number * NUMBERS + nr]
                entry.descriptors = sum(1 << place for place in descriptors_of(name) if name not in CLOSING)
                entry.flags = detail_wire.WAITS * (name in MADE_TO_WAIT) | detail_wire.ENDS * (name in ENDING)
                entry.flags |= detail_wire.FROM_HERE * is_from_here(name) | detail_wire.BYTES * (name in MOVING)
                entry.flags |= detail_wire.OPENS * (name in OPENING)
                entry.address, entry.turn = address_use(name, abi), turn_of(name)
    return bytes(entries)
