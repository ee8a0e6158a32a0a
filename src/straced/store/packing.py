"""One sample of one process as bytes, and back: facts that changed, and calls, as MessagePack.

A row is ``[facts, cpu_ns, calls, errno, in_flight, lost]``. ``facts`` is ``[mask, value...]``, a bit and a value for
each of ``FACTS`` that differs from the row before; the first row of each minute has them all, so that a minute can be
read by itself. ``calls`` is flat: name, calls, errors, wall_ns, waiting_ns, again and again; a name is its number in
the table ``names``.
"""

from __future__ import annotations

import errno as errno_module
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import msgspec
from msgspec import Struct

from straced.model.facts import ProcessFacts
from straced.model.tick import Calls

FACTS = (
    "state",
    "rss_bytes",
    "vms_bytes",
    "threads",
    "fds",
    "fd_limit",
    "voluntary_switches",
    "involuntary_switches",
)
Value = int | str | None
Facts = tuple[Value, ...]
_facts_of: Callable[[ProcessFacts], Facts] = operator.attrgetter(*FACTS)
_encoder = msgspec.msgpack.Encoder()
_CALLS_WIDTH = 5


class PackedRow(Struct, frozen=True, array_like=True):
    """A packed row."""

    facts: list[Value] | None = None
    cpu_ns: int = 0
    """CPU time since the sample before."""
    calls: list[int | None] | None = None
    """``None``: not counted."""
    errno: list[int | str] | None = None
    in_flight: list[int] | None = None
    lost: int | None = 0


_decoder = msgspec.msgpack.Decoder(PackedRow)


def facts_of(facts: ProcessFacts) -> Facts:
    """The facts that are kept of each sample."""
    return _facts_of(facts)


def pack_facts(now: Facts, before: Facts | None) -> list[Value] | None:
    """What differs; ``None`` when nothing does."""
    mask = 0
    values: list[Value] = []
    for bit, value in enumerate(now):
        if before is None or value != before[bit]:
            mask |= 1 << bit
            values.append(value)
    return [mask, *values] if mask else None


def unpack_facts(packed: Sequence[Value] | None, before: Facts | None) -> Facts | None:
    """The facts after a row; ``None`` while no whole row was seen."""
    if packed is None:
        return before
    mask = packed[0]
    assert isinstance(mask, int)
    if before is None and mask != (1 << len(FACTS)) - 1:
        before = (None,) * len(FACTS)
    facts = list(before or (None,) * len(FACTS))
    position = 1
    for bit in range(len(FACTS)):
        if mask >> bit & 1:
            facts[bit] = packed[position]
            position += 1
    return tuple(facts)


def pack_calls(
    calls: Iterable[Calls], number: Callable[[str, str], int]
) -> tuple[list[int | None], list[int | str] | None]:
    """Calls and errors as flat lists; ``number`` gives the number of a name and ABI."""
    flat: list[int | None] = []
    errors: list[int | str] = []
    for each in calls:
        name = number(each.name, each.abi)
        flat += (name, each.calls, each.errors, each.wall_ns, each.waiting_ns)
        for word, count in (each.errno or {}).items():
            code = getattr(errno_module, word, None)
            errors += (name, code if isinstance(code, int) else word, count)
    return flat, errors or None


def encode(row: PackedRow) -> bytes:
    """A row as bytes."""
    return _encoder.encode(row)


def decode(data: bytes) -> PackedRow:
    """A row from bytes."""
    return _decoder.decode(data)


def runs_of(rows: Iterable[PackedRow]) -> Iterator[tuple[list[int | None], list[tuple[int | None, ...]]]]:
    """The calls of rows that stand together and have the same ones: their names, and the rows as columns."""
    counted = (row.calls for row in rows if row.calls is not None)
    for names, run in groupby(counted, key=lambda flat: flat[::_CALLS_WIDTH]):
        if len(set(names)) == len(names):
            yield names, list(zip(*run, strict=True))
        else:
            for flat in run:
                yield names, list(zip(flat, strict=True))


class PackedSums:
    """Calls added up by name: ``[calls, errors, wall_ns, waiting_ns]``; ``None`` where a part was not known."""

    __slots__ = ("by_name", "counted", "errno", "lost")

    def __init__(self) -> None:
        self.by_name: dict[int, list[int | None]] = {}
        self.errno: dict[tuple[int, int | str], int] = {}
        self.counted = False
        self.lost: int | None = 0

    def add(self, row: PackedRow) -> None:
        """Add a row."""
        self._add_rest(row)
        flat = row.calls
        if flat is None:
            return
        self.counted = True
        by_name = self.by_name
        for i in range(0, len(flat), _CALLS_WIDTH):
            name = flat[i]
            assert name is not None
            sums = by_name.get(name)
            if sums is None:
                by_name[name] = flat[i + 1 : i + _CALLS_WIDTH]
                continue
            for j in range(4):
                value, old = flat[i + 1 + j], sums[j]
                sums[j] = None if value is None or old is None else old + value

    def _add_rest(self, row: PackedRow) -> None:
        """Add what is lost, and the errors."""
        self.lost = None if row.lost is None or self.lost is None else self.lost + row.lost
        if row.errno and row.calls is not None:
            words = iter(row.errno)
            for name, code, count in zip(words, words, words, strict=True):
                assert isinstance(name, int)
                assert isinstance(count, int)
                self.errno[name, code] = self.errno.get((name, code), 0) + count

    def add_all(self, rows: Sequence[PackedRow]) -> None:
        """Add rows, as many of them at a time as have the same calls."""
        for names, columns in runs_of(rows):
            self.counted = True
            for position, name in enumerate(names):
                assert name is not None
                first = position * _CALLS_WIDTH + 1
                made = [_sum(column) for column in columns[first : first + _CALLS_WIDTH - 1]]
                known = self.by_name.get(name)
                self.by_name[name] = made if known is None else [_sum(pair) for pair in zip(known, made, strict=True)]
        for row in rows:
            self._add_rest(row)

    def flat(self) -> list[int | None] | None:
        """As in a row; ``None`` when nothing was counted."""
        if not self.counted:
            return None
        return [value for name, sums in self.by_name.items() for value in (name, *sums)]

    def flat_errno(self) -> list[int | str] | None:
        """As in a row."""
        return [value for (name, code), count in self.errno.items() for value in (name, code, count)] or None

    def total(self, column: int) -> int | None:
        """The sum of a column (0 calls, 1 errors, 2 wall, 3 waiting) over all names."""
        if not self.counted:
            return None
        total = 0
        for sums in self.by_name.values():
            value = sums[column]
            if value is None:
                return None
            total += value
        return total


def _sum(values: Sequence[int | None]) -> int | None:
    return None if None in values else sum(values)  # type: ignore[arg-type]
