"""Calls whose arguments mean different things, by what another argument says."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from straced.records.text import kinds, memory
from straced.records.text.controls import device_request, file_command
from straced.records.text.flags import Named, flags, one_of
from straced.records.text.futexes import locking
from straced.records.text.given import length_out
from straced.records.text.kinds import Whole
from straced.records.text.local_sets import LOCAL
from straced.records.text.named import named, open_flags
from straced.records.text.operations import OPERATIONS
from straced.records.text.process_controls import controlling
from straced.records.text.processes import Process
from straced.records.text.socket_options import option_value, option_words
from straced.records.text.tables import constants
from straced.records.text.task_calls import becoming, cloning, cloning_by_structure, returning
from straced.records.values import Record

CREATES = 0o100
"""O_CREAT."""


def opening(abi: str, first: int) -> Whole:
    """open(2), openat(2): the mode is an argument only of what makes a file."""
    words = open_flags(abi)
    at = memory.path(first)
    makes = CREATES | next(value for value, name in constants(abi)["open"] if name == "__O_TMPFILE")

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        found = [kinds.directory(args[0], record, process)] if first else []
        found += [at(args[first], record, process), words(args[first + 1])]
        if args[first + 1] & makes:
            found.append(kinds.octal(args[first + 2], record, process))
        return found

    return texts


def remapping(abi: str) -> Whole:
    """mremap(2): a new address only where one is asked for."""
    words = flags(constants(abi)["mremap"], "MREMAP_???")

    def texts(record: Record, process: Process) -> list[str]:
        address, old, new, how, wanted = record.args[:5]
        found = [kinds.pointer(address, record, process), str(old), str(new), words(how)]
        return [*found, kinds.pointer(wanted, record, process)] if how & 2 else found

    return texts


def making_socket(abi: str, more: int) -> Whole:
    """socket(2), socketpair(2): the name of a protocol is one of its family."""
    family = named("one", ["family", "AF_???"], abi)
    kind = named("socket_type", [], abi)
    protocols: dict[int, Named] = {
        2: one_of(constants(abi)["ip_protocol"], "IPPROTO_???"),
        16: one_of(constants(abi)["netlink"], "NETLINK_???"),
    }
    protocols[10] = protocols[2]
    ethernet = dict(LOCAL["ethernet"])

    def of_packets(value: int) -> str:
        value = socket.ntohs(value & 0xFFFF)
        return f"htons({ethernet.get(value) or f'{value:#x} /* ETH_P_??? */' if value else '0 /* ETH_P_??? */'})"

    protocols[17] = of_packets

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        names = protocols.get(args[0])
        word = names(args[2]) if names is not None and not more else str(args[2] & 0xFFFFFFFF)
        pair = [memory.POINTING["array_out"](args[3], record, process)] if more else []
        return [family(args[0]), kind(args[1]), word, *pair]

    return texts


def socket_option(abi: str, *, asks: bool) -> Whole:
    """getsockopt(2), setsockopt(2)."""
    words = option_words(abi)
    before_and_after = length_out(4)

    def texts(record: Record, process: Process) -> list[str]:
        place, level, option, _value, length = record.args[:5]
        found = [kinds.descriptor(place, record, process), *words(level, option), option_value(record, asks=asks)]
        if asks:
            return [*found, before_and_after(length, record, process)]
        return [*found, kinds.signed(length, record, process)]

    return texts


def entries(record: Record, process: Process) -> list[str]:
    """getdents64(2): how many entries there were is in the buffer; that there were none is told by the result."""
    place, buffer, length = record.args[:3]
    text = kinds.pointer(buffer, record, process)
    none = " /* 0 entries */" if record.result == 0 else ""
    return [kinds.descriptor(place, record, process), text + none, str(length & 0xFFFFFFFF)]


WHOLE: dict[str, Callable[[str], Whole]] = {
    **OPERATIONS,
    "rt_sigreturn": returning,
    "restart_syscall": lambda abi: lambda record, process: ["<... resuming interrupted system call ...>"],
    "open": partial(opening, first=0),
    "openat": partial(opening, first=1),
    "mremap": remapping,
    "clone": cloning,
    "execve": partial(becoming, first=0),
    "execveat": partial(becoming, first=1),
    "clone3": cloning_by_structure,
    "futex": locking,
    "prctl": controlling,
    "socket": partial(making_socket, more=0),
    "socketpair": partial(making_socket, more=1),
    "getsockopt": partial(socket_option, asks=True),
    "setsockopt": partial(socket_option, asks=False),
    "fcntl": file_command,
    "ioctl": device_request,
    "getdents": lambda abi: entries,
    "getdents64": lambda abi: entries,
}
"""What makes the printer of a call, by its name."""
