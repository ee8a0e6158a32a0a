"""Fifty owners of the eBPF engine killed at random times: their programs are gone within a second, the target runs."""

from __future__ import annotations

import functools
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.soak.conftest import Figures, harmed, times
from tests.support.needs import require
from tests.support.owner import environment
from tests.support.poll import until
from tests.support.workload import Starter
from tests.tracers.ebpf.test_lifecycle import OWNER, gone, programs_of

pytestmark = [pytest.mark.needs("ebpf", "root", "cc"), pytest.mark.limit(600)]


def test_owners_killed_at_random_times(start: Starter, figures: Figures) -> None:
    require("ebpf", "bpftool")
    target = start("tick")
    chance = random.Random(50)
    count = times(50)
    worst, loaded = 0.0, 0
    with figures.row("kill -9 of an owner of eBPF", count) as found:
        for _ in range(count):
            argv = [sys.executable, "-c", OWNER, str(target.pid)]
            with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment()) as owner:
                time.sleep(chance.uniform(0.2, 0.8))  # the random moment itself: importing, loading, counting
                programs = programs_of(owner.pid)
                loaded += bool(programs)
                owner.send_signal(signal.SIGKILL)
                owner.wait()
                killed = time.monotonic()
                until(functools.partial(gone, programs), 1)
                worst = max(worst, time.monotonic() - killed)
        hurt = harmed([target])
        found |= {"with programs": loaded, "gone within": f"{worst * 1000:.0f} ms", "targets harmed": hurt}
    assert hurt == 0
    assert loaded > count / 4
