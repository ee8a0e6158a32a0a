"""The fixture ``syscalls``, and the counts that a test looks at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest

from straced.model.budgets import CallCounts, checked_key
from straced.pytest_plugin.windows import CallWindow

WINDOW = pytest.StashKey[CallWindow]()


class SyscallCounts(Mapping[str, int]):
    """Calls by name, 0 for one that was not made.

    The keys of budgets can be asked for, too: ``total``, ``errors``, ``ENOENT``, ``openat.ENOENT``.
    """

    def __init__(self, counts: CallCounts) -> None:
        self._counts = counts

    def __getitem__(self, key: str) -> int:
        return self._counts.made(checked_key(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts.calls)

    def __len__(self) -> int:
        return len(self._counts.calls)

    def __repr__(self) -> str:
        calls = ", ".join(f"{name}={count}" for name, count in sorted(self._counts.calls.items()))
        return f"<SyscallCounts {calls or 'none'}>"

    @property
    def errors(self) -> dict[str, int]:
        """Errors by errno."""
        return self._counts.by_errno()

    @property
    def total(self) -> int:
        """All calls."""
        return self._counts.made("total")


class Syscalls:
    """The system calls of the running test; the fixture ``syscalls``."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    @property
    def _window(self) -> CallWindow:
        window = self._item.stash.get(WINDOW, None)
        if window is None:
            raise RuntimeError("system calls are counted while the test function runs, not in fixtures")
        return window

    @property
    def counts(self) -> SyscallCounts:
        """The calls so far: since the test began, or since the last :meth:`reset`."""
        return SyscallCounts(self._window.counts())

    def reset(self) -> None:
        """Begin again at 0, also for the budget of the test: what came before was preparation."""
        self._window.restart()

    @contextlib.contextmanager
    def during(self) -> Iterator[SyscallCounts]:
        """Count a part of the test; what is yielded has the calls of the block once that is left."""
        part = self._window.part()
        seen = SyscallCounts(CallCounts())
        try:
            yield seen
        finally:
            seen._counts = part.counts()
