"""Why calls answered False or None: the newest errors by pid, without the frames that they came through."""

from __future__ import annotations

from straced.errors import StracedError

KEPT = 1000


class LastErrors(dict[int, StracedError]):
    """At most ``KEPT`` errors, the newest; a collector meets thousands of processes a day that are just gone."""

    def __setitem__(self, pid: int, error: StracedError) -> None:
        self.pop(pid, None)
        error.__cause__ = error.__context__ = None
        super().__setitem__(pid, error.with_traceback(None))
        while len(self) > KEPT:
            del self[next(iter(self))]
