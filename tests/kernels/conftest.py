"""The emulated kernel works beside the other tests, from the start of the session."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aside import Aside
from tests.support.needs import missing
from tests.support.world import WORLD

NEEDS = ("kernels", "cc", "root", "strace")
ARGV = (sys.executable, "-m", "tests.kernels.slice")
STARTED = pytest.StashKey[tuple[Aside, tempfile.TemporaryDirectory[str]]]()


def start() -> tuple[Aside, tempfile.TemporaryDirectory[str]]:
    """Have it boot and measure."""
    folder = tempfile.TemporaryDirectory(prefix="straced-slice-")
    return Aside(ARGV, Path(folder.name, "result")), folder


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without cgroups it would be in the world of the test that happens to run: then it has to wait for its turn."""
    wanted = any("emulated" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and WORLD.cgroup and not any(map(missing, NEEDS)):
        session.config.stash[STARTED] = start()


@pytest.fixture
def emulated(request: pytest.FixtureRequest) -> Iterator[Aside]:
    """The job, which may be through already."""
    stash = request.config.stash
    if STARTED not in stash:
        stash[STARTED] = start()
    yield stash[STARTED][0]
    end(request.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    end(config)


def end(config: pytest.Config) -> None:
    """End it, if there is one."""
    if STARTED in config.stash:
        job, folder = config.stash[STARTED]
        del config.stash[STARTED]
        job.end()
        folder.cleanup()
