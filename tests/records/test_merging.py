"""Records of several CPUs come in one order; and what is read often is read without the collector of cycles.

Of `records/merging.py` and `concurrency/collector.py`.
"""

from __future__ import annotations

import gc
import heapq
import random
import threading
from operator import attrgetter

import pytest

from straced.concurrency.collector import uncollected
from straced.records.merging import merged
from straced.records.values import Record, RecordKind


def _stream(dice: random.Random, cpu: int) -> list[Record]:
    """Records of one CPU, not all of them in the order of their ends, some with the end of another."""
    ends = [dice.randrange(30) for _ in range(dice.randrange(12))]
    ordered = sorted(ends) if dice.random() < 0.7 else ends
    return [
        Record(kind=RecordKind.CALL, sequence=place, cpu=cpu, tid=1, pid=1, abi="", number=0, end_ns=end)
        for place, end in enumerate(ordered)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_that_of_a_merge_by_end_cpu_and_sequence(seed: int) -> None:
    dice = random.Random(seed)
    streams = [_stream(dice, dice.choice((-1, 0, cpu))) for cpu in range(dice.randrange(6))]
    expected = list(heapq.merge(*streams, key=attrgetter("end_ns", "cpu", "sequence")))
    found = list(merged(map(iter, streams)))
    assert list(map(id, found)) == list(map(id, expected))


def test_the_collector_is_off_meanwhile_in_the_main_thread_and_as_it_was_after() -> None:
    seen: list[bool] = []

    def elsewhere() -> None:
        with uncollected():
            seen.append(gc.isenabled())

    def failing() -> None:
        elsewhere()
        with uncollected():
            raise KeyError

    assert gc.isenabled()
    with pytest.raises(KeyError):
        failing()
    assert gc.isenabled()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [False, True]
