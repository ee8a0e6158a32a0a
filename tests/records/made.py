"""Records made by hand."""

from __future__ import annotations

import os

from straced.records.plans import plan_of
from straced.records.values import (
    Blob,
    BlobKind,
    OpenDescriptor,
    Record,
    RecordedProcess,
    RecordingFacts,
    RecordKind,
)
from straced.syscalls import number_of

SECOND = 1_000_000_000
PID = 4000
FD_CWD = (1 << 64) - 100
EPOCH = 1_700_000_000 * SECOND


def path(text: bytes) -> Blob:
    """A path that was read."""
    return Blob(BlobKind.PATH, text)


def call(
    name: str, *args: int, result: int | None = 0, at: float = 1.0, took: int = 1000, tid: int = PID, pid: int = PID,
    blobs: dict[int, Blob] | None = None, kind: RecordKind = RecordKind.CALL, abi: str = "x86_64",
) -> Record:  # fmt: skip
    """A call that began ``at`` seconds and took so many nanoseconds; arguments that are not given are 0."""
    args += (0,) * (plan_of(name).nargs - len(args))
    start = int(at * SECOND)
    number = number_of(name, abi)
    assert number is not None
    return Record(
        kind=kind, sequence=0, cpu=0, tid=tid, pid=pid, abi=abi, number=number, args=args, start_ns=start,
        duration_ns=took, result=result, end_ns=start + took, blobs=blobs or {},
    )  # fmt: skip


def ended(status: int, at: float = 9.0, tid: int = PID) -> Record:
    """The end of a task."""
    return Record(
        kind=RecordKind.EXIT,
        sequence=0,
        cpu=0,
        tid=tid,
        pid=PID,
        abi="",
        number=0,
        result=status,
        end_ns=int(at * SECOND),
    )


def facts(descriptors: dict[int, OpenDescriptor] | None = None, cwd: bytes = b"/repo") -> RecordingFacts:
    """Facts of a recording of one process."""
    process = RecordedProcess(
        pid=PID, parent=1, comm=b"x", exe=b"/x", argv=(), cwd=cwd, start_ticks=0, threads={PID: b"x"},
        descriptors=descriptors or {},
    )  # fmt: skip
    return RecordingFacts(
        straced="", host="", machine=os.uname().machine, boot_id="", epoch_ns=EPOCH, monotonic_ns=0, utc_offset_s=3600,
        pid=PID, follow=True, processes=(process,),
    )  # fmt: skip
