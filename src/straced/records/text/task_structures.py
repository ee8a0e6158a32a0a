"""What calls tell of tasks and of the machine: handlers of signals, limits, times, names."""

from __future__ import annotations

import struct

from straced.records.text.flags import flags
from straced.records.text.quoting import quoted
from straced.records.text.structures import Decoder, pointer, signal_name, signal_set
from straced.records.text.tables import constants

_HANDLERS = {0: "SIG_DFL", 1: "SIG_IGN", 0xFFFFFFFFFFFFFFFF: "SIG_ERR"}
_RESTORER = 0x4000000
_NO_LIMIT = 0xFFFFFFFFFFFFFFFF
_NAME_BYTES = 65
_INTO_CGROUP, _WITH_CGROUP = 0x200000000, 88
_SYSINFO = ("freeram", "sharedram", "bufferram", "totalswap", "freeswap")


def sigaction(abi: str) -> Decoder:
    """Make the decoder of a ``struct sigaction`` as rt_sigaction(2) has it."""
    names = list(constants(abi)["sigaction"])
    names.insert(1 + names.index((0x10000000, "SA_RESTART")), (0x20000000, "SA_INTERRUPT"))  # known to C libraries only
    words = flags(names, "SA_???", bits=64)

    def text(data: bytes) -> str:
        handler, how, restorer = struct.unpack_from("=3Q", data)
        found = f"sa_handler={_HANDLERS.get(handler) or pointer(handler)}, sa_mask={signal_set(data[24:])}"
        rest = f", sa_restorer={pointer(restorer)}" if how & _RESTORER else ""
        return f"{{{found}, sa_flags={words(how)}{rest}}}"

    return text


def sigaltstack(abi: str) -> Decoder:
    """Make the decoder of a ``stack_t``."""
    words = flags(constants(abi)["sigaltstack"], "SS_???")

    def text(data: bytes) -> str:
        address, how, size = struct.unpack_from("=QI4xQ", data)
        return f"{{ss_sp={pointer(address)}, ss_flags={words(how)}, ss_size={size}}}"

    return text


def restored_mask(data: bytes) -> str:
    """The signals that are blocked when a handler has returned."""
    return f"{{mask={signal_set(data)}}}"


def limits(data: bytes) -> str:
    """A ``struct rlimit`` of 64 bits."""
    now, most = struct.unpack_from("=QQ", data)
    return f"{{rlim_cur={_limit(now)}, rlim_max={_limit(most)}}}"


def _limit(value: int) -> str:
    if value == _NO_LIMIT:
        return "RLIM64_INFINITY"
    return f"{value >> 10}*1024" if value > 1024 and not value % 1024 else str(value)


def usage(data: bytes) -> str:
    """A ``struct rusage``."""
    user, user_part, system, system_part = struct.unpack_from("=4q", data)
    times = f"ru_utime={{tv_sec={user}, tv_usec={user_part}}}, ru_stime={{tv_sec={system}, tv_usec={system_part}}}"
    return f"{{{times}, ...}}"


def ticks(data: bytes) -> str:
    """A ``struct tms``."""
    user, system, of_children, in_children = struct.unpack_from("=4q", data)
    return f"{{tms_utime={user}, tms_stime={system}, tms_cutime={of_children}, tms_cstime={in_children}}}"


def system_information(data: bytes) -> str:
    """A ``struct sysinfo``."""
    uptime, *_loads, total = struct.unpack_from("=q3QQ", data)
    parts = struct.unpack_from("=5Q", data, 40)
    tasks, high, free_high, unit = struct.unpack_from("=H6xQQI", data, 80)
    fields = [f"uptime={uptime}", "loads=[...]", f"totalram={total}"]
    fields += [f"{name}={value}" for name, value in zip(_SYSINFO, parts, strict=True)]
    fields += [f"procs={tasks}", f"totalhigh={high}", f"freehigh={free_high}", f"mem_unit={unit}"]
    return f"{{{', '.join(fields)}}}"


def system_names(data: bytes) -> str:
    """The first two names of a ``struct utsname``."""
    names = [data[at : at + _NAME_BYTES].partition(b"\0")[0] for at in (0, _NAME_BYTES)]
    return f"{{sysname={quoted(names[0])}, nodename={quoted(names[1])}, ...}}"


def new_task(abi: str) -> Decoder:
    """Make the decoder of a ``struct clone_args``, without what the kernel fills in."""
    words = flags(constants(abi)["clone3"], "CLONE_???", bits=64)
    signals = dict(constants(abi)["signal"])

    def text(data: bytes) -> str:
        how, descriptor, child, parent, number, stack, size, tls = struct.unpack_from("=8Q", data)
        if any(data[64:80]):  # set_tid, a pointer to more
            return "{...}"
        fields = [f"flags={words(how)}"]
        if how & 0x1000:  # CLONE_PIDFD
            fields.append(f"pidfd={pointer(descriptor)}")
        if how & 0x1200000:  # CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID
            fields.append(f"child_tid={pointer(child)}")
        if how & 0x100000:  # CLONE_PARENT_SETTID
            fields.append(f"parent_tid={pointer(parent)}")
        fields.append(f"exit_signal={signal_name(number, signals) if number else '0'}")
        fields += [f"stack={pointer(stack)}", f"stack_size={size:#x}" if size else "stack_size=0"]
        if how & 0x80000:  # CLONE_SETTLS
            fields.append(f"tls={pointer(tls)}")
        if how & _INTO_CGROUP and len(data) >= _WITH_CGROUP:
            fields.append(f"cgroup={struct.unpack_from('=Q', data, 80)[0]}")
        return f"{{{', '.join(fields)}}}"

    return text
