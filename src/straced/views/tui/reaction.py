"""From when on a key is an answer to a question: not before a person can have read it.

When a key came says little about when it was typed: of a burst the terminal may deliver each byte by itself, at any
distance. But it delivers them in order. So it is asked to report, behind the painting of the question: what comes ahead
of that report was typed before anybody could see the question, however late it is delivered.
"""

from __future__ import annotations

REACTION_S = 0.3
"""What a person needs at least to see a question and to decide it; a burst, or a key held down, has no such gap."""
REPORT_S = 5.0
"""A terminal that does not report in this time never does: then the question is taken to be seen."""
ASK = "\x1b[6n"
"""Where the cursor is (DSR): what every terminal since the VT100 reports, in the order of what it was sent."""


class Reaction:
    """What came of one question; times are on the clock by which Textual tells when a key came."""

    def __init__(self) -> None:
        self._seen_at: float | None = None
        self._hasty_at = 0.0

    def seen(self, at: float) -> None:
        """The question is on the screen of the terminal."""
        if self._seen_at is None:
            self._seen_at = at

    def left_s(self, at: float) -> float | None:
        """How long keys are no answers yet if none comes; ``None`` as long as that is not known."""
        if self._seen_at is None:
            return None
        return max(0.0, max(self._seen_at, self._hasty_at) + REACTION_S - at)

    def counts(self, at: float) -> bool:
        """Whether a key is an answer; one that is none belongs to a burst, and so does what follows it at once."""
        if self.left_s(at) == 0.0:
            return True
        self._hasty_at = at
        return False
