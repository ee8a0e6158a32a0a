"""What calls do to descriptors: open, duplicate, mark and close them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from msgspec.structs import replace

from straced.records.text.descriptors import DIRECTORY, Descriptor, deleted, file
from straced.records.text.processes import Process, Processes
from straced.records.text.results import asks_version
from straced.records.values import Record

O_CLOEXEC = 0o2000000
"""On x86-64 and arm64; SOCK_CLOEXEC and the flags of the other calls have the same value."""
TEMPORARY = 0o20000000
"""The part of O_TMPFILE that says that the file has no name."""
Effect = Callable[[Record, Process, Processes], None]


def bind_result(record: Record, process: Process, entry: Descriptor) -> None:
    """The number that was returned stands for this."""
    if record.result is not None:
        entry.since_ns = record.end_ns
        process.files.bind(record.result, entry)


def opened(directory: int | None, path: int, how: int | None) -> Effect:
    """Make the effect of a call that opens a path.

    Args:
        directory: the number of the argument that relative paths begin at; ``None`` for the working directory.
        path: the number of the path.
        how: that of the flags.
    """

    def effect(record: Record, process: Process, processes: Processes) -> None:
        place = DIRECTORY if directory is None else record.args[directory]
        found = resolved(record, process, place, path)
        flags = record.args[how] if how is not None else 0
        cloexec = bool(flags & O_CLOEXEC)
        if not found or record.result is None:
            forget_result(record, process)
        else:
            made = deleted(found + b"/#?", cloexec=cloexec) if flags & TEMPORARY else file(found, cloexec=cloexec)
            bind_result(record, process, made)

    return effect


def resolved(record: Record, process: Process, place: int, index: int) -> bytes:
    """The path of an argument from the root on; empty where it cannot be told."""
    blob = record.blobs.get(index)
    if blob is None or blob.unread or blob.cut:
        return b""
    if blob.data.startswith(b"/") and not process.directory.rooted:
        return b""
    if blob.data.startswith(b"/"):
        found = normal(blob.data)
        return b"/proc/%d%b" % (record.pid, found[10:]) if found.startswith(b"/proc/self/") else found
    base = process.directory.path
    place &= 0xFFFFFFFF
    if place != DIRECTORY & 0xFFFFFFFF:
        known = process.files.known(place, record.start_ns or record.end_ns)
        base = known.path if known is not None else b""
    return normal(base + b"/" + blob.data) if base else b""


def normal(path: bytes) -> bytes:
    """A path without ``.``, ``..`` and doubled slashes. Symbolic links in it are not known."""
    return b"/" + posixpath.normpath(path).lstrip(b"/")


def forget_result(record: Record, process: Process) -> None:
    """The number that was returned stands for something that is not known."""
    if record.result is not None:
        process.files.drop(record.result, record.end_ns)


def unknown(record: Record, process: Process, processes: Processes) -> None:
    """A call that makes a descriptor of something that is not told here."""
    forget_result(record, process)


def ruled(record: Record, process: Process, processes: Processes) -> None:
    """landlock_create_ruleset(2), which may have told only what version it is."""
    if not asks_version(record):
        forget_result(record, process)


def distrusted(record: Record, process: Process, processes: Processes) -> None:
    """A call by which descriptors may have come and gone unseen: io_uring, and calls of another ABI."""
    process.files.forget()


def duplicated(record: Record, process: Process, processes: Processes) -> None:
    """dup, dup2, dup3, and fcntl with F_DUPFD."""
    before = process.files.known(record.args[0] & 0xFFFFFFFF, record.start_ns or record.end_ns)
    if record.result is None or (len(record.args) == 2 and record.args[0] == record.args[1]):
        return
    if before is None:
        forget_result(record, process)
        return
    cloexec = len(record.args) > 2 and bool(record.args[2] & O_CLOEXEC)
    bind_result(record, process, replace(before, cloexec=cloexec))


def commanded(record: Record, process: Process, processes: Processes) -> None:
    """fcntl(2)."""
    command = record.args[1] & 0xFFFFFFFF
    if command in (0, 1030):  # F_DUPFD, F_DUPFD_CLOEXEC
        before = process.files.known(record.args[0] & 0xFFFFFFFF, record.start_ns or record.end_ns)
        if before is None:
            forget_result(record, process)
        else:
            bind_result(record, process, replace(before, cloexec=command == 1030))
    elif command == 2 and (known := process.files.entries.get(record.args[0] & 0xFFFFFFFF)) is not None:  # F_SETFD
        process.files.bind(record.args[0] & 0xFFFFFFFF, replace(known, cloexec=bool(record.args[2] & 1)))


def requested(record: Record, process: Process, processes: Processes) -> None:
    """ioctl(2): FIOCLEX and FIONCLEX."""
    if record.args[1] in (0x5450, 0x5451):
        known = process.files.entries.get(record.args[0] & 0xFFFFFFFF)
        if known is not None:
            process.files.bind(record.args[0] & 0xFFFFFFFF, replace(known, cloexec=record.args[1] == 0x5451))


def closed(record: Record, process: Process, processes: Processes) -> None:
    """close(2)."""
    process.files.drop(record.args[0] & 0xFFFFFFFF, record.start_ns or record.end_ns)


def closed_range(record: Record, process: Process, processes: Processes) -> None:
    """close_range(2)."""
    first, last, how = (each & 0xFFFFFFFF for each in record.args[:3])
    if how & 2:
        process = replace(process, files=process.files.copy())
        processes.assign(record.tid, process)
    for number in [each for each in process.files.entries if first <= each <= last]:
        if how & 4:
            process.files.bind(number, replace(process.files.entries[number], cloexec=True))
        else:
            process.files.drop(number, record.start_ns or record.end_ns)
