"""The budget of one test: from its marker and from the lock file to what it broke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Struct

from straced.errors import InvalidArgument
from straced.model.budgets import ACCIDENTAL, Breach, CallCounts, breaches, checked_key
from straced.pytest_plugin.trace_reader import NEW
from straced.pytest_plugin.windows import Scope

SCOPES = (False, True, "all")


class SyscallBudget(Struct, frozen=True, kw_only=True):
    """What a test may call, and which calls are its own."""

    limits: Mapping[str, int] = {}
    new: bool = True
    """Whether calls may be made that neither the marker nor the lock file names."""
    threads: Scope = True
    children: Scope = True

    def locked(self, recorded: Mapping[str, int]) -> SyscallBudget:
        """The same with what is recorded: as much and no other call, where the marker does not say less."""
        limits = dict(recorded)
        for key, limit in self.limits.items():
            limits[key] = min(limit, limits.get(key, limit))
        return SyscallBudget(limits=limits, new=False, threads=self.threads, children=self.children)

    def broken_by(self, counts: CallCounts) -> tuple[Breach, ...]:
        """The limits that were broken."""
        found = breaches(self.limits, counts)
        if self.new:
            return found
        named = {key.partition(".")[0] for key in self.limits}
        new = [name for name in counts.calls if name not in named and name not in ACCIDENTAL]
        return (*found, *(Breach(f"{name}{NEW}", 0, counts.calls[name]) for name in new))


def recorded_keys(counts: CallCounts) -> dict[str, int]:
    """What of the calls of a test is kept in a lock file: calls, then errors, sorted."""
    calls = {name: count for name, count in sorted(counts.calls.items()) if name not in ACCIDENTAL}
    errors = CallCounts(errors={key: count for key, count in counts.errors.items() if key[0] not in ACCIDENTAL})
    return calls | dict(sorted(errors.by_errno().items()))


def of(item: pytest.Item) -> SyscallBudget:
    """The budget that the markers of a test ask for; the nearest one says more than those of its class and module.

    Raises:
        InvalidArgument: a marker that cannot be understood.
    """
    merged: dict[str, Any] = {}
    for mark in reversed([*item.iter_markers("syscalls")]):
        if mark.args:
            raise InvalidArgument("the marker syscalls has named arguments only", hint="max={'openat': 40}")
        merged |= mark.kwargs
    limits = dict(_limits("max", merged.pop("max", {})))
    limits |= dict.fromkeys(map(checked_key, _names(merged.pop("none", ()))), 0)
    limits |= _limits("errors", merged.pop("errors", {}))
    new = merged.pop("new", True)
    threads, children = merged.pop("threads", True), merged.pop("children", True)
    for name, value in (("threads", threads), ("children", children)):
        if value not in SCOPES:
            raise InvalidArgument(f"the marker syscalls: {name}={value!r}", hint="True, False or 'all'")
    if merged:
        raise InvalidArgument(
            f"the marker syscalls has no argument {next(iter(merged))}", hint="max, none, errors, new"
        )
    return SyscallBudget(limits=limits, new=bool(new), threads=threads, children=children)


def _names(value: object) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("the marker syscalls: none is a list of names", hint="none=['fsync']")
    return sorted(names)


def _limits(what: str, value: object) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"the marker syscalls: {what} is a table of limits", hint=f"{what}={{'openat': 40}}")
    for key, limit in value.items():
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise InvalidArgument(f"the marker syscalls: {what}[{key!r}] is no limit: {limit!r}", hint="0 or more")
    return {checked_key(str(key)): limit for key, limit in value.items()}
