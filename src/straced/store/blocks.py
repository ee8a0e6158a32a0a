"""The rows of one process and minute as one block: column by column, since each column resembles itself.

Times, facts, names, and for each name its numbers one after the other; then zlib. Half the size of the rows in a row.
"""

from __future__ import annotations

import zlib
from collections import defaultdict, deque

import msgspec
from msgspec import Struct

from straced.store.packing import PackedRow, Value

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
    names: list[list[int] | None] = []
    numbers: defaultdict[int, list[list[int | None]]] = defaultdict(lambda: [[] for _ in range(WIDTH)])
    for _ts, row in rows:
        flat = row.calls
        if flat is None:
            names.append(None)
            continue
        here = [name for name in flat[:: WIDTH + 1] if name is not None]
        names.append(here)
        for position, name in enumerate(here):
            for column, values in enumerate(numbers[name], position * (WIDTH + 1) + 1):
                values.append(flat[column])
    block = Block(
        [ts - start_ms for ts, _row in rows],
        [row.facts for _ts, row in rows],
        [row.cpu_ns for _ts, row in rows],
        names,
        dict(numbers),
        [row.errno for _ts, row in rows],
        [row.in_flight for _ts, row in rows],
        [row.lost for _ts, row in rows],
    )
    return zlib.compress(msgspec.msgpack.encode(block), 1)


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
