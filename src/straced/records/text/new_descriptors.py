"""What calls do that make descriptors of no file: pipes, pairs of sockets, counters and timers."""

from __future__ import annotations

import struct
from collections.abc import Callable

from msgspec.structs import replace

from straced.records.text import socket_names
from straced.records.text.descriptor_effects import O_CLOEXEC, Effect, bind_result, forget_result
from straced.records.text.descriptors import Descriptor, deleted
from straced.records.text.processes import Process, Processes
from straced.records.values import Record


def pair(index: int, how: int | None, make: Callable[[Record, Processes], tuple[Descriptor, Descriptor]]) -> Effect:
    """Make the effect of a call that fills in two descriptors."""

    def effect(record: Record, process: Process, processes: Processes) -> None:
        blob = record.blobs.get(index)
        if blob is None or blob.unread or len(blob.data) < 8:
            return
        for number, entry in zip(struct.unpack_from("=ii", blob.data), make(record, processes), strict=True):
            entry.since_ns = record.end_ns
            entry.cloexec = how is not None and bool(record.args[how] & O_CLOEXEC)
            process.files.bind(number, entry)

    return effect


def pipe_ends(record: Record, processes: Processes) -> tuple[Descriptor, Descriptor]:
    """Both ends of a pipe, by one number."""
    name = f"pipe:[{processes.number()}]"
    return Descriptor(name), Descriptor(name)


def socket_ends(record: Record, processes: Processes) -> tuple[Descriptor, Descriptor]:
    """Two sockets that are connected with each other."""
    one, other = processes.number(), processes.number()
    name = socket_names.created(*record.args[:3])
    if name is None:
        return Descriptor(f"socket:[{one}]"), Descriptor(f"socket:[{other}]")
    first, second = replace(name, number=one, peer=other), replace(name, number=other, peer=one)
    return Descriptor(first.text(), socket=first), Descriptor(second.text(), socket=second)


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
