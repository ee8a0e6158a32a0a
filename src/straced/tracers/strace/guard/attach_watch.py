"""Straces that were just started, and the moment from which on they have their targets.

The kernel tells that to nobody who does not ask. The guard asks, because it can wait for less than a millisecond at a
time, which the event loop of an owner cannot.
"""

import kernel

LOOK_S = 0.0002
SLOW_LOOK_S = 0.005
QUICK_S = 0.03
"""strace attaches within 5 to 20 ms as a rule: looked for often at first, then less so."""
PATIENCE_S = 6.0


class Attaching:
    """One look at a time, by turns: a hundred straces at once wait longer, and do not cost more."""

    def __init__(self):
        self.waiting = []
        self.due = None
        """When to look next; ``None`` for never."""
        self.newest = 0.0

    def add(self, helper, now):
        """Begin to look for a helper."""
        self.waiting.append((helper, now + PATIENCE_S))
        self.newest, self.due = now, now + LOOK_S

    def look(self, now):
        """Look, if it is time to.

        Returns ``(helper, waits)`` once it has its first target: whether it was seen to wait for events since. It
        never does when its targets are very busy. Else ``None``.
        """
        if self.due is None or now < self.due:
            return None
        helper, until = self.waiting.pop(0)
        has_target = helper.pid != 0 and _traces(helper.pid, helper.pids[0])
        waits = has_target and _waits(helper.pid)
        if helper.pid and not waits and now < until:
            self.waiting.append((helper, min(until, now + QUICK_S) if has_target else until))
        pause_s = LOOK_S if now < self.newest + QUICK_S else SLOW_LOOK_S
        self.due = now + pause_s if self.waiting else None
        return (helper, waits) if waits or (has_target and now >= until) else None


def _traces(tracer, pid):
    found = kernel.tracer_and_state(pid)
    return found is not None and found[0] == tracer


def _waits(pid):
    found = kernel.tracer_and_state(pid)
    return found is not None and found[1] == "S"
