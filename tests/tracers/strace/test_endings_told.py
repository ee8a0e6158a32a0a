"""Whoever sees that a trace is over can ask why: the reason is noted before the end can be seen.

Of `tracers/strace/guard_client.py`.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from straced import Profiler
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


async def test_the_reason_is_there_before_the_end_is_seen(profiler: Profiler, start: Starter, tmp_path: Path) -> None:
    recording = await profiler.trace(start("tick").pid, tmp_path / "trace")
    told: list[tuple[int | None, bool, list[int]]] = []
    go_on = threading.Event()

    def note() -> None:
        go_on.wait(10)
        told.append((recording.crash, recording.alive, recording.helper_pids))

    recording.on_end(note)
    helpers = recording.helper_pids
    os.kill(helpers[0], signal.SIGKILL)
    await auntil(lambda: recording.crash is not None, what="the end is heard of")
    assert recording.alive, "whoever notes it down has not done so"
    go_on.set()
    await auntil(lambda: not recording.alive, what="the end is seen")
    assert told == [(signal.SIGKILL, True, helpers)]
    told.clear()
    recording.on_end(note)
    assert told == [(signal.SIGKILL, False, [])], "afterwards at once"
