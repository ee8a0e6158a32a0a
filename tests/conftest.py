"""Fixtures of all tests: a time limit, a clean world afterwards, workloads with a known truth."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import build
from tests.support.events import Events, recorded
from tests.support.needs import require
from tests.support.workload import Starter
from tests.support.world import Snapshot, assert_world_clean

if TYPE_CHECKING:
    from straced import Profiler, StraceManager

# Each pytest that a test starts, and the second run, read what pytest makes of the tests and of its plugins.
sys.dont_write_bytecode = False
pytest_plugins = ["tests.support.limits", "tests.support.beside"]
TESTS = Path(__file__).parent
UNHURRIED = ("house", "traces", "views", "model", "syscalls", "text")
BINARIES = "STRACED_TEST_BINARIES"
"""Where the workloads are that this run has compiled, for each pytest that a test starts."""
EXPECTED_SIGNALS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""What the programs under test are to inherit, however this run was started."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): skip without these (see tests/support/needs.py)")
    with contextlib.suppress(ImportError):
        from hypothesis import HealthCheck, settings

        # how long an example takes says how busy the machine is
        settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("suite")
    for number, handler in EXPECTED_SIGNALS.items():  # a shell's background jobs, and nohup, ignore them
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what looks at no clock: meanwhile an emulated kernel, which is judged last, has the other CPU."""
    order = {folder: place for place, folder in enumerate(UNHURRIED)} | {"kernels": len(UNHURRIED) + 1}
    items.sort(key=lambda item: order.get(_folder(item), len(UNHURRIED)))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests collect rubbish to see what is still held: this is not to look through all of pytest each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionstart(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        build.compile_package()


@pytest.fixture(autouse=True)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After every test: no process, no descriptor, no file of it is left."""
    for mark in request.node.iter_markers("needs"):
        require(*mark.args)
    temporary = tmp_path / "TMPDIR"
    temporary.mkdir()
    temporary.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = Snapshot()
    yield
    assert_world_clean(before, temporary)


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path | None]]:
    """``gt`` and, where the compiler can, its 32-bit twin; readable for every user."""
    if build.compiler() is None:
        require("cc")
    with tempfile.TemporaryDirectory(prefix="straced-gt-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        folder.chmod(0o755)
        if made := os.environ.get(BINARIES):
            for path in Path(made).glob("gt*"):
                shutil.copy(path, folder)
            yield folder / "gt", gt32 if (gt32 := folder / "gt32").exists() else None
        else:
            found = build.compile_gt(folder), build.compile_gt32(folder)
            patch.setenv(BINARIES, name)
            yield found


@pytest.fixture
def start(world: None, binaries: tuple[Path, Path | None]) -> Iterator[Starter]:
    """Start workloads; at the end none of them may be traced, stopped or left."""
    starter = Starter(*binaries)
    harm = ["the test did not end"]
    try:
        yield starter
    finally:
        harm = starter.end()
    assert not harm, "\n".join(harm)


@pytest.fixture
def events() -> Iterator[Events]:
    """The log events of straced during the test."""
    with recorded() as found:
        yield found


@pytest.fixture
async def manager(start: Starter, events: Events) -> AsyncIterator[StraceManager]:
    """A manager in this process; whatever the test left attached is let go."""
    from straced import StraceManager

    require("strace")
    made = StraceManager()
    yield made
    await made.detach_all()


@pytest.fixture
async def profiler(start: Starter, events: Events) -> AsyncIterator[Profiler]:
    """A profiler on strace in this process."""
    from straced import Profiler

    require("strace")
    async with Profiler(tracer="strace") as made:
        yield made


def pytest_report_header() -> str:
    """Name the straced under test: an installed one must not be mistaken for this source tree."""
    import straced

    return f"straced from {Path(straced.__file__).parent.parent}"
