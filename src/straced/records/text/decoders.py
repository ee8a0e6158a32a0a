"""The decoders of all structures, by the name that the kinds of arguments have for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from straced.records.text import file_structures, structures, task_structures, terminals
from straced.records.text.structures import Decoder

_SAME: dict[str, tuple[int, Decoder]] = {
    **structures.DECODERS,
    "restored_mask": (8, task_structures.restored_mask),
    "limits": (16, task_structures.limits),
    "usage": (32, task_structures.usage),
    "ticks": (32, task_structures.ticks),
    "sysinfo": (112, task_structures.system_information),
    "utsname": (130, task_structures.system_names),
    "window": (8, terminals.window),
}
"""Those that are the same in each 64-bit ABI: the bytes that one needs, and itself."""
_MADE: dict[str, tuple[int, Callable[[str], Decoder]]] = {
    "stat": (56, file_structures.stat),
    "statx": (48, file_structures.statx),
    "statfs": (88, file_structures.statfs),
    "lock": (32, partial(file_structures.lock, owned=False)),
    "owned_lock": (32, partial(file_structures.lock, owned=True)),
    "owner": (8, file_structures.owner),
    "epoll_event": (12, structures.epoll_event),
    "sigaction": (32, task_structures.sigaction),
    "sigaltstack": (24, task_structures.sigaltstack),
    "new_task": (64, task_structures.new_task),
    "termios": (16, partial(terminals.settings, shape="=4I")),
    "termio": (8, partial(terminals.settings, shape="=4H")),
}
_ARRAYS = frozenset({"number", "offset", "signal_set", "wait_status", "processors"})
"""What strace has in brackets."""


def decoder_of(kind: str, abi: str) -> tuple[int, Decoder] | None:
    """The bytes that a structure needs to be printed, and what prints it; ``None`` of what is none.

    Args:
        kind: its name here.
        abi: whose structure it is.
    """
    if kind in _MADE:
        needed, make = _MADE[kind]
        return needed, make(abi)
    return _SAME.get(kind)


def left_out_shape(kind: str) -> str:
    """What is printed in place of one that a record does not hold."""
    return "[...]" if kind in _ARRAYS else "{...}"
