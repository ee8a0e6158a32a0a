"""Processes that come and go while they are looked at: an answer or "gone", never a traceback.

Of `waits/pausing.py`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from why_world import World

from straced import errors
from straced.views.why.overview import overview
from straced.views.why.report import report
from straced.waits.all_processes import why_everybody
from straced.waits.process import why_process

_CHURN = """
ready()
while True:
    children = []
    for n in range(8):
        child = os.fork()
        if child == 0:
            r, w = os.pipe()
            t = threading.Thread(target=time.sleep, args=(0.002 * n,))
            t.start(); t.join()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
"""


def test_everybody_while_processes_churn(world: World) -> None:
    world.python(_CHURN)
    world.python(_CHURN)
    for _ in range(10):
        found = why_everybody(5_000_000)
        assert overview(found)
        assert all(answer.verdict for answer in found.processes)


def test_one_by_one_while_processes_churn(world: World) -> None:
    role = world.python(_CHURN)
    children = Path(f"/proc/{role.pid}/task/{role.pid}/children")
    outcomes: set[str] = set()
    missed = {"gone", "ended", "no such process"}
    asked, deadline = 0, time.monotonic() + 40
    while (asked < 150 or not outcomes & missed) and time.monotonic() < deadline:
        for word in children.read_text().split()[:1]:
            asked += 1
            try:
                why = why_process(int(word), 1_000_000)
                outcomes.add(why.verdict)
                assert str(os.getpid()) not in report(why)
            except errors.NoSuchProcess:
                outcomes.add("no such process")
    assert outcomes & missed, (asked, outcomes)
