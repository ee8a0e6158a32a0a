"""One sample of one process as bytes, and back: facts that changed, and calls, as MessagePack.

A row is ``[facts, cpu_ns, calls, errno, in_flight, lost]``. ``facts`` is ``[mask, value...]``, a bit and a value for
each of ``FACTS`` that differs from the row before; the first row of each minute has them all, so that a minute can be
read by itself. ``calls`` is flat: name, calls, errors, wall_ns, waiting_ns, again and again; a name is its number in
the table ``names``.
"""

from __future__ import annotations

import errno as errno_module
import operator
from collections.abc import Callable, Iterable, Sequence

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
        if row.lost is None or self.lost is None:
            self.lost = None
        else:
            self.lost += row.lost
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
        if row.errno:
            for i in range(0, len(row.errno), 3):
                name_, code, count = row.errno[i : i + 3]
                assert isinstance(name_, int)
                assert isinstance(count, int)
                self.errno[name_, code] = self.errno.get((name_, code), 0) + count

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
