"""Rows that are added up, or packed, many at a time give what they give one by one.

Of `store/packing.py` and `store/blocks.py`.
"""

from __future__ import annotations

import random

import pytest

from straced.store import blocks
from straced.store.packing import PackedRow, PackedSums
from straced.store.rollup import RollupBuilder


def _rows(chance: random.Random) -> list[PackedRow]:
    """As a minute has them: mostly the same calls, and now and then others, twice the same, none, or unknown ones."""
    rows = []
    for number in range(40):
        names = chance.choice(([1, 2, 3], [1, 2, 3], [1, 2, 3], [3, 1], [2, 2, 1], []))
        numbers = [[chance.choice((0, 5, 7, 1 << 40)) for _ in range(4)] for _ in names]
        if numbers and chance.random() < 0.1:
            numbers[0][chance.randrange(4)] = None  # type: ignore[call-overload]
        rows.append(
            PackedRow(
                facts=[255, "S", number, 2, 1, None, 1024, 3, 4] if chance.random() < 0.3 else None,
                cpu_ns=number,
                calls=None
                if chance.random() < 0.1
                else [n for name, four in zip(names, numbers, strict=True) for n in (name, *four)],
                errno=chance.choice((None, [1, 2, 3], [1, 2, 1, 2, "EODD", 4])),
                lost=chance.choice((0, 0, 0, 2)),
            )
        )
    return rows


@pytest.mark.parametrize("seed", range(10))
def test_many_rows_at_a_time_are_what_they_are_one_by_one(seed: int) -> None:
    rows = _rows(random.Random(seed))
    together, single = RollupBuilder(), RollupBuilder()
    together.add_all(rows)
    for row in rows:
        single.add(row)
    assert together.columns() == single.columns()
    timed = [(1000 * number, row) for number, row in enumerate(rows)]
    assert blocks.unpack(0, blocks.pack(0, timed)) == timed


def test_what_is_not_known_of_one_row_is_not_known_of_all() -> None:
    sums = PackedSums()
    sums.add_all([PackedRow(calls=[1, 5, 0, 9, None]), PackedRow(calls=[1, 5, 0, 9, 3], lost=None)])
    assert (sums.flat(), sums.lost) == ([1, 10, 0, 18, None], None)
