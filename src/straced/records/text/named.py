"""Arguments that are names: one of several values, or flags."""

from __future__ import annotations

from collections.abc import Callable

from straced.records.text.flags import Named, flags, mode_and_flags, one_of
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants

_ACCESS = ((4, "R_OK"), (2, "W_OK"), (1, "X_OK"))
_SPLICE = ((1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT"))
_CLOSE_RANGE = ((2, "CLOSE_RANGE_UNSHARE"), (4, "CLOSE_RANGE_CLOEXEC"))
_LINKAT = ((0x400, "AT_SYMLINK_FOLLOW"), (0x1000, "AT_EMPTY_PATH"))
_XATTR = ((1, "XATTR_CREATE"), (2, "XATTR_REPLACE"))
_LOCAL = {"access": _ACCESS, "splice": _SPLICE, "close_range": _CLOSE_RANGE, "linkat": _LINKAT, "xattr": _XATTR}
"""Sets that no header of the UAPI has, or only among others."""


def named(kind: str, words: list[str], abi: str) -> Named:
    """Make what prints an argument of a kind.

    Args:
        kind: ``one``, ``flags``, or one of this module.
        words: the name of a set, what strace calls a member that it does not know, and how no flag at all is written.

    Raises:
        ValueError: there is no such kind.
    """
    table = constants(abi)
    if kind == "one":
        return one_of(table[words[0]], words[1])
    if kind == "flags":
        names = _LOCAL.get(words[0]) or table.get(words[0], ()) if words else ()
        return flags(names, words[1] if len(words) > 1 else "???", words[2] if len(words) > 2 else "0")
    if kind == "creation":  # the two flags of calls that make a descriptor, by the name that the call has for them
        return _creation(words[0] if words else "O_", abi)
    if kind in _MADE:
        return _MADE[kind](abi)
    raise ValueError(kind)


def open_flags(abi: str) -> Named:
    """Make what prints the flags of open(2)."""
    return mode_and_flags(one_of(constants(abi)["access_mode"], "O_???"), 3, flags(_of_open(abi), ""))


def _of_open(abi: str) -> list[tuple[int, str]]:
    """The flags of open(2) in strace's order; two of them are made of others."""
    at = {name: value for value, name in constants(abi)["open"]}
    sync = [(at["__O_SYNC"] | at["O_DSYNC"], "O_SYNC"), (at["O_DSYNC"], "O_DSYNC")]
    last = [(at["__O_TMPFILE"] | at["O_DIRECTORY"], "O_TMPFILE"), (at["O_DIRECTORY"], "O_DIRECTORY")]
    last.append((at["FASYNC"], "FASYNC"))
    apart = {name for _, name in sync + last} | {"__O_SYNC", "__O_TMPFILE"}
    found: list[tuple[int, str]] = []
    for value, name in constants(abi)["open"]:
        if name not in apart:
            found += [(value, name), *(sync if name == "O_NONBLOCK" else [])]
    return found + last


def _creation(prefix: str, abi: str) -> Named:
    at = {name: value for value, name in constants(abi)["open"]}
    if prefix == "EPOLL_":
        return flags([(at["O_CLOEXEC"], "EPOLL_CLOEXEC")], "EPOLL_???")
    found = [(at["O_NONBLOCK"], f"{prefix}NONBLOCK"), (at["O_CLOEXEC"], f"{prefix}CLOEXEC")]
    if prefix in ("EFD_", "TFD_", "SFD_"):
        found.reverse()
    if prefix == "EFD_":
        found.insert(0, (1, "EFD_SEMAPHORE"))
    return flags(found, f"{prefix}???")


def _mmap(abi: str) -> Named:
    table = constants(abi)
    return mode_and_flags(one_of(table["mmap_type"], "MAP_???"), 0xF, flags(table["mmap"], ""))


def _statx(abi: str) -> Named:
    sync = {0: "AT_STATX_SYNC_AS_STAT", 0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC"}
    return mode_and_flags(one_of(sync.items(), "AT_STATX_???"), 0x6000, flags(constants(abi)["at"], ""))


def _socket_type(abi: str) -> Named:
    table = constants(abi)
    return mode_and_flags(one_of(table["socket_type"], "SOCK_???"), 0xF, flags(table["socket_flags"], ""))


def _signal(abi: str) -> Named:
    names = dict(constants(abi)["signal"])
    return lambda value: signal_name(value & 0xFFFFFFFF, names)


_MADE: dict[str, Callable[[str], Named]] = {
    "made_with": lambda abi: flags(_of_open(abi), "O_???"),
    "access": lambda abi: flags(_ACCESS, "?_OK", "F_OK"),
    "open": open_flags,
    "mmap": _mmap,
    "statx_flags": _statx,
    "socket_type": _socket_type,
    "signal": _signal,
}
