"""The rows of one process and minute as one block: column by column, since each column resembles itself.

Times, facts, names, and for each name its numbers one after the other; then zlib. Half the size of the rows in a row.
"""

from __future__ import annotations

import zlib
from collections import defaultdict, deque

import msgspec
from msgspec import Struct

from straced.store.packing import PackedRow, Value, runs_of

WIDTH = 4
"""Numbers of a call: calls, errors, wall_ns, waiting_ns."""


class Block(Struct, array_like=True):
    """The columns. ``names`` has the calls of each row in their order; ``numbers`` the columns of each name."""

    offsets_ms: list[int]
    facts: list[list[Value] | None]
    cpu_ns: list[int]
    names: list[list[int] | None]
    numbers: dict[int, list[list[int | None]]]
    errno: list[list[int | str] | None]
    in_flight: list[list[int] | None]
    lost: list[int | None]


_decoder = msgspec.msgpack.Decoder(Block)


def pack(start_ms: int, rows: list[tuple[int, PackedRow]]) -> bytes:
    """Rows with their times as a block that begins at ``start_ms``."""
    numbers: defaultdict[int, list[list[int | None]]] = defaultdict(lambda: [[] for _ in range(WIDTH)])
    for names, columns in runs_of(row for _ts, row in rows):
        for position, name in enumerate(names):
            assert name is not None
            for values, column in zip(numbers[name], columns[position * (WIDTH + 1) + 1 :], strict=False):
                values += column
    block = Block(
        [ts - start_ms for ts, _row in rows],
        [row.facts for _ts, row in rows],
        [row.cpu_ns for _ts, row in rows],
        [None if row.calls is None else _names(row.calls) for _ts, row in rows],
        dict(numbers),
        [row.errno for _ts, row in rows],
        [row.in_flight for _ts, row in rows],
        [row.lost for _ts, row in rows],
    )
    return zlib.compress(msgspec.msgpack.encode(block), 1)


def _names(flat: list[int | None]) -> list[int]:
    return [name for name in flat[:: WIDTH + 1] if name is not None]


def unpack(start_ms: int, data: bytes) -> list[tuple[int, PackedRow]]:
    """The rows of a block, with their times in ms."""
    block = _decoder.decode(zlib.decompress(data))
    queues = {name: [deque(values) for values in columns] for name, columns in block.numbers.items()}
    rows = []
    for i, offset in enumerate(block.offsets_ms):
        here = block.names[i]
        flat: list[int | None] | None = None
        if here is not None:
            flat = [value for name in here for value in (name, *(queue.popleft() for queue in queues[name]))]
        row = PackedRow(block.facts[i], block.cpu_ns[i], flat, block.errno[i], block.in_flight[i], block.lost[i])
        rows.append((start_ms + offset, row))
    return rows
