"""What a trace was asked to hold: which calls, and until when."""

from __future__ import annotations

from msgspec import Struct, field

from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes, format_ns

MOST_NAMES = 6
_LIMITS = {
    "max_bytes": "the size given (--max-bytes)",
    "max_seconds": "the time given (-d)",
    "disk_full": "the room on its disk",
    "file_limit": "the file size limit (ulimit -f)",
}


class TraceFilters(Struct, kw_only=True, omit_defaults=True):
    """Set when the trace was begun; what is left out, nobody can find in it."""

    calls: list[str] = field(default_factory=list)
    """Names, classes and regular expressions, as strace's ``-e trace=`` has them; after one with ``!`` all others."""
    paths: list[str] = field(default_factory=list)
    failed_only: bool = False
    slower_ns: int = 0
    max_bytes: int | None = None
    max_seconds: float | None = None

    def sentences(self, left_out: int | None, ended: str) -> list[str]:
        """Say what is not in the trace.

        Args:
            left_out: the calls that were made and left out, where that is known.
            ended: why the trace ended, where that is known.
        """
        found = []
        if words := self._words():
            others = "" if left_out is None else f"; {count_of(left_out, 'other was counted', 'others were counted')}"
            found.append(f"only {words} were recorded{others}")
        if limit := _LIMITS.get(ended):
            found.append(f"the trace ended when it reached {limit}{self._limit(ended)}")
        return found

    def _words(self) -> str:
        parts = ["failing calls" if self.failed_only else "calls"]
        parts += [f"of {format_ns(self.slower_ns)} or more"] if self.slower_ns else []
        if self.calls and self.calls[0].startswith("!"):
            parts.append(f"other than {_listed([self.calls[0][1:], *self.calls[1:]])}")
        elif self.calls:
            parts.append(f"in {_listed(self.calls)}")
        parts += [f"on {_listed(self.paths)}"] if self.paths else []
        return " ".join(parts) if parts != ["calls"] else ""

    def _limit(self, ended: str) -> str:
        if ended == "max_bytes" and self.max_bytes:
            return f", {format_bytes(self.max_bytes)}"
        if ended == "max_seconds" and self.max_seconds:
            return f", {format_ns(int(self.max_seconds * 1e9))}"
        return ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(scrub(name, 60) for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
