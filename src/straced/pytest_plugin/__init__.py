"""The pytest plugin: budgets of system calls for tests. A run without them loads no more than this file.

The marker ``syscalls`` sets limits, the fixture of that name counts, ``--syscalls-record`` and ``--syscalls-check``
keep what was made in a lock file.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from straced.pytest_plugin.fixture import Syscalls
    from straced.pytest_plugin.run_state import RunState

MARKER = (
    "syscalls(max={}, none=[], errors={}, new=True, threads=True, children=True): a budget of the system calls "
    "that the test makes"
)
_STATE = pytest.StashKey["RunState"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("straced", "system calls of tests (straced)")
    group.addoption(
        "--syscalls-record", metavar="FILE", help="write the calls of each marked test that passes to the lock file"
    )
    group.addoption(
        "--syscalls-check", metavar="FILE", help="fail a marked test that makes more calls than the lock file has"
    )
    group.addoption(
        "--syscalls-tracer",
        choices=("auto", "ebpf", "strace"),
        default="auto",
        help="who counts: eBPF in this process, or strace, which runs each marked test in a forked copy of it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and what writes the lock file."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("syscalls_record") or config.getoption("syscalls_check"):
        _state_of(config).begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of this process."""
    state = config.stash.get(_STATE, None)
    if state is not None:
        state.close()


@pytest.fixture
def syscalls(request: pytest.FixtureRequest) -> Syscalls:
    """The system calls of the test so far: ``counts``, ``reset()``, ``with syscalls.during() as seen:``."""
    from straced.pytest_plugin.fixture import Syscalls

    return Syscalls(request.node)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Count around the test function alone: the innermost wrapper, within what others set up and report."""
    if not _is_counted(item):
        return (yield)
    from straced.pytest_plugin.run_test import counted

    return (yield from counted(item, _state_of(item.config)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Send what was counted along with the report, which under xdist goes to another process."""
    report: Any = yield
    if call.when == "call" and _is_counted(item):
        from straced.pytest_plugin.run_test import attach_counts

        attach_counts(item, report)
    return report


def _is_counted(item: pytest.Item) -> bool:
    return item.get_closest_marker("syscalls") is not None or "syscalls" in getattr(item, "fixturenames", ())


def _state_of(config: pytest.Config) -> RunState:
    state = config.stash.get(_STATE, None)
    if state is None:
        from straced.pytest_plugin.run_state import RunState

        state = config.stash[_STATE] = RunState(config)
    return state
