"""Calls of which one argument says what the others are: keyctl, the controls of IPC, mknod, openat2."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import partial

from straced.records.text import kinds, memory
from straced.records.text.flags import flags, one_of
from straced.records.text.kinds import Whole
from straced.records.text.local_sets import LOCAL, personality
from straced.records.text.named import named, open_flags
from straced.records.text.processes import Process
from straced.records.text.tables import constants
from straced.records.text.tracing import tracing
from straced.records.values import Record

_FILLED = memory.left_out("{...}", filled=True)
_GIVEN = memory.left_out("{...}")
_IPC_64 = 0x100
"""Of the commands of IPC, for programs of old; strace does not print it where it is usual."""


def making_node(abi: str, first: int) -> Whole:
    """mknod(2), mknodat(2): the number of a device only of what is one."""
    types = dict(constants(abi)["file_type"])
    bits = ((0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX"))
    at = memory.path(first)

    def texts(record: Record, process: Process) -> list[str]:
        args, mode = record.args, record.args[first + 1] & 0xFFFF
        kind = types.get(mode & 0o170000)
        words = [kind] if kind is not None else []
        words += [name for bit, name in bits if kind is not None and mode & bit]
        rest = mode & 0o777 if kind is not None else mode
        words.append(kinds.octal(rest, record, process))
        found = [kinds.directory(args[0], record, process)] if first else []
        found += [at(args[first], record, process), "|".join(words)]
        if kind in ("S_IFCHR", "S_IFBLK"):
            device = args[first + 2]
            found.append(f"makedev({os.major(device):#x}, {os.minor(device):#x})")
        return found

    return texts


def opening_how(abi: str) -> Whole:
    """openat2(2)."""
    words, resolve = open_flags(abi), flags(LOCAL["resolve"], "RESOLVE_???")
    at = memory.path(1)

    def how(value: int, record: Record, process: Process) -> str:
        blob = record.blobs.get(2)
        if blob is None or blob.unread or len(blob.data) < 24:
            return _GIVEN(value, record, process)
        asked, mode, way = struct.unpack_from("=3Q", blob.data)
        mode_text = f", mode={kinds.octal(mode, record, process)}" if mode or asked & 0o100 else ""
        return f"{{flags={words(asked)}{mode_text}, resolve={resolve(way)}}}"

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        found = [kinds.directory(args[0], record, process), at(args[1], record, process)]
        return [*found, how(args[2], record, process), str(args[3])]

    return texts


def opening_queue(abi: str) -> Whole:
    """mq_open(2): the mode and the attributes are arguments only of what makes a queue."""
    words, at = open_flags(abi), memory.path(0)

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        found = [at(args[0], record, process), words(args[1])]
        if args[1] & 0o100:
            found += [kinds.octal(args[2], record, process), _GIVEN(args[3], record, process)]
        return found

    return texts


def vectored(abi: str) -> Whole:
    """preadv2(2), pwritev2(2): the upper half of the position is no argument of a 64-bit machine."""
    how, parts = flags(constants(abi)["rwf"], "RWF_???"), memory.left_out("[...]", counted=2)

    def texts(record: Record, process: Process) -> list[str]:
        place, vector, count, position, _, asked = record.args[:6]
        found = [kinds.descriptor(place, record, process), parts(vector, record, process), str(count)]
        return [*found, kinds.signed_long(position, record, process), how(asked)]

    return texts


def ipc_control(abi: str, which: str, unknown: str, numbers: int) -> Whole:
    """shmctl(2), semctl(2), msgctl(2): a structure that is asked for or given, or a number."""
    names = one_of(constants(abi)[which], unknown)

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        command, last = args[numbers] & 0xFFFFFFFF & ~_IPC_64, args[numbers + 1]
        word = names(command)
        found = [*(kinds.signed(each, record, process) for each in args[:numbers]), word]
        if "STAT" in word or "INFO" in word:
            return [*found, _FILLED(last, record, process)]
        return [*found, (_GIVEN if word == "IPC_SET" else kinds.pointer)(last, record, process)]

    return texts


def comparing(abi: str) -> Whole:
    """kcmp(2): which descriptors only where descriptors are compared."""
    names = one_of(LOCAL["kcmp"], "KCMP_???")

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        found = [*(kinds.signed(each, record, process) for each in args[:2]), names(args[2])]
        match found[-1]:
            case "KCMP_FILE":
                return [*found, *(kinds.unsigned(each, record, process) for each in args[3:5])]
            case "KCMP_EPOLL_TFD":
                return [*found, kinds.unsigned(args[3], record, process), _GIVEN(args[4], record, process)]
        return found

    return texts


def reading_log(abi: str) -> Whole:
    """syslog(2): the buffer only of what reads, a level only of what sets one."""
    names = dict(LOCAL["syslog"])

    def texts(record: Record, process: Process) -> list[str]:
        command, buffer, length = record.args[0] & 0xFFFFFFFF, *record.args[1:3]
        found = [f"{command} /* {names.get(command, 'SYSLOG_ACTION_???')} */"]
        if command in (0, 1, 5, 6, 7, 9, 10):
            return found
        shown = memory.bytes_out if command in (2, 3, 4) else kinds.pointer
        return [*found, shown(buffer, record, process), kinds.signed(length, record, process)]

    return texts


def being(abi: str) -> Whole:
    """personality(2)."""
    return lambda record, process: [personality(record.args[0], abi, asks=True)]


def keeping_keys(abi: str) -> Whole:
    """keyctl(2): as many arguments as the operations known here take."""
    names = one_of(constants(abi)["key_command"], "KEYCTL_???")
    key = kinds.for_value(named("key", [], abi))
    text, size, buffer = memory.POINTING["text"], kinds.size, memory.bytes_out
    shapes: dict[str, tuple[kinds.Formatter, ...]] = {
        "GET_KEYRING_ID": (key, kinds.signed), "JOIN_SESSION_KEYRING": (text,), "REVOKE": (key,), "CLEAR": (key,),
        "INVALIDATE": (key,), "CHOWN": (key, kinds.identity, kinds.identity), "DESCRIBE": (key, buffer, size),
        "READ": (key, buffer, size), "GET_SECURITY": (key, buffer, size), "LINK": (key, key), "UNLINK": (key, key),
        "SEARCH": (key, text, text, key), "SET_TIMEOUT": (key, kinds.unsigned), "ASSUME_AUTHORITY": (key,),
        "SESSION_TO_PARENT": (), "GET_PERSISTENT": (kinds.identity, key), "NEGATE": (key, kinds.unsigned, key),
        "UPDATE": (key, memory.bytes_in(3), size), "INSTANTIATE": (key, memory.bytes_in(3), size, key),
    }  # fmt: skip

    def texts(record: Record, process: Process) -> list[str]:
        word = names(record.args[0])
        shape = shapes.get(word.removeprefix("KEYCTL_"), (kinds.hexadecimal,) * 4)
        return [word, *(each(value, record, process) for each, value in zip(shape, record.args[1:], strict=False))]

    return texts


OPERATIONS: dict[str, Callable[[str], Whole]] = {
    "mknod": partial(making_node, first=0),
    "mknodat": partial(making_node, first=1),
    "openat2": opening_how,
    "preadv2": vectored,
    "pwritev2": vectored,
    "mq_open": opening_queue,
    "shmctl": partial(ipc_control, which="shared_command", unknown="SHM_???", numbers=1),
    "msgctl": partial(ipc_control, which="queue_command", unknown="MSG_???", numbers=1),
    "semctl": partial(ipc_control, which="semaphore_command", unknown="SEM_???", numbers=2),
    "kcmp": comparing,
    "syslog": reading_log,
    "personality": being,
    "keyctl": keeping_keys,
    "ptrace": tracing,
}
"""What makes the printer of a call, by its name."""
