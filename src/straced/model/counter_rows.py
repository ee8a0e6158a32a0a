"""The rows of a sample in one container, whatever a tracer keeps them as: bytes, sums, or values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol, overload

from straced.model.deltas import Moves, compare
from straced.model.durations import CallDurations
from straced.model.sums import add_up
from straced.model.tick import Calls
from straced.model.types import Counters


class RowPart(Protocol):
    """The rows of one process, or of what ended, at one moment."""

    @property
    def pid(self) -> int | None: ...

    @property
    def program(self) -> str | None: ...

    @property
    def past(self) -> bool:
        """Whether its process runs another program by now, which has rows of its own."""
        ...

    def values(self) -> Iterable[Counters]:
        """The rows; those that did not change are the same objects each time."""
        ...

    def follows(self, before: RowPart | None) -> bool | None:
        """Whether it can be compared as a whole with an earlier part: the same rows, and perhaps new ones.

        Args:
            before: of the same process; ``None``: it had no rows.

        Returns:
            ``False``: those were handed on, and these began anew. ``None``: its rows have to be compared one by one.
        """
        ...

    def calls_since(self, before: RowPart | None) -> tuple[list[Calls], list[tuple[str, int]]]:
        """What is new in it since a part that it follows, and the calls of which others are in flight now."""
        ...

    def durations_since(self, before: RowPart | None) -> Iterable[tuple[str, CallDurations]]:
        """What returned since a part that it follows."""
        ...


class PlainPart(NamedTuple):
    """Rows that are values: they are compared one by one."""

    pid: int | None
    program: str | None
    rows: tuple[Counters, ...]

    @property
    def past(self) -> bool:
        """Not known of values."""
        return False

    def values(self) -> tuple[Counters, ...]:
        """The rows."""
        return self.rows

    def follows(self, before: RowPart | None) -> None:
        """Not known as a whole."""

    def calls_since(self, before: RowPart | None) -> tuple[list[Calls], list[tuple[str, int]]]:
        """Nothing: it follows no part."""
        return [], []

    def durations_since(self, before: RowPart | None) -> tuple[tuple[str, CallDurations], ...]:
        """Nothing: it follows no part."""
        return ()


class CounterRows(Sequence[Counters]):
    """Rows of counters, which can be added up, compared and selected by process.

    Here that is done row by row. A tracer that keeps something else than values does it without decoding each row.
    """

    __slots__ = ()

    def merged(self) -> list[Counters]:
        """The rows added up by call and ABI over processes and threads."""
        return add_up(self)

    def moved_since(self, before: Sequence[Counters], flights: Collection[int | None] = ()) -> Moves:
        """What each process did since an earlier sample of the same session.

        Args:
            before: the rows of that sample, in any container.
            flights: processes of which all calls in flight are wanted; of the others those of unchanged rows will do.
        """
        return compare(before, self)

    def pids(self) -> set[int]:
        """The processes that have rows."""
        return {row.pid for row in self if row.pid is not None}

    def parts(self) -> Sequence[RowPart]:
        """The rows by process, and of what ended by program."""
        found: dict[tuple[int | None, str | None], list[Counters]] = {}
        for row in self:
            found.setdefault((row.pid, row.program), []).append(row)
        return [PlainPart(pid, program, tuple(rows)) for (pid, program), rows in found.items()]

    def of(self, pid: int) -> CounterRows:
        """The rows of one process."""
        return PlainRows(row for row in self if row.pid == pid)

    def without(self, pids: Collection[int | None]) -> CounterRows:
        """All rows but those of some processes."""
        return PlainRows(row for row in self if row.pid not in pids)


class PlainRows(CounterRows):
    """Rows that are values already."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[Counters]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Counters: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Counters, ...]: ...
    def __getitem__(self, index: int | slice) -> Counters | tuple[Counters, ...]:
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._rows == tuple(other)

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)


def rows_of(rows: Sequence[Counters]) -> CounterRows:
    """Rows in their container: as they are where they have one, else as values."""
    return rows if isinstance(rows, CounterRows) else PlainRows(rows)
