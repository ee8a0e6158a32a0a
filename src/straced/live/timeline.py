"""The time line of the live screen: what was seen to happen, bounded in number."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from straced.linux.process_scan import ScannedProcess
from straced.model.frame import Key, Note

MOST = 500


class NoteTimeLine:
    """Remembers the last notes, and notes who came and went between two scans.

    A process that began and ended between two scans is not seen by them.
    """

    def __init__(self) -> None:
        self._notes: deque[Note] = deque(maxlen=MOST)
        self._known: dict[Key, ScannedProcess] | None = None

    def add(self, note: Note) -> None:
        """Append a note."""
        self._notes.append(note)

    def compare(self, facts: Sequence[ScannedProcess], epoch_s: float) -> None:
        """Note processes that are new or gone, or run another program, since the scan before."""
        now = {each.key: each for each in facts}
        if self._known is not None:
            for key, each in self._known.items():
                if key not in now:
                    self.add(Note(epoch_s=epoch_s, kind="ended", pid=each.pid, text=each.comm))
            for key, each in now.items():
                before = self._known.get(key)
                if before is None:
                    self.add(Note(epoch_s=epoch_s, kind="started", pid=each.pid, text=each.comm))
                elif before.comm != each.comm:
                    self.add(Note(epoch_s=epoch_s, kind="exec", pid=each.pid, text=f"{before.comm} -> {each.comm}"))
        self._known = now

    def notes(self) -> tuple[Note, ...]:
        """All that are kept, oldest first."""
        return tuple(self._notes)
