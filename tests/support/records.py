"""Recording a process into a file, and adding its records up by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from straced.linux import procfs
from straced.records.reader import NoRecords, RecordFile
from straced.records.values import CALLS, Record, RecordKind
from straced.tracers.ebpf import recorder
from straced.tracers.ebpf.record_session import EbpfRecording, RecorderOptions


@asynccontextmanager
async def recording(pid: int, path: Path, options: RecorderOptions | None = None) -> AsyncIterator[EbpfRecording]:
    """Record from now on; it is stopped at the end of the block, and the file is complete then."""
    loaded = await recorder.load(options or RecorderOptions())
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        running = await loaded.begin(procfs.target(pid), fd)
        try:
            yield running
        finally:
            await running.stop()
    finally:
        os.close(fd)


def check_sums(file: RecordFile) -> Counter[str]:
    """Each call that was counted has its record, or is counted as filtered or lost; returns the records by name."""
    found = Counter(record.label for record in file if record.kind in CALLS)
    assert file.end is not None
    assert file.end.exact
    fates = file.end.calls
    told = {name: found[name] + fate.filtered + fate.overwritten + fate.lost for name, fate in fates.items()}
    assert told == {name: fate.counted for name, fate in fates.items()}
    assert found.keys() <= fates.keys()
    return found


def check_flips(path: Path, places: Iterable[int]) -> None:
    """A file in which one bit is another one says so, and has no record that was not there before.

    Args:
        path: it is as it was afterwards.
        places: of the bytes, one flipped at a time.
    """
    data = path.read_bytes()
    before = set(map(_figures, records_of(path)[0]))
    try:
        for place in places:
            flipped = bytearray(data)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            try:
                found, told = records_of(path)
            except NoRecords:
                continue
            assert told, f"byte {place} of {len(data)}"
            assert before.issuperset(map(_figures, found)), f"byte {place} of {len(data)}"
    finally:
        path.write_bytes(data)


def _figures(each: Record) -> tuple[object, ...]:
    return each.kind, each.cpu, each.tid, each.number, each.args, each.result, each.duration_ns, each.end_ns


def records_of(path: Path) -> tuple[list[Record], list[str]]:
    """What a file has, without what stands for a part that was left out; and what it says is wrong with it."""
    file = RecordFile(path)
    found = [each for each in file if each.kind is not RecordKind.LOST or each.result is not None]
    return found, [*file.damage(), *(each for each in file.troubles() if not each.startswith("a dump: "))]
