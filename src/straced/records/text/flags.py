"""Values by name: one of several, or a set of flags; what has no name is printed as a number, as strace does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Named = Callable[[int], str]
_MOST = 4096
"""Values whose text is kept, for each set."""


def _remembered(make: Named) -> Named:
    """Keep the texts of the values seen: programs use few."""
    texts: dict[int, str] = {}

    def text(value: int) -> str:
        found = texts.get(value)
        if found is None:
            found = make(value)
            if len(texts) < _MOST:
                texts[value] = found
        return found

    return text


def one_of(names: Iterable[tuple[int, str]], unknown: str, bits: int = 32) -> Named:
    """Name a value that is one of several.

    Args:
        unknown: what strace puts into a comment behind a number without a name, such as ``SEEK_???``.
        bits: of the argument; the kernel does not look at those above.
    """
    mask = (1 << bits) - 1
    table = {value & mask: name for value, name in names}

    def make(value: int) -> str:
        value &= mask
        return table.get(value) or f"{value:#x} /* {unknown} */"

    return _remembered(make)


def flags(names: Iterable[tuple[int, str]], unknown: str, zero: str = "0", bits: int = 32) -> Named:
    """Name each bit of a set of flags."""
    table = tuple((value, name) for value, name in names if value)
    mask = (1 << bits) - 1

    def make(value: int) -> str:
        left = value & mask
        if not left:
            return zero
        parts = []
        for bit, name in table:
            if left & bit == bit:
                parts.append(name)
                left &= ~bit
        if not parts:
            return f"{left:#x} /* {unknown} */" if unknown else f"{left:#x}"
        return "|".join([*parts, f"{left:#x}"] if left else parts)

    return _remembered(make)


def mode_and_flags(mode: Named, mode_mask: int, others: Named) -> Named:
    """Name a value that holds one of several and flags beside it: the access mode of open(2), the type of a mapping."""

    def make(value: int) -> str:
        rest = value & 0xFFFFFFFF & ~mode_mask
        return f"{mode(value & mode_mask)}|{others(rest)}" if rest else mode(value & mode_mask)

    return _remembered(make)
