"""What became of all calls, name by name: the counters beside what the recording programs have counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from straced.model.types import Counters
from straced.records.values import label_of
from straced.tracers.ebpf import record_wire, wire


class CountedNames:
    """Calls as they were counted, by the name under which records have them."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.places: dict[str, int] = {}
        """Where the fates of each stand."""

    def add(self, rows: Iterable[Counters]) -> None:
        """Add the rows of a sample."""
        for row in rows:
            label = label_of(row.nr or 0, row.abi)
            self.calls[label] += row.calls or 0
            key = wire.ABIS.index(row.abi) << wire.KEY_NR_BITS | (row.nr or 0) & ~wire.X32_SYSCALL_BIT
            self.places[label] = record_wire.place_of(key)
