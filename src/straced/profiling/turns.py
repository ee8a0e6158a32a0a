"""Which tracers had a target, one after the other, and what each of them counted in its turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from straced.model.types import Sample
from straced.profiling import segments
from straced.tracers.base import TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


class TracerTurns:
    """What the tracers of one target have counted, each in its turn, and the gaps between these.

    Args:
        began_ns: when the first began, by the monotonic clock; now when left out.
    """

    def __init__(self, began_ns: int | None = None) -> None:
        self.began = segments.Instant.now() if began_ns is None else segments.Instant.at(began_ns)
        self.segments: list[segments.Segment] = []
        self.gap_s: float | None = None
        """How long nobody counted; ``None`` where somebody always did."""
        self._turn_began = self.began
        self._gap_from_ns = 0
        self._baseline: Sample | None = None

    def go_on(self, baseline: Sample | None = None) -> None:
        """A tracer has its turn now; what its first sample, the baseline, has does not count."""
        self._baseline = baseline
        self._turn_began = segments.Instant.now()
        self.add_gap(self._turn_began.monotonic_ns)

    def add_gap(self, until_ns: int) -> None:
        """Nobody counted since the last turn ended."""
        self.gap_s = (self.gap_s or 0.0) + max(0, until_ns - self._gap_from_ns) / 1e9

    def keep(self, sample: Sample, inner: TracerSession, tracer: str) -> None:
        """A turn is over; this is its last sample."""
        self._add(self._turn(sample, inner, tracer, segments.Instant.now()))
        self._baseline = None

    async def keep_recording(self, recording: StraceRecording) -> None:
        """A full trace had the target; its lines so far count."""
        self._add(await asyncio.to_thread(segments.stretch_of_recording, recording))  # it may be a gigabyte

    def with_now(self, sample: Sample, inner: TracerSession, tracer: str) -> list[segments.Segment]:
        """All turns, with the one that is not over yet up to a sample."""
        end = segments.Instant(sample.monotonic_ns, sample.epoch_s)
        return [*self.segments, self._turn(sample, inner, tracer, end)]

    def _add(self, segment: segments.Segment) -> None:
        self.segments.append(segment)
        self._gap_from_ns = segment.end.monotonic_ns

    def _turn(self, sample: Sample, inner: TracerSession, tracer: str, end: segments.Instant) -> segments.Segment:
        sample, coverage = segments.between(self._baseline, sample), inner.coverage
        return segments.Segment(
            tracer=tracer,
            sample=sample,
            start=self._turn_began,
            end=end,
            overhead=inner.overhead(sample, end.monotonic_ns - self._turn_began.monotonic_ns),
            tasks_traced=coverage.traced if coverage is not None else None,
            tasks_seen=coverage.seen if coverage is not None else None,
        )
