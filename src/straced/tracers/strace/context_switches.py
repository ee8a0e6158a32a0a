"""Voluntary context switches of a target, the only trace of progress that a strace leaves while it runs."""

from __future__ import annotations

import time

from straced.linux import procfs
from straced.model.types import Counters, Sample
from straced.tracers.strace.tasks import processes_of

_FIELD = b"\nvoluntary_ctxt_switches:"
STOPS_PER_CALL = 2


def count(pid: int, follow: bool) -> int | None:
    """The sum over all living tasks; ``None`` when there is none."""
    total = None
    for process in processes_of(pid, follow):
        try:
            tids = procfs.tasks(process)
        except procfs.Gone:
            continue
        for tid in tids:
            try:
                data = procfs.read(f"{process}/task/{tid}/status")
            except (procfs.Gone, OSError):
                continue
            at = data.find(_FIELD)
            if at >= 0:
                total = (total or 0) + int(data[at + len(_FIELD) : data.find(b"\n", at + 1)])
    return total


def as_sample(switches: int, monotonic_ns: int) -> Sample:
    """Calls estimated from switches, in the form that an overhead is computed from."""
    row = Counters(name="estimated", calls=max(0, switches) // STOPS_PER_CALL)
    return Sample(monotonic_ns=monotonic_ns, epoch_s=time.time(), rows=(row,))
