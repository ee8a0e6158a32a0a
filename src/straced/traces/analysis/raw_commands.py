"""Commands and flags of calls that are printed as numbers (-X raw), in words."""

from __future__ import annotations

import re

_FUTEX_PRIVATE_OR_CLOCK = 0x80 | 0x100
_FUTEX = {0: b"FUTEX_WAIT", 9: b"FUTEX_WAIT_BITSET", 11: b"FUTEX_WAIT_REQUEUE_PI"}
_FCNTL = {0: b"F_DUPFD", 1030: b"F_DUPFD_CLOEXEC", 2: b"F_SETFD", 7: b"F_SETLKW", 38: b"F_OFD_SETLKW"}
_LOCK_UN = 8
_SECOND = re.compile(rb"([^,]{1,4096}), (0x[0-9a-f]{1,8}|\d{1,9})(?=[,) ]|$)")


def in_words(name: str, args: bytes) -> bytes:
    """Return the arguments of futex, fcntl or flock with the command in words, where it is a number."""
    second = _SECOND.match(args)
    if second is None:
        return args
    number = int(second[2], 0)
    if name.startswith("futex"):
        word = _FUTEX.get(number & ~_FUTEX_PRIVATE_OR_CLOCK)
    elif name.startswith("fcntl"):
        word = _FCNTL.get(number)
    else:
        word = b"LOCK_UN" if number & _LOCK_UN else None
    if word == b"F_SETFD":
        word += b", FD_CLOEXEC" if args[second.end() :].strip(b" ,)") in (b"0x1", b"1") else b""
    return args if word is None else second[1] + b", " + word + args[second.end() :]
