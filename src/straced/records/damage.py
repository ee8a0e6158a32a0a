"""What of a file of records is not as it was written, in words."""

from __future__ import annotations

from msgspec import Struct

MOST_TOLD = 5


class DamagedPart(Struct):
    """A part that was left out."""

    at: int
    end: int
    what: str
    """``records of CPU 1``."""
    after_ns: int | None = None
    """When the last record before it was written on that CPU, by CLOCK_MONOTONIC."""
    before_ns: int | None = None
    """When the first one behind it was."""

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.end - self.at


def told(parts: list[DamagedPart], begun_ns: int) -> list[str]:
    """Say which parts are damaged.

    Args:
        parts: in any order.
        begun_ns: when the recording began.
    """
    if not parts:
        return []
    ordered = sorted(parts, key=lambda part: part.at)
    words = [_sentence(part, begun_ns) for part in ordered[:MOST_TOLD]]
    if more := ordered[MOST_TOLD:]:
        words.append(f"{len(more):,} more parts are damaged likewise: {sum(part.bytes for part in more):,} bytes")
    return [*words[:-1], f"{words[-1]}; what is left is as it was written"]


def _sentence(part: DamagedPart, begun_ns: int) -> str:
    span = _span(part.after_ns, part.before_ns, begun_ns)
    return (
        f"damaged: {part.bytes:,} bytes from byte {part.at:,} on ({part.what}{span}) are not as they were written, "
        "by their checksum, and were left out"
    )


def _span(after_ns: int | None, before_ns: int | None, begun_ns: int) -> str:
    """When its calls ended, counted from the attach."""
    sides = [
        f"{word} {(at - begun_ns) / 1e9:.6f} s"
        for word, at in (("after", after_ns), ("before", before_ns))
        if at is not None
    ]
    return f", {' and '.join(sides)} from the attach on" if sides else ""
