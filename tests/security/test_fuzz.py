"""Several users at once send anything at all: nobody waits, nothing is thrown, memory stays flat.

Six seconds, or with STRACED_SOAK=1 ten minutes. A failure names its seed: STRACED_FUZZ_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from tests.security import fuzzer
from tests.security.hostile import as_user
from tests.security.served import SOAK, ends_in_time, others_are_served, rss
from tests.service.daemon import Daemon
from tests.service.needs import needs_root

pytestmark = needs_root
SECONDS = 600.0 if SOAK else 6.0
USERS = (65534, 60001, 60002, 0)
GROWTH_BYTES = 40 * 10**6
"""Over the last two thirds of the time: what users may hold is bounded, and so is what history takes in memory."""


@pytest.mark.limit(int(SECONDS) + 100)
def test_fuzz(daemon: Daemon) -> None:
    seed = int(os.environ.get("STRACED_FUZZ_SEED") or random.randrange(10**6))
    print(f"STRACED_FUZZ_SEED={seed}")
    assert daemon.process is not None
    pid = daemon.process.pid
    python = [sys.executable, fuzzer.__file__, str(daemon.socket)]
    with others_are_served(daemon, for_s=0.5):
        users = [
            subprocess.Popen(
                [*as_user(uid), *python, str(seed + number), str(SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, uid in enumerate(USERS)
        ]
        try:
            assert [user.stdout.readline() for user in users] == ["ready\n"] * len(users)  # type: ignore[union-attr]
            time.sleep(SECONDS / 3)
            before = rss(pid)
            sent = [int(user.stdout.readline()) for user in users]  # type: ignore[union-attr]
        finally:
            for user in users:
                user.kill()
                user.communicate()
    assert all(sent), sent
    assert rss(pid) - before <= GROWTH_BYTES, (before, rss(pid))
    log = daemon.log.read_text()
    for word in ("Traceback", "request_failed", "loop_fault", "tick_failed"):
        assert word not in log, (seed, log[-3000:])
    ends_in_time(daemon)
