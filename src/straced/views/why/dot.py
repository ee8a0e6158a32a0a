"""The wait graph for Graphviz: who waits for whom, and on what."""

from __future__ import annotations

from collections.abc import Iterable

from straced.views.why.phrases import shorten
from straced.waits.model import HOLDS, Node, Why

_COLOUR = {"stopped": "orange", "frozen": "orange", "traced": "orange", "running": "green", "zombie": "gray"}


def dot(answers: Iterable[Why]) -> str:
    """A ``digraph``; arrows point from who waits to who is waited for, dashed where that is inferred."""
    nodes: dict[tuple[int, int], str] = {}
    edges: dict[tuple[tuple[int, int], tuple[int, int]], str] = {}
    for answer in answers:
        if answer.chain is not None:
            _add(answer.chain, nodes, edges)
    body = [*nodes.values(), *edges.values()]
    return "\n".join(["digraph why {", "  rankdir=LR;", "  node [shape=box];", *body, "}"])


def _add(
    node: Node,
    nodes: dict[tuple[int, int], str],
    edges: dict[tuple[tuple[int, int], tuple[int, int]], str],
) -> None:
    task = node.task
    key = (task.pid, task.tid)
    label = f"{task.pid} {task.comm}" if task.pid == task.tid else f"{task.pid}/{task.tid} {task.comm}"
    what = task.wait.call or task.wait.kind.replace("_", " ")
    colour = _COLOUR.get(task.wait.kind, "black")
    nodes.setdefault(key, f"  t{task.tid} [label={_quote(label, what)}, color={colour}];")
    outside = [resource for resource in task.wait.watched if not resource.internal]
    resource = task.wait.resource or (outside[0] if len(outside) == 1 else None)
    for holder in node.holders:
        other = (holder.task.pid, holder.task.tid)
        style = "solid" if holder.relation == HOLDS else "dashed"
        name = shorten(resource.name, 40) if resource else task.wait.kind
        text = _quote(name, holder.relation or "")
        edges.setdefault((key, other), f"  t{task.tid} -> t{holder.task.tid} [label={text}, style={style}];")
        _add(holder, nodes, edges)


def _quote(*lines: str) -> str:
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines if line]
    return '"' + "\\n".join(escaped) + '"'
