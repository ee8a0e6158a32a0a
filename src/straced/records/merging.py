"""Records of several CPUs in one order, that of their ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter

from straced.records.values import Record

_BY_TIME = attrgetter("end_ns", "cpu", "sequence")


def merged(streams: Iterable[Iterator[Record]]) -> Iterator[Record]:
    """Merge streams as heapq.merge does by end, CPU and sequence; faster, since one CPU has many in a row.

    Args:
        streams: each in its own order.
    """
    heads = [(record, stream) for stream in streams for record in _first(stream)]
    while len(heads) > 1:
        at = min(range(len(heads)), key=lambda place: _BY_TIME(heads[place][0]))
        record, stream = heads.pop(at)
        bound = min((head for head, _ in heads), key=_BY_TIME)
        until_ns = bound.end_ns
        yield record
        for record in stream:
            if record.end_ns >= until_ns and _BY_TIME(record) >= _BY_TIME(bound):
                heads.insert(at, (record, stream))
                break
            yield record
    for record, stream in heads:
        yield record
        yield from stream


def _first(stream: Iterator[Record]) -> list[Record]:
    return [record for record in (next(stream, None),) if record is not None]
