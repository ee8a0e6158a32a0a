"""Single calls that took long without being made to wait."""

from __future__ import annotations

import re
from collections.abc import Iterator

from straced.syscalls import category
from straced.text.sanitize import scrub_bytes
from straced.text.units import format_ns
from straced.traces.analysis.clone_flags import is_vfork
from straced.traces.analysis.outliers import MADE_BY_OTHERS
from straced.traces.analysis.raw_commands import in_words
from straced.traces.analysis.reader import TraceReading
from straced.traces.values import Finding

SLOW_NS = 10**7
_OTHER_END = re.compile(rb"\w+\(\d+<(?:pipe|socket|TCP|UDP|UNIX|NETLINK|anon_inode)")
"""Who reads from these waits for somebody else."""
_ALWAYS = frozenset({"flock", "accept", "accept4"})


def slow_calls(reading: TraceReading) -> Iterator[Finding]:
    """Return a finding for each of the slowest that took 10 ms or more."""
    assert reading.state is not None
    for duration, place, text, about, waiting in sorted(reading.state.slowest.rows, reverse=True):
        pid, _, body = text.partition(b" ")
        name = body[: body.find(b"(")].decode("ascii", "replace")
        task = pid.decode() if pid.strip(b"0") else str(reading.root or "?")
        if duration >= SLOW_NS and category(name) != "wait" and not _waits_for_others(name, body, about):
            yield Finding(
                code="slow_call",
                text=f"one {name} of task {task} took {format_ns(duration)}: {scrub_bytes(body, 120)}",
                lines=(-place,),
                count=1,
                cost_ns=duration,
                waiting_ns=waiting,
                subject=name,
            )


def _waits_for_others(name: str, body: bytes, about: bytes) -> bool:
    if name == "vfork" or (name.startswith("clone") and is_vfork(body)):
        return True
    if name in _ALWAYS or (name.startswith("fcntl") and b"SETLKW" in in_words(name, body[len(name) + 1 :])):
        return True
    return _OTHER_END.match(body) is not None or (name != "connect" and MADE_BY_OTHERS.match(about) is not None)
