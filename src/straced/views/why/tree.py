"""A chain of waits as a tree with aligned columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from straced.text.units import count_of, format_span
from straced.views.text.summary import Line, Span
from straced.views.why.phrases import polled, resource_name, shorten
from straced.waits.classify.kinds import HALTED
from straced.waits.model import LIKELY, Node, WaitingTask, is_deadlock

_LONGEST_RESOURCE, _SHORTEST_RESOURCE, _SHORTEST_WHO = 60, 16, 20
_GAP = 2


class TreeRow(NamedTuple):
    """One line of the tree; ``guide`` draws it, and stands before ``who``."""

    guide: str
    name: str
    call: str
    resource: str
    ran: str
    mark: str
    task: WaitingTask | None = None
    """``None``: the line says how many are left out."""

    @property
    def who(self) -> str:
        return self.guide + self.name


def tree_rows(chain: Node) -> list[TreeRow]:
    """Return the lines of the tree as values, from the top.

    Args:
        chain: the chain, from its top.
    """
    closing = "again: deadlock" if is_deadlock(chain) else "again"
    return list(_rows(chain, "", "", set(), closing))


def tree(chain: Node, width: int | None = None) -> list[Line]:
    """Who, in which call, on what, since when; those who hold somebody up stand below them.

    Args:
        chain: the chain, from its top.
        width: columns there are: where they are few, long names lose their middle.
    """
    rows = tree_rows(chain)
    who = max(len(row.who) for row in rows)
    call, resource = max(len(row.call) for row in rows), max(len(row.resource) for row in rows)
    if width is not None:
        room = width - call - 2 * _GAP  # what stands at the end goes below, where it has no room
        beside = room - _GAP - max(len(row.ran) + len(row.mark) for row in rows)
        least = min(resource, _SHORTEST_RESOURCE)
        resource = min(resource, max(least, (beside if who + least <= beside else room) - who))
        who = min(who, max(_SHORTEST_WHO, room - resource))
    lines: list[Line] = []
    for index, row in enumerate(rows):
        cells = (
            shorten(row.who, who).ljust(who),
            row.call.ljust(call),
            shorten(row.resource, resource).ljust(resource),
        )
        guide = _guide(row.who, rows[index + 1].who if index + 1 < len(rows) else "")
        lines += _fitted(cells, row.ran, row.mark, width, guide)
    return lines


def _fitted(cells: tuple[str, ...], ran: str, mark: str, width: int | None, guide: str) -> list[Line]:
    """One line; where the screen is narrower, what stands at its end goes to lines of its own, each part whole."""
    text = (" " * _GAP).join((*cells, ran))
    if width is not None and len(text) + len(mark) > width:
        text = text.rstrip()  # what stands at the end is then not below that of the others
    if width is None or len(text) + len(mark) <= width:
        return [(Span(text), Span(mark, "bad")) if mark else (Span(text.rstrip()),)]
    first = (" " * _GAP).join(cells).rstrip()
    below = [Span(part.strip()) for part in ran.split(", ")] + ([Span(mark.strip(), "bad")] if mark else [])
    lines: list[Line] = [(Span(part),) for part in _cut(first, width)]
    indent = guide + " " * _GAP
    line: Line = (Span(indent),)
    for part in filter(lambda part: part.text, below):
        if len(line) > 1 and sum(len(span.text) for span in line) + _GAP + len(part.text) > width:
            lines.append(line)
            line = (Span(indent),)
        line = (*line, *((Span(" " * _GAP),) if len(line) > 1 else ()), part)
    return [*lines, line] if len(line) > 1 else lines


def _cut(text: str, width: int) -> list[str]:
    """A line that even alone is too long: broken between its columns, or else in the middle of the longest word."""
    return textwrap.wrap(text, width, subsequent_indent=" " * _GAP, break_on_hyphens=False, drop_whitespace=True)


def _guide(who: str, following: str) -> str:
    """What stands left of a line below a row: the strokes of the tree that go on to the next row."""
    depth = len(who) - len(who.lstrip("│├└ "))
    own = "".join("│ " if at < len(following) and following[at] in "│├└" else "  " for at in range(0, depth, 2))
    child = len(following) - len(following.lstrip("│├└ ")) > depth
    return own + ("│ " if child else "  ")


def _rows(node: Node, first: str, rest: str, shown: set[tuple[int, int]], closing: str) -> Iterator[TreeRow]:
    task, wait = node.task, node.task.wait
    top, again = not shown, (task.pid, task.tid) in shown and bool(node.holders)
    shown.add((task.pid, task.tid))
    who = f"{task.pid} {task.comm}" if task.tid == task.pid else f"{task.pid}/{task.tid} {task.comm}"
    root = not node.holders and not top
    facts = []
    if wait.since_ns:  # 0: it ran while it was looked at
        span = format_span(wait.since_ns)
        facts.append(f"last ran ≥ {span} ago" if root else f"no progress for ≥ {span}")
    if wait.left_ns is not None and wait.kind not in HALTED:
        facts.append(f"{format_span(wait.left_ns)} left")
    ran = ", ".join(facts)
    if task.switches and not root and wait.since_ns is not None:
        ran = f"ran {count_of(task.switches, 'time')} meanwhile"
    mark = f"  <- {closing}" if node.cycle else _end_mark(node) if root else ""
    ran += "  (see above)" if again else ""
    if node.relation == LIKELY:
        ran += "  likely"
    resource = resource_name(wait.resource) if wait.resource else polled(node)
    call = wait.call or wait.kind.replace("_", " ")
    if wait.kind in HALTED:
        call = wait.kind
    yield TreeRow(first, who, call, shorten(resource.removeprefix("the "), _LONGEST_RESOURCE), ran, mark, task)
    if again:
        return
    for index, holder in enumerate(node.holders):
        last = index == len(node.holders) - 1 and not node.more
        yield from _rows(holder, f"{rest}{'└' if last else '├'} ", rest + ("  " if last else "│ "), shown, closing)
    if node.more:
        yield TreeRow(f"{rest}└ ", f"{node.more} more", "", "", "", "")


_ENDS = {
    "root cause": "root cause",
    "likely": "likely cause",
    "one of": "one of these",
    "idle": "idle",
    "outside": "waits for another machine",
    "unseen": "what is behind it is not seen",
    "moving": "ran meanwhile",
}


def _end_mark(node: Node) -> str:
    """What the last of a chain is; a root cause only if it alone can end the wait, and waits for nobody else."""
    return f"  <- {_ENDS[node.end]}" if node.end in _ENDS else ""
