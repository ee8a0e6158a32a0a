"""Nanoseconds, bytes, counts and durations, to text and back."""

from __future__ import annotations

import re

from straced.errors import InvalidArgument

_DURATION_UNITS = {
    "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9,
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SIZE_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_duration_ns(text: str) -> int:
    """Read ``30s``, ``1.5s``, ``250ms``, ``100us``, ``2h30m``, ``7d`` or a bare number of seconds.

    Raises:
        InvalidArgument: not a duration, or not above zero.
    """
    stripped = text.strip()
    total = 0.0
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        total = float(stripped) * 10**9
    else:
        matches = list(_DURATION.finditer(stripped))
        if not matches or "".join(m.group() for m in matches) != stripped:
            raise InvalidArgument(f"{text!r} is not a duration", hint="write it as 100us, 20ms, 30s, 5m or 2h30m")
        total = sum(float(m.group(1)) * _DURATION_UNITS[m.group(2)] for m in matches)
    if not 0 < total < 2**63:
        raise InvalidArgument(f"{text!r} is not above zero", hint="write it as 100us, 20ms, 30s, 5m or 2h30m")
    return int(total)


def parse_size_bytes(text: str) -> int:
    """Read ``1000``, ``64k``, ``50MB`` (powers of 1000) or ``50MiB`` (powers of 1024).

    Raises:
        InvalidArgument: not a size, or not above zero.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f"{text!r} is not a size", hint="write it as 500k, 50MB or 1GiB")
    base = 1024 if match.group(3) else 1000
    size = float(match.group(1)) * base ** _SIZE_POWER[match.group(2).lower()]
    if not 1 <= size < 2**63:
        raise InvalidArgument(f"{text!r} is not above zero, or too much", hint="write it as 500k, 50MB or 1GiB")
    return int(size)


def format_count(value: int | None) -> str:
    """``1204331`` -> ``1,204,331``; an unknown count is ``-``."""
    return "-" if value is None else f"{value:,}"


def count_of(value: int | None, one: str, many: str | None = None) -> str:
    """A count with its noun: ``1 call``, ``1,204 calls``, ``2 processes``; of an unknown count ``- calls``.

    Args:
        value: the count.
        one: the noun, or a phrase, of one.
        many: of any other number; with the usual ending unless given.
    """
    if many is None:
        many = f"{one}es" if one.endswith(("s", "x", "ch", "sh")) else f"{one}s"
    return f"{format_count(value)} {one if value == 1 else many}"


def format_ns(value: int | None) -> str:
    """A time in the unit that keeps two or three digits: ``3 ns``, ``1.2 us``, ``98 ms``, ``12.4 s``, ``20.3 h``."""
    if value is None:
        return "-"
    for limit, unit, size in ((10**3, "ns", 1), (10**6, "us", 10**3), (10**9, "ms", 10**6)):
        if value < limit:
            return _digits(value / size, unit, decimal_below=0 if size == 1 else 9.95)
    if value < 10**13:
        return _digits(value / 10**9, "s", decimal_below=99.95)
    return _digits(value / (3600 * 10**9), "h", decimal_below=99.95)


def format_span(ns: int) -> str:
    """A stretch of time: ``212 ms``, ``41.2 s``; from two minutes on ``9 min 49 s``, ``3 h 12 min``, ``2 d 4 h``."""
    seconds = ns // 10**9
    if seconds < 120:
        return format_ns(ns)
    for limit, (big, small), size in ((7200, ("min", "s"), 60), (172_800, ("h", "min"), 3600)):
        if seconds < limit:
            return f"{seconds // size} {big} {seconds % size // (size // 60)} {small}"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def _digits(value: float, unit: str, *, decimal_below: float) -> str:
    if value == 0:
        return f"0 {unit}"
    return f"{value:.1f} {unit}" if value < decimal_below else f"{value:,.0f} {unit}"


def format_bytes(value: int | None) -> str:
    """``52428800`` -> ``52.4 MB`` (powers of 1000)."""
    if value is None:
        return "-"
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_pct(value: float | None) -> str:
    """``12.54`` -> ``12.5 %``; an unknown share is ``-``."""
    return "-" if value is None else f"{value:.1f} %"
