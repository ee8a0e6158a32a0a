"""The engine that suits this kernel, found by asking the kernel and never by its version."""

from __future__ import annotations

import errno
import os

from straced.tracers.ebpf import perf_events, preemption, probe, wire
from straced.tracers.ebpf.attaching import TRACEPOINTS
from straced.tracers.ebpf.detail_engine import DetailEngine, FileEngine, detail_object
from straced.tracers.ebpf.engine import Engine

_DESCRIPTORS = 48
"""More than a load and an attach take at a time."""


def suited_engine(
    *,
    rows: int = wire.ROWS,
    owners: int = wire.OWNERS,
    user_share: float = 1.0,
    unpreempted: bool | None = None,
    details: bool = False,
    files: bool = False,
) -> Engine:
    """Load the set of programs that suits this kernel.

    Where perf refuses its tracepoints, it is the usual set: what the kernel skips of that is counted, and said.

    Args:
        rows: as of :class:`Engine`.
        owners: likewise.
        user_share: likewise.
        unpreempted: the set to load, whatever suits.
        details: one that tells calls over a limit, too.
        files: and that adds them up by file and peer.

    Raises:
        OSError: as :class:`Engine`; EINVAL also when the kernel lacks something, found sooner than by a load; EMFILE
            before anything is asked of the kernel, for libbpf takes a lack of descriptors for a lack in the kernel.
    """
    _need_descriptors()
    if lacking := probe.lacking():
        raise OSError(errno.EINVAL, f"no {lacking}")
    if unpreempted is None:
        unpreempted = preemption.programs_are_preempted() and perf_events.may_open(tuple(TRACEPOINTS.values()))
    if details:
        kind = FileEngine if files else DetailEngine
        return kind(detail_object(), rows=rows, owners=owners, user_share=user_share, unpreempted=unpreempted)
    return Engine(rows=rows, owners=owners, user_share=user_share, unpreempted=unpreempted)


def _need_descriptors() -> None:
    held: list[int] = []
    try:
        while len(held) < _DESCRIPTORS:
            held.append(os.eventfd(0))
    finally:
        for fd in held:
            os.close(fd)
