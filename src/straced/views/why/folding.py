"""Rows of ``why --all`` that say the same of many: idle workers of one server, shells behind their programs."""

from __future__ import annotations

from straced.waits.all_processes import is_behind_a_child
from straced.waits.model import Why, WhyAll

_FEWEST = 2
_MOST_PIDS = 6
Row = tuple[Why, ...]
"""One answer, or those that one line stands for."""


def folded(found: WhyAll) -> list[Row]:
    """The answers in their order, alike ones that rest in one row; those that somebody waits for stay alone."""
    groups: dict[object, list[Why]] = {}
    for why in found.processes:
        groups.setdefault(_key(why, found.waited_for.get(why.pid, 0)), []).append(why)
    rows: list[Row] = []
    for group in groups.values():
        rows += [tuple(group)] if len(group) >= _FEWEST else [(why,) for why in group]
    order = {why.pid: index for index, why in enumerate(found.processes)}
    return sorted(rows, key=lambda row: order[row[0].pid])


def _key(why: Why, waiting: int) -> object:
    if why.verdict == "idle" and not waiting and not why.storms:
        return "idle", why.comm, why.parent
    if is_behind_a_child(why) and not waiting:
        return "behind", why.comm
    return why.pid


def words(row: Row, found: WhyAll) -> str:
    """What one line says of many: how many, of whom, and their first pids."""
    first = row[0]
    pids = " ".join(str(why.pid) for why in row[:_MOST_PIDS]) + (" ..." if len(row) > _MOST_PIDS else "")
    if first.verdict != "idle":
        return f"{len(row)} that wait for a child that sleeps: {pids}"
    parent = next((why.comm for why in found.processes if why.pid == first.parent), None)
    if parent == first.comm:
        return f"{len(row)} idle workers of {first.parent} ({parent}): {pids}"
    return f"{len(row)} idle children of {first.parent}{f' ({parent})' if parent else ''}: {pids}"
