"""fcntl(2) and ioctl(2): the command says what the last argument is, and whether there is one."""

from __future__ import annotations

import re

from straced.records.text import kinds, memory
from straced.records.text.flags import flags, one_of
from straced.records.text.named import open_flags
from straced.records.text.processes import Process
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants
from straced.records.values import Record

_NUMBER = ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETPIPE_SZ", "F_SETOWN")
_NONE = ("F_GETFD", "F_GETFL", "F_GETOWN", "F_GETSIG", "F_GETPIPE_SZ", "F_GETLEASE", "F_GET_SEALS")
_STRUCTURES = {
    **dict.fromkeys(("F_SETLK", "F_SETLKW", "F_OFD_SETLK", "F_OFD_SETLKW"), "lock_in"),
    **dict.fromkeys(("F_GETLK", "F_OFD_GETLK"), "owned_lock_out"),
    "F_SETOWN_EX": "owner_in",
    "F_GETOWN_EX": "owner_out",
}
_NO_ARGUMENT = frozenset(
    """FIOCLEX FIONCLEX TIOCNOTTY TIOCEXCL TIOCNXCL TIOCSBRK TIOCCBRK TIOCCONS FIFREEZE FITHAW BLKRRPART BLKFLSBUF
    LOOP_CLR_FD LOOP_SET_CAPACITY LOOP_CTL_GET_FREE RNDZAPENTCNT RNDCLEARPOOL RNDRESEEDCRNG RTC_AIE_ON RTC_AIE_OFF
    RTC_UIE_ON RTC_UIE_OFF RTC_PIE_ON RTC_PIE_OFF RTC_WIE_ON RTC_WIE_OFF RTC_VL_CLR BTRFS_IOC_SYNC NS_GET_USERNS
    NS_GET_PARENT NS_GET_NSTYPE WDIOC_KEEPALIVE""".split()  # noqa: SIM905
)
_POINTED = re.compile(
    r"BLK(?!RASET|FRASET|SECTSET)\w+|FS_IOC_(GET|SET)(FLAGS|FSLABEL)|FS_IOC_FIEMAP|FITRIM|FI(CLONE|DEDUPE)RANGE"
    r"|RTC_(RD|SET)_TIME|RTC_(ALM|WKALM|PLL)_\w+|LOOP_([GS]ET_STATUS\w*|CONFIGURE)|WDIOC_(GET|SET)\w*T(IMEOUT|IMELEFT)"
    r"|PERF_EVENT_IOC_(PERIOD|ID|SET_FILTER|MODIFY_ATTRIBUTES|QUERY_BPF)|KD(GET(LED|MODE)|GKB(TYPE|MODE|ENT|META|LED))"
    r"|NS_GET_OWNER_UID|RND(GET|ADDTO)ENTCNT"
)
"""Requests whose last argument strace follows: without one it is NULL."""
_LAST = {
    "termios_in": ("TCSETS", "TCSETSW", "TCSETSF", "TCSETS2", "TCSETSW2", "TCSETSF2"),
    "termios_out": ("TCGETS", "TCGETS2"),
    "termio_in": ("TCSETA", "TCSETAW", "TCSETAF"),
    "termio_out": ("TCGETA",),
    "window_in": ("TIOCSWINSZ",),
    "window_out": ("TIOCGWINSZ",),
    "number_in": ("FIONBIO", "FIOASYNC", "TIOCSPGRP", "TIOCPKT", "TIOCSPTLCK", "TIOCMSET", "TIOCMBIS", "TIOCMBIC",
                  "TIOCSETD"),
    "number_out": ("FIONREAD", "TIOCGPGRP", "TIOCGSID", "TIOCOUTQ", "TIOCGPTN", "TIOCMGET", "TIOCGETD", "TIOCGEXCL",
                   "TIOCGPTLCK"),
}  # fmt: skip
"""What the last argument of requests leads to."""
_DIRECTIONS = ("_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE")


def file_command(abi: str) -> kinds.Whole:
    """Make the printer of fcntl(2)."""
    table = constants(abi)
    numbers = {name: value for value, name in table["fcntl"]}
    names = one_of(table["fcntl"], "F_???")
    signals = dict(table["signal"])
    at: dict[int, kinds.Formatter] = {numbers[name]: kinds.signed for name in _NUMBER if name in numbers}
    at |= {numbers["F_SETFD"]: kinds.for_value(flags(table["fd_flags"], "FD_???"))}
    at |= {numbers["F_SETFL"]: kinds.for_value(open_flags(abi))}
    at |= {numbers["F_ADD_SEALS"]: kinds.for_value(flags(table["seal"], "F_SEAL_???"))}
    at |= {numbers["F_NOTIFY"]: kinds.for_value(flags(table["file_notice"], "DN_???"))}
    at |= {numbers["F_SETLEASE"]: kinds.for_value(one_of(table["lock_type"], "F_???"))}
    at |= {numbers["F_SETSIG"]: kinds.for_value(lambda value: signal_name(value, signals))}
    for name, kind in _STRUCTURES.items():
        if name in numbers and (held := memory.held(kind, 2, abi)) is not None:
            at[numbers[name]] = held
    none = {numbers[name] for name in _NONE if name in numbers}

    def texts(record: Record, process: Process) -> list[str]:
        place, command, value = record.args[:3]
        command &= 0xFFFFFFFF
        found = [kinds.descriptor(place, record, process), names(command)]
        if command in none:
            return found
        return [*found, at.get(command, kinds.hexadecimal)(value, record, process)]

    return texts


def device_request(abi: str) -> kinds.Whole:
    """Make the printer of ioctl(2): requests of terminals, files and sockets by name, others by their parts."""
    table = constants(abi)
    named = [*table["terminal"], *table["file_ioctl"], *table["network_ioctl"], *table["device_ioctl"]]
    words = {value & 0xFFFFFFFF: name for value, name in reversed(named)}
    doubled = {value: f"{name} or {words[value]}" for value, name in table["sound_timer"] if value in words}
    clones = dict(table["clone_file"])
    doubled |= {value: f"{name} or {clones[value]}" for value, name in table["clone_btrfs"]}
    cloning = set(clones)
    shapes: dict[str, kinds.Formatter] = {}
    for kind, requests in _LAST.items():
        shapes |= dict.fromkeys(requests, memory.held(kind, 2, abi) or memory.POINTING[kind])

    def texts(record: Record, process: Process) -> list[str]:
        place, request, value = record.args[:3]
        request &= 0xFFFFFFFF
        word = words.get(request)
        found = [kinds.descriptor(place, record, process), doubled.get(request) or word or _parts(request)]
        if request in cloning:
            return [*found, kinds.signed(value, record, process)]
        if word in _NO_ARGUMENT:
            return found
        number = kinds.pointer if word is not None and _POINTED.fullmatch(word) else kinds.hexadecimal
        return [*found, shapes.get(word or "", number)(value, record, process)]

    return texts


def _parts(request: int) -> str:
    """A request as _IOC() makes it: direction, type, number and size."""
    direction, size = _DIRECTIONS[request >> 30], request >> 16 & 0x3FFF
    return f"_IOC({direction}, {request >> 8 & 0xFF:#x}, {request & 0xFF:#x}, {hex(size) if size else 0})"
