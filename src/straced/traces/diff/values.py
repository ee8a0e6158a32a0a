"""What a comparison holds: values for views and programs. All text in them is scrubbed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

DIFF_SCHEMA = "straced.diff/1"


class Metric(Struct, frozen=True):
    """One figure on both sides: means over the runs; ``p`` with several runs a side."""

    before: float | None
    after: float | None
    p: float | None = None
    apart: bool = True

    @property
    def delta(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def pct(self) -> float | None:
        """The change in percent; ``None`` from nothing."""
        delta = self.delta
        return None if delta is None or not self.before else 100 * delta / self.before


class Change(Struct, frozen=True, kw_only=True):
    """One call, errno or path on both sides."""

    kind: str
    """``syscall``, ``errno`` or ``path``."""
    name: str
    note: str
    """``new``, ``gone`` or empty."""
    calls: Metric
    """For an errno: how often it came."""
    errors: Metric
    wall_ns: Metric
    waiting_ns: Metric = Metric(None, None)
    """The part of the time in which threads were off the CPU; of nothing where a side does not tell it."""
    score: float
    """What the order is by; larger matters more."""


class Difference(Struct, frozen=True, kw_only=True):
    """Two sides compared."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    notes: tuple[str, ...]
    total: Change
    changes: tuple[Change, ...]
    same: int
    """Calls, errnos and paths that did not change in number."""

    def find(self, kind: str, name: str) -> Change | None:
        return next((change for change in self.changes if (change.kind, change.name) == (kind, name)), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, schema ``straced.diff/1``."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"schema": DIFF_SCHEMA, **built}


class Check(Struct, frozen=True, kw_only=True):
    """One rule and what came of it."""

    rule: str
    failed: bool
    found: str
    """What stands on the right side, for people."""
