"""Structures as strace writes them, from their bytes: those that records hold."""

from __future__ import annotations

import struct
from collections.abc import Callable

from straced.records.text.flags import Named, flags
from straced.records.text.tables import constants

Decoder = Callable[[bytes], str]
REALTIME_FIRST, LAST_SIGNAL = 32, 64


def timespec(data: bytes) -> str:
    """A ``struct timespec`` of 64 bits."""
    seconds, nanoseconds = struct.unpack_from("=qq", data)
    return f"{{tv_sec={seconds}, tv_nsec={nanoseconds}}}"


def timeval(data: bytes) -> str:
    """A ``struct timeval`` of 64 bits."""
    seconds, microseconds = struct.unpack_from("=qq", data)
    return f"{{tv_sec={seconds}, tv_usec={microseconds}}}"


def number(data: bytes) -> str:
    """An int that a pointer leads to."""
    return f"[{struct.unpack_from('=i', data)[0]}]"


def signal_name(value: int, names: dict[int, str]) -> str:
    """``SIGCHLD``, ``SIGRT_1``; the number of one that there is not."""
    if value in names:
        return names[value]
    if REALTIME_FIRST <= value <= LAST_SIGNAL:
        return "SIGRTMIN" if value == REALTIME_FIRST else f"SIGRT_{value - REALTIME_FIRST}"
    return str(value)


def signal_set(data: bytes) -> str:
    """A set of signals; one that holds more than two thirds of them is told by those that it lacks."""
    bits = int.from_bytes(data[:8], "little")
    there = [n for n in range(1, LAST_SIGNAL + 1) if bits >> n - 1 & 1]
    tilde = ""
    if len(there) >= LAST_SIGNAL * 2 // 3:
        tilde, there = "~", [n for n in range(1, LAST_SIGNAL + 1) if not bits >> n - 1 & 1]
    return f"{tilde}[{' '.join(signal_name(n, _SIGNALS).removeprefix('SIG') for n in there)}]"


_SIGNALS = dict(constants("x86_64")["signal"])


def wait_status(data: bytes) -> str:
    """What wait4(2) tells of a child."""
    status = struct.unpack_from("=i", data)[0]
    low, high = status & 0x7F, status >> 8 & 0xFF
    if status == 0xFFFF:
        return "[{WIFCONTINUED(s)}]"
    if low == 0:
        return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {high}}}]"
    if low == 0x7F:
        rest = f" | {status >> 16:#x} << 16" if status >> 16 else ""
        return f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(high, _SIGNALS)}}}{rest}]"
    core = " && WCOREDUMP(s)" if status & 0x80 else ""
    return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(low, _SIGNALS)}{core}}}]"


def epoll_event(abi: str) -> Decoder:
    """Make the decoder of a ``struct epoll_event``, which is packed on x86-64; its data is the program's own."""
    shape = "=IQ" if abi == "x86_64" else "=I4xQ"

    def text(data: bytes) -> str:
        if len(data) < struct.calcsize(shape):
            return "{...}"
        events, own = struct.unpack_from(shape, data)
        return f"{{events={_EPOLL(events)}, data={{u32={own & 0xFFFFFFFF}, u64={own}}}}}"

    return text


_EPOLL: Named = flags(constants("x86_64")["epoll_events"], "EPOLL???")


def pointer(value: int) -> str:
    """An address in a structure."""
    return f"{value:#x}" if value else "NULL"


def interval(unit: str) -> Decoder:
    """Make the decoder of a ``struct itimerval`` (``usec``) or ``itimerspec`` (``nsec``)."""

    def text(data: bytes) -> str:
        every, rest, value, part = struct.unpack_from("=4q", data)
        first = f"it_interval={{tv_sec={every}, tv_{unit}={rest}}}"
        return f"{{{first}, it_value={{tv_sec={value}, tv_{unit}={part}}}}}"

    return text


def processors(data: bytes) -> str:
    """A set of processors."""
    bits = int.from_bytes(data, "little")
    return f"[{' '.join(str(place) for place in range(8 * len(data)) if bits >> place & 1)}]"


def offset(data: bytes) -> str:
    """A position in a file that a pointer leads to."""
    return f"[{struct.unpack_from('=q', data)[0]}]"


DECODERS: dict[str, tuple[int, Decoder]] = {
    "timespec": (16, timespec),
    "timeval": (16, timeval),
    "number": (4, number),
    "offset": (8, offset),
    "signal_set": (8, signal_set),
    "wait_status": (4, wait_status),
    "itimerval": (32, interval("usec")),
    "itimerspec": (32, interval("nsec")),
    "processors": (1, processors),
}
"""By kind: the bytes that a decoder needs, and itself."""
