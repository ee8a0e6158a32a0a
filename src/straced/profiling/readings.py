"""One reading of all sessions at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from straced.errors import NotLive
from straced.model.types import Sample
from straced.profiling import handover
from straced.profiling.session import Session
from straced.tracers.base import LiveTracer, Tracer


async def read_all(tracers: Sequence[Tracer], sessions: Sequence[Session], *, sums: bool) -> dict[Session, Sample]:
    """Read every session that tells its counters while it runs; where a tracer has that, one reading for all of its.

    Args:
        tracers: those in use.
        sessions: of all of them.
        sums: rows are decoded when they are looked at, where a tracer can do that.
    """
    found: dict[Session, Sample] = {}
    for tracer in tracers:
        counted = [session for session in sessions if session.tracer == tracer.name and session.alive]
        if isinstance(tracer, LiveTracer) and counted:
            samples = tracer.sum_all() if sums else tracer.read_all()
            of_each = ((session, handover.sample_in(samples, session)) for session in counted)
            found.update((session, sample) for session, sample in of_each if sample is not None)
            continue
        for session in counted:
            with contextlib.suppress(NotLive):
                found[session] = await session.read()
    return found
