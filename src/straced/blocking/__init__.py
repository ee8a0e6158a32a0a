"""The Profiler for programs without an event loop: the same names, each call waits.

with straced.blocking.Profiler() as profiler:
    session = profiler.attach(pid)
    ...
    summary = session.detach()

Any number of threads may share a profiler and its sessions.
"""

from __future__ import annotations

from straced.blocking.profiler import BlockingProfiler
from straced.blocking.recording import BlockingRecording
from straced.blocking.session import BlockingSession
from straced.blocking.streams import BlockingEvents, BlockingSlowCalls, BlockingWindows

Profiler = BlockingProfiler
Session = BlockingSession
Recording = BlockingRecording

__all__ = [
    "BlockingEvents",
    "BlockingProfiler",
    "BlockingRecording",
    "BlockingSession",
    "BlockingSlowCalls",
    "BlockingWindows",
    "Profiler",
    "Recording",
    "Session",
]
