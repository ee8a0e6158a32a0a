"""Recording a process into a file, and adding its records up by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from straced.linux import procfs
from straced.records.reader import RecordFile
from straced.records.values import CALLS
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
