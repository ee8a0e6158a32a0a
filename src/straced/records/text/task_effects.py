"""What calls do to processes: another program, another task, another working directory."""

from __future__ import annotations

import struct
from collections.abc import Callable

from msgspec.structs import replace

from straced.records.text.descriptor_effects import Effect, resolved
from straced.records.text.descriptors import DIRECTORY
from straced.records.text.processes import CLONE_FILES, CLONE_FS, Process, Processes
from straced.records.values import Record


def moved(record: Record, process: Process, processes: Processes) -> None:
    """chdir(2)."""
    process.directory.move(resolved(record, process, DIRECTORY, 0))


def moved_by_descriptor(record: Record, process: Process, processes: Processes) -> None:
    """fchdir(2)."""
    known = process.files.known(record.args[0] & 0xFFFFFFFF, record.start_ns or record.end_ns)
    process.directory.move(known.path if known is not None else b"")


def uprooted(record: Record, process: Process, processes: Processes) -> None:
    """chroot, pivot_root, setns: what paths from the root on stand for is not known any more."""
    process.directory.rooted = False
    process.directory.move(b"")


def unshared(record: Record, process: Process, processes: Processes) -> None:
    """unshare(2)."""
    own = Process(process.files, process.directory)
    if record.args[0] & CLONE_FILES:
        own.files = process.files.copy()
    if record.args[0] & CLONE_FS:
        own.directory = replace(process.directory)
    processes.assign(record.tid, own)


def forked(how: Callable[[Record], int | None]) -> Effect:
    """Make the effect of a call that makes a task."""

    def effect(record: Record, process: Process, processes: Processes) -> None:
        if record.result:
            processes.fork(process, record.result, how(record))

    return effect


def flags_in_memory(record: Record) -> int | None:
    """Those of clone3(2)."""
    blob = record.blobs.get(0)
    if blob is None or len(blob.data) < 8:
        return None
    return int(struct.unpack_from("=Q", blob.data)[0])


def executed(record: Record, process: Process, processes: Processes) -> None:
    """execve(2)."""
    if record.result == 0:
        processes.execute(record.tid, record.pid)
