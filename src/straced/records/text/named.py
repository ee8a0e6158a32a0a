"""Arguments that are names: one of several values, or flags."""

from __future__ import annotations

from collections.abc import Callable

from straced.records.text.flags import Named, flags, mode_and_flags, one_of
from straced.records.text.local_sets import ACCESS, LOCAL, io_priority, swap_flags
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants


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
        return one_of(LOCAL.get(words[0]) or table[words[0]], words[1])
    if kind == "flags":
        names = LOCAL.get(words[0]) or table.get(words[0], ()) if words else ()
        return flags(names, words[1] if len(words) > 1 else "???", words[2] if len(words) > 2 else "0")
    if kind == "creation":  # the two flags of calls that make a descriptor, by the name that the call has for them
        return _creation(words[0] if words else "O_", abi)
    if kind == "ipc_mode":
        return _ipc_mode(words[0], abi)
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


def _ipc_mode(words: str, abi: str) -> Named:
    """Flags, and the rights of what is made."""
    names = flags(constants(abi)[words], "")

    def mode(value: int) -> str:
        rights = value & 0o777
        text = f"0{rights:o}" if rights > 0o77 else f"{rights:03o}"
        return f"{names(value & ~0o777)}|{text}" if value & 0xFFFFFFFF & ~0o777 else text

    return mode


def _key(abi: str) -> Named:
    """The number of a key: small negative ones are keyrings that every process has."""
    special = {value & 0xFFFFFFFF: name for value, name in constants(abi)["key_special"]}

    def key(value: int) -> str:
        value &= 0xFFFFFFFF
        return special.get(value) or str(value - 0x100000000 if value >> 31 else value)

    return key


def _fanotify(abi: str) -> Named:
    table = constants(abi)
    return mode_and_flags(one_of(table["fanotify_class"], "FAN_CLASS_???"), 0xC, flags(table["fanotify_init"], ""))


def _memory_mode(abi: str) -> Named:
    both = constants(abi)["memory_mode"]
    mask = 0xFFFFFFFF & ~sum(value for value, _ in both)
    return mode_and_flags(one_of(LOCAL["memory_kind"], "MPOL_???"), mask, flags(both, ""))


def _mount(abi: str) -> Named:
    names = flags(constants(abi)["mount"], "MS_???")

    def text(value: int) -> str:
        if value & 0xFFFF0000 != _MOUNT_MAGIC:
            return names(value)
        return f"MS_MGC_VAL|{names(value & 0xFFFF)}" if value & 0xFFFF else "MS_MGC_VAL"

    return text


_MOUNT_MAGIC = 0xC0ED0000
"""What mount(8) of old put into the flags."""
_MADE: dict[str, Callable[[str], Named]] = {
    "made_with": lambda abi: flags(_of_open(abi), "O_???"),
    "access": lambda abi: flags(ACCESS, "?_OK", "F_OK"),
    "open": open_flags,
    "mmap": _mmap,
    "statx_flags": _statx,
    "socket_type": _socket_type,
    "signal": _signal,
    "mount_flags": _mount,
    "memory_mode": _memory_mode,
    "fanotify": _fanotify,
    "key": _key,
    "ipc_key": lambda abi: lambda value: f"{value & 0xFFFFFFFF:#x}" if value & 0xFFFFFFFF else "IPC_PRIVATE",
    "policy": lambda abi: one_of(
        ((value, name.replace("NORMAL", "OTHER")) for value, name in constants(abi)["scheduler"]), "SCHED_???"
    ),
    "ioprio": lambda abi: io_priority,
    "swap": lambda abi: swap_flags,
}
