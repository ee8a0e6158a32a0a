"""The calls that processes stood in before a service counted them: from /proc, which tells them to whoever may look."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from straced.linux import procfs
from straced.linux.process_scan import abi_of, call_now
from straced.model.frame import Key, ProcessRow

_ASLEEP = ("S", "D")


class StandingCalls:
    """Adds to rows the call that nobody has counted; used by one thread at a time.

    Who has slept since, and has entered nothing that was counted, is in it still: it is looked up once.
    """

    def __init__(self) -> None:
        self._abis: dict[Key, str | None] = {}
        self._calls: dict[Key, str] = {}

    def add(self, rows: Iterable[ProcessRow]) -> tuple[ProcessRow, ...]:
        """Return the rows, each with its call, as far as this user may see it."""
        given = tuple(rows)
        unknown = {row.key for row in given if row.now is None}
        self._abis = {key: abi for key, abi in self._abis.items() if key in unknown}
        self._calls = {key: call for key, call in self._calls.items() if key in unknown}
        return tuple(self._with_call(row) for row in given)

    def _with_call(self, row: ProcessRow) -> ProcessRow:
        if row.now is not None or row.state in ("Z", "X"):
            return row
        call = self._calls.get(row.key) if row.state in _ASLEEP else None
        if call is None:
            call = self._look(row)
            self._calls.pop(row.key, None)
            if call is not None and row.state in _ASLEEP and row.calls_s == 0:
                self._calls[row.key] = call
        return row if call is None else msgspec.structs.replace(row, now=call)

    def _look(self, row: ProcessRow) -> str | None:
        if row.key not in self._abis:
            self._abis[row.key] = abi_of(row.pid)
        abi = self._abis[row.key]
        call = call_now(str(row.pid), abi) if abi is not None else None
        try:
            return call if call is not None and procfs.stat(row.pid).start_ticks == row.start_ticks else None
        except procfs.Gone:
            return None
