"""One test that is counted: around its function, in this process or in a copy of it, and then judged."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from msgspec import Struct

from straced.errors import InvalidArgument
from straced.model.budgets import CallCounts
from straced.pytest_plugin import marks
from straced.pytest_plugin.fixture import WINDOW
from straced.pytest_plugin.run_state import COUNTS, OwnReader, RunState
from straced.pytest_plugin.windows import CallWindow, KeptGarbage
from straced.text.units import count_of
from straced.views.text.budget import table


class CallsMade(Struct, frozen=True, kw_only=True):
    """What a test called."""

    counts: CallCounts
    least: CallCounts
    """Without what may be of a thread or child that ran before the test, and ended during it."""
    doubt: str
    """Why something may be missing."""
    shown: list[str] = []
    """Of the calls that broke the budget, a few."""


Counting = Generator[None, None, CallsMade]
"""Yields where the test is to run."""
MIXED = "a thread or child that ran before the test ended during it, and its calls cannot be told apart"
MADE = pytest.StashKey[CallCounts]()


def counted(item: pytest.Item, state: RunState) -> Generator[None, None, None]:
    """Let the test run within a window of its calls, and fail it when it made more than it may.

    What the test raises itself goes first. Where calls may have been missed, it is skipped with the reason.
    """
    try:
        budget = marks.of(item)
    except InvalidArgument as error:
        pytest.fail(f"{error.reason}: {error.hint}", pytrace=False)
    is_marked = item.get_closest_marker("syscalls") is not None
    if state.recorded is not None and is_marked:
        if item.nodeid not in state.recorded:
            pytest.fail("not in the lock file; record it: pytest --syscalls-record FILE", pytrace=False)
        budget = budget.locked(state.recorded[item.nodeid])
    reader = state.reader()
    if reader is not None:
        made = yield from _in_this_process(item, reader, budget)
    elif state.may_fork:
        made = yield from _in_a_copy(item, state, budget)
    else:
        pytest.skip(state.refused())
    if broken := budget.broken_by(made.counts):
        if not budget.broken_by(made.least):
            pytest.skip(f"the system call budget was not verified: {MIXED}")
        head = f"system call budget broken: {count_of(len(broken), 'limit')}"
        pytest.fail("\n".join([head, *table(broken), *(f"  {call}" for call in made.shown)]), pytrace=False)
    if made.doubt:
        pytest.skip(f"the system call budget was not verified: {made.doubt}")
    if is_marked:
        item.stash[MADE] = made.counts


def _in_this_process(item: pytest.Item, reader: OwnReader, budget: marks.SyscallBudget) -> Counting:
    with KeptGarbage():
        window = item.stash[WINDOW] = CallWindow(reader, budget.threads, budget.children)
        try:
            yield
            counts = window.counts()
        finally:
            del item.stash[WINDOW]
    return CallsMade(counts=counts, least=window.least(), doubt=window.doubt())


def _in_a_copy(item: pytest.Item, state: RunState, budget: marks.SyscallBudget) -> Counting:
    from straced.pytest_plugin.forked import ForkedTest

    test = ForkedTest(item, state, budget)
    with test.in_place():
        yield
    return CallsMade(counts=test.counts, least=test.counts, doubt=test.doubt, shown=test.shown)


def attach_counts(item: pytest.Item, report: Any) -> None:
    """Give what was counted to the report of the test."""
    if (counts := item.stash.get(MADE, None)) is not None:
        setattr(report, COUNTS, marks.recorded_keys(counts))
