"""Whoever sees that a trace is over can ask why: the reason is noted before the end can be seen.

Of `tracers/strace/guard_client.py` and `tracers/strace/guard/helper.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from straced import Profiler
from straced.tracers.strace import guard
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


TIMED = """
import os, subprocess, sys, time
sys.path += sys.argv[1:3]
import helper
from tests.support.rival import TracingParent
target, now = subprocess.Popen(["sleep", "60"]), time.monotonic()
try:
    trace = helper.GuardedStrace(1, [target.pid], os.open(sys.argv[3], os.O_WRONLY), None, {"max_seconds": 1.0})
    trace.pid = os.getpid()
    trace.step(now + 100)
    assert trace.stop_at is None, "it has not begun"
    TracingParent(target.pid)
    for at, over in ((200, False), (200.9, False), (201.1, True)):
        trace.step(now + at)
        assert (trace.why == "max_seconds") is over, at
finally:
    target.kill()
    target.wait()
"""


def test_the_time_of_a_trace_begins_when_it_has_its_target(tmp_path: Path) -> None:
    """However long strace takes to begin: a busy machine makes no trace shorter, let alone empty."""
    (tmp_path / "trace").touch()
    places = (guard.__path__[0], Path(__file__).parents[3], tmp_path / "trace")
    code = [sys.executable, "-c", TIMED, *map(str, places)]
    done = subprocess.run(code, timeout=30, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


ROOM = """
import sys
sys.path.append(sys.argv[1])
import helper
mb = 1000 * 1000
assert helper.room_look_s(float("inf")) == helper.room_look_s(1000 * mb) == 0.25
for room in (5 * mb, 2 * mb, mb // 2):
    assert room - 10 * mb * helper.room_look_s(room) >= room / 2, room
assert 0 < helper.room_look_s(1) < 0.01
"""


def test_the_room_on_a_disk_is_looked_at_before_a_strace_can_have_filled_it() -> None:
    """Half of it is left at the next look, at 10 MB a second: for a guard that comes late on a busy machine, too."""
    code = [sys.executable, "-c", ROOM, guard.__path__[0]]
    done = subprocess.run(code, timeout=30, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
