"""What a process that made no call stands in: a table of nothing tells nobody anything."""

from __future__ import annotations

import time
from collections import Counter

from straced.linux import procfs
from straced.linux.process_scan import abi_of
from straced.linux.threads import ThreadWatch
from straced.model.frame import OUTSIDE, RUNNING
from straced.model.types import Summary
from straced.text.units import format_count, format_ns

_WORDS = {RUNNING: "running, outside of any call", OUTSIDE: "blocked in the kernel, outside of any call"}
_MOST = 3


def standing(summary: Summary) -> tuple[str, ...]:
    """Which call the target is in, for how long at least, and what to ask next; nothing where it made calls, or ended.

    Nothing returned in the window and nothing was entered, so each thread has been where it is for all of it.
    """
    target = summary.target
    if summary.total.calls != 0 or summary.end not in (None, "detached"):
        return ()
    try:
        if procfs.stat(target.pid).start_ticks != target.start_ticks:
            return ()
        key = (target.pid, target.start_ticks)
        threads, _denied = ThreadWatch(key, abi_of(target.pid)).look(time.monotonic_ns())
    except procfs.Gone:
        return ()
    counts = Counter(thread.call for thread in threads)
    if None in counts or not counts:
        return (f"No call was made. Why: straced why {target.pid}",)
    many = len(threads) > 1
    parts = [
        f"{_WORDS.get(call or '', f'in {call}')}{f' ({format_count(number)} threads)' if many and number > 1 else ''}"
        for call, number in counts.most_common(_MOST)
    ]
    more = ", ..." if len(counts) > _MOST else ""
    span = f" for ≥ {format_ns(summary.window.duration_ns)}" if summary.window.duration_ns else ""
    return (f"No call was made: it has been {', '.join(parts)}{more}{span}.", f"Why: straced why {target.pid}")
