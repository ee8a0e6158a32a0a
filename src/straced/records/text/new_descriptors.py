"""What calls do that make descriptors of no file: pipes, pairs of sockets, counters and timers."""

from __future__ import annotations

import struct
from collections.abc import Callable

from straced.records.text import socket_names
from straced.records.text.descriptor_effects import O_CLOEXEC, Effect, bind_result, forget_result
from straced.records.text.descriptors import Descriptor, deleted
from straced.records.text.processes import Process, Processes
from straced.records.values import Record


def pair(index: int, how: int | None, make: Callable[[Record], Descriptor]) -> Effect:
    """Make the effect of a call that fills in two descriptors."""

    def effect(record: Record, process: Process, processes: Processes) -> None:
        blob = record.blobs.get(index)
        if blob is None or blob.unread or len(blob.data) < 8:
            return
        for number in struct.unpack_from("=ii", blob.data):
            entry = make(record)
            entry.since_ns = record.end_ns
            entry.cloexec = how is not None and bool(record.args[how] & O_CLOEXEC)
            process.files.bind(number, entry)

    return effect


def pipe_end(record: Record) -> Descriptor:
    """An end of a pipe, of which no record tells the inode."""
    return Descriptor(f"pipe:[{socket_names.UNKNOWN}]")


def socket_end(record: Record) -> Descriptor:
    """An end of a pair of sockets."""
    name = socket_names.created(*record.args[:3])
    if name is None:
        return Descriptor(f"socket:[{socket_names.UNKNOWN}]")
    name.peer = socket_names.UNKNOWN
    return Descriptor(name.text(), socket=name)


def anonymous(name: str, how: int | None) -> Effect:
    """Make the effect of a call that makes a descriptor of no file."""

    def effect(record: Record, process: Process, processes: Processes) -> None:
        if record.result is not None:
            cloexec = how is not None and bool(record.args[how] & O_CLOEXEC)
            bind_result(record, process, Descriptor(f"anon_inode:{name}", 0, cloexec))

    return effect


def memory_file(record: Record, process: Process, processes: Processes) -> None:
    """memfd_create(2)."""
    blob = record.blobs.get(0)
    if blob is None or blob.unread:
        forget_result(record, process)
    else:
        bind_result(record, process, deleted(b"/memfd:" + blob.data, cloexec=bool(record.args[1] & 1)))
