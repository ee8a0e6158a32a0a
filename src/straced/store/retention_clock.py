"""By which time rows are too old. The wall clock may be wrong for a while; what was deleted by it is gone for good.

Within a boot CLOCK_BOOTTIME tells how much time has passed. While the wall clock is ahead of that, rows are judged by
the time that has passed; so they are after a reboot with a leap, since nobody can tell how long the machine was off.
When the new time has stood for ``WAIT_S``, it is believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

TOLERANCE_MS = 300_000
"""The clock may be ahead by so much: it is brought in step now and then."""
OFF_MS = 86_400_000
"""So long may a machine have been off without a word about it."""
WAIT_S = 6 * 3600


class Anchor(Struct, frozen=True):
    """A moment by both clocks."""

    wall_ms: int
    boot_ms: int
    boot_id: str = ""

    def now_ms(self, boot_ms: int) -> int:
        """What the wall clock should say."""
        return self.wall_ms + boot_ms - self.boot_ms


def boot_ms() -> int:
    """Since the boot, with the time asleep (clock_gettime(2))."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10**6


class DeletionClock:
    """Judges the wall clock.

    Args:
        boot_id: of this boot.
        kept: what :meth:`keep` gave to an earlier service.
        elapsed_ms: a clock that is never set.
    """

    def __init__(self, boot_id: str, kept: bytes | str | None = None, elapsed_ms: Callable[[], int] = boot_ms) -> None:
        self._boot_id = boot_id
        self._elapsed_ms = elapsed_ms
        self._anchor: Anchor | None = None
        self._leap: Anchor | None = None
        self._slack_ms = TOLERANCE_MS
        self.note: str | None = None
        """What is to be told of it, once."""
        if kept:
            self._take(kept)

    def _take(self, kept: bytes | str) -> None:
        try:
            anchor = msgspec.json.decode(kept, type=Anchor)
        except msgspec.DecodeError:
            return
        if anchor.boot_id != self._boot_id:
            anchor = Anchor(anchor.wall_ms, self._elapsed_ms())
            self._slack_ms = OFF_MS
        self._anchor = anchor

    def keep(self) -> bytes | None:
        """For the next service."""
        anchor = self._anchor
        return None if anchor is None else msgspec.json.encode(Anchor(anchor.wall_ms, anchor.boot_ms, self._boot_id))

    def now_ms(self, wall_ms: int) -> int:
        """The time by which rows may be deleted, when the wall clock says ``wall_ms``."""
        elapsed = self._elapsed_ms()
        anchor = self._anchor or Anchor(wall_ms, elapsed)
        expected = anchor.now_ms(elapsed)
        if wall_ms <= expected + self._slack_ms:
            if wall_ms >= expected - TOLERANCE_MS:
                self._anchor, self._slack_ms = Anchor(wall_ms, elapsed), TOLERANCE_MS
            self._leap = None
            return wall_ms
        leap = self._leap
        if leap is None or abs(leap.now_ms(elapsed) - wall_ms) > TOLERANCE_MS:
            self._leap = leap = Anchor(wall_ms, elapsed)
            hours = (wall_ms - expected) / 3_600_000
            self.note = (
                f"the clock leapt ahead by {hours:,.1f} h; for {WAIT_S // 3600} h nothing is deleted for its age by it"
            )
        if elapsed - leap.boot_ms < 1000 * WAIT_S:
            self._anchor = anchor
            return expected
        self._anchor, self._leap, self._slack_ms = Anchor(wall_ms, elapsed), None, TOLERANCE_MS
        return wall_ms
