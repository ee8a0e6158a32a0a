"""``why --all``: one line for each process, the most stuck and most waited-for first, then the wait graph as trees."""

from __future__ import annotations

from collections import Counter

from straced.text.units import count_of, format_ns
from straced.views.text.summary import Line, Span, plain
from straced.views.why.folding import folded, words
from straced.views.why.phrases import shorten
from straced.views.why.report import section, wrapped
from straced.views.why.sentence import predicate
from straced.views.why.tree import tree
from straced.waits.model import Why, WhyAll, walk

_WHO = 24
_STYLES = {"stuck": "bad", "spinning": "bad", "stopped": "bad", "idle": "weak", "ended": "weak", "unknown": "weak"}


def overview(found: WhyAll, limit: int = 20, width: int | None = None) -> str:
    """The overview as text, without colour."""
    return plain(lines(found, limit, width)).removesuffix("\n")


def lines(found: WhyAll, limit: int = 20, width: int | None = None) -> list[Line]:
    """How many there are of each verdict, the first ``limit`` processes, their chains, and what was not seen.

    Args:
        found: the answers, in their order.
        limit: processes to show.
        width: columns there are, ``None`` for no limit.
    """
    rows = folded(found)[:limit]
    shown = tuple(why for row in rows for why in row)
    result: list[Line] = [
        *_counts(found, width),
        (),
        (Span(f"{'verdict':<9}{'waiters':>7}  {'process':<{_WHO}}  why", "weak"),),
    ]
    for row in rows:
        why = row[0]
        waiting = found.waited_for.get(why.pid, 0)
        who = shorten(f"{why.pid} {why.comm}" if len(row) == 1 else f"{len(row)} × {why.comm}", _WHO)
        text = f"{waiting or '-':>7}  {who:<{_WHO}}  {predicate(why) if len(row) == 1 else words(row, found)}"
        style = "bad" if why.deadlock else _STYLES.get(why.verdict, "")
        result.append((Span(f"{why.verdict:<9}", style), Span(_cut(text, width and width - 9))))
    left = len(found.processes) - len(shown)
    if left > 0:
        result.append((Span(f"({left} more: -n {len(found.processes)})", "weak"),))
    for why in _tops(tuple(row[0] for row in rows if len(row) == 1), found.waited_for):
        if why.chain is not None:
            result += [(), *tree(why.chain, width)]
    if found.not_seen:
        result += [(), *section("not seen", found.not_seen, width)]
    return result


def _cut(text: str, width: int | None) -> str:
    """One line each: what does not fit is cut, and the tree below or ``straced why PID`` has it all."""
    return text if width is None or len(text) <= width else text[: max(width - 1, 1)] + "…"


def _counts(found: WhyAll, width: int | None) -> list[Line]:
    counted = Counter(why.verdict for why in found.processes)
    words = ", ".join(f"{count} {verdict}" for verdict, count in counted.items())
    number = len(found.processes)
    text = f"{count_of(number, 'process')} in {format_ns(found.window_ns)}: {words}"
    return [(Span(line, "strong"),) for line in wrapped(text, width)]


def _tops(shown: tuple[Why, ...], waited_for: dict[int, int]) -> list[Why]:
    """Those whose chains show all: nobody waits for them, or they are in a deadlock that is not drawn yet."""
    chains = [why for why in shown if why.chain is not None and why.chain.holders]
    tops = [why for why in chains if why.pid not in waited_for]
    drawn = {node.task.pid for why in tops if why.chain is not None for node in walk(why.chain)}
    for why in chains:
        if why.deadlock and why.pid not in drawn and why.chain is not None:
            tops.append(why)
            drawn |= {node.task.pid for node in walk(why.chain)}
    return sorted(tops, key=shown.index)
