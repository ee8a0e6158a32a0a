"""The answer for people: one sentence, the chain as a tree, the evidence, and what to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from straced.units import format_ns
from straced.views.why_words import alone, edge, name, resource_name, shorten
from straced.waits.kinds import HALTED, UNRESOLVED
from straced.waits.model import LIKELY, Node, Why, WhyAll, is_deadlock, leaves

_SPELLED_OUT = 3
_VERB = {"ended": "has ended", "gone": "is gone", "unknown": "sleeps, and why cannot be read"}


def sentence(why: Why) -> str:
    """The whole answer in one sentence."""
    if why.chain is None:
        return f"{why.pid}{f' ({why.comm})' if why.comm else ''} is gone: it ended while it was looked at."
    chain = why.chain
    who = name(chain.task)
    if why.verdict in ("ended", "stopped"):
        return f"{who} {_clauses(chain)}."
    verb = _VERB.get(why.verdict, f"is {why.verdict}")
    if why.verdict in ("busy", "spinning"):
        return f"{who} {verb}: {_activity(why)}."
    if why.verdict == "unknown" and not chain.holders:
        return f"{who} {verb}."
    if why.verdict == "unknown":
        return f"{who} {_clauses(chain)}."
    return f"{who} {verb}: it {_through_children(chain)}."


def _activity(why: Why) -> str:
    cpu = f"{why.cpu_pct:.0f} % of a CPU" if why.cpu_pct is not None else "it runs"
    if why.kernel_share is not None and why.kernel_share >= 0.3:
        cpu += f", {why.kernel_share:.0%} of that in the kernel"
    spins = [storm.text for storm in why.storms if storm.kind.startswith(("empty_", "spin_"))]
    return f"{spins[0]}, at {cpu}" if spins and why.verdict == "spinning" else cpu


def _through_children(chain: Node) -> str:
    """A wait for a child that itself waits for somebody says little: say what the child waits for."""
    through: list[Node] = []
    node = chain
    while node.task.wait.kind == "child" and len(node.holders) == 1 and node.holders[0].holders:
        node = node.holders[0]
        through.append(node)
    text = _clauses(node)
    if not through or node.cycle or not text.startswith("waits "):
        return _clauses(chain)
    names = ", ".join(name(child.task) for child in through[:3])
    return f"waits, through its child {names}, {text.removeprefix('waits ')}"


def _clauses(node: Node) -> str:
    """Chained relative clauses, the middle left out of long chains."""
    if not node.holders:
        return alone(node.task.wait, _shown_cpu(node))
    text = edge(node)
    for count in range(1, 100):
        ends = _distinct_roots(node)
        if len(node.holders) > 1 or node.more:
            return text + _many(node, ends)
        node = node.holders[0]
        if node.cycle:
            return f"{text}{'' if text.endswith('itself') else ' again'}: a deadlock"
        if not node.holders:
            return f"{text}, which {alone(node.task.wait, _shown_cpu(node))}"
        if count >= _SPELLED_OUT and len(ends) == 1:
            root = ends[0]
            end = "comes back: a deadlock" if root.cycle else alone(root.task.wait, _shown_cpu(root))
            return f"{text}, and so on to {name(root.task)}, which {end}"
        text += f", which {edge(node)}"
    return text


def _shown_cpu(node: Node) -> float | None:
    return node.task.cpu_pct if node.task.wait.kind == "running" else None


def _distinct_roots(node: Node) -> list[Node]:
    found = {(leaf.task.pid, leaf.task.tid, leaf.cycle): leaf for leaf in leaves(node)}
    return list(found.values())


def _many(node: Node, ends: list[Node]) -> str:
    if all(holder.task.pid == node.task.pid for holder in node.holders):
        return ""
    if len(ends) == 1 and not node.more:
        root = ends[0]
        return f"; at the end stands {name(root.task)}, which {alone(root.task.wait, _shown_cpu(root))}"
    shown = [f"{name(leaf.task)} {alone(leaf.task.wait, _shown_cpu(leaf))}" for leaf in ends[:4] if not leaf.cycle]
    return "; " + ", ".join(shown) if shown else ""


def tree(chain: Node) -> list[str]:
    """The chain as lines with aligned columns: who, in which call, on what, since when."""
    closing = "again: deadlock" if is_deadlock(chain) else "again"
    rows = list(_rows(chain, "", "", set(), closing))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        cells = [row[column].ljust(widths[column]) for column in range(3)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    return lines


def _rows(
    node: Node, first: str, rest: str, shown: set[tuple[int, int]], closing: str
) -> Iterator[tuple[str, str, str, str]]:
    task, wait = node.task, node.task.wait
    top, again = not shown, (task.pid, task.tid) in shown and bool(node.holders)
    shown.add((task.pid, task.tid))
    who = f"{task.pid} {task.comm}" if task.tid == task.pid else f"{task.pid}/{task.tid} {task.comm}"
    root = not node.holders and not top
    ran = f"last ran >= {format_ns(wait.since_ns)} ago" if wait.since_ns is not None else ""
    if wait.since_ns is not None and not root:
        ran = f"no progress for >= {format_ns(wait.since_ns)}"
    if wait.left_ns is not None and wait.kind not in HALTED:
        ran += f", {format_ns(wait.left_ns)} left"
    mark = f"  <- {closing}" if node.cycle else _end_mark(node) if root else ""
    mark += "  (see above)" if again else ""
    if node.relation == LIKELY:
        mark = f"  likely{mark}"
    resource = resource_name(wait.resource) if wait.resource else _watched(node)
    call = wait.call or wait.kind.replace("_", " ")
    if wait.kind in HALTED:
        call = wait.kind
    yield first + who, call, shorten(resource.removeprefix("the "), 60), ran + mark
    if again:
        return
    for index, holder in enumerate(node.holders):
        last = index == len(node.holders) - 1 and not node.more
        yield from _rows(holder, f"{rest}{'└' if last else '├'} ", rest + ("  " if last else "│ "), shown, closing)
    if node.more:
        yield f"{rest}└ {node.more} more", "", "", ""


def _end_mark(node: Node) -> str:
    """The last of a chain is its root cause only if it waits for nobody else."""
    outside = node.task.wait.resource is not None and node.task.wait.resource.kind in ("tcp", "udp")
    if node.task.wait.kind in UNRESOLVED and not outside:
        return "  <- what is behind it is not seen"
    return "  <- root cause"


def _watched(node: Node) -> str:
    watched = node.task.wait.watched
    if len(watched) == 1:
        return resource_name(watched[0])
    kinds = Counter(resource.kind for resource in watched)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))


def report(why: Why) -> str:
    """Sentence, tree, evidence, what was not seen, what to type next."""
    lines = [sentence(why)]
    if why.chain is not None:
        lines += ["", *tree(why.chain)]
    lines += _section("evidence", why.evidence) + _section("storm", [storm.text for storm in why.storms])
    lines += _section("threads", _other_threads(why)) + _section("python", why.python_stack)
    lines += _section("not seen", why.not_seen) + _section("next", [why.next] if why.next else [])
    return "\n".join(lines)


def _section(title: str, lines: tuple[str, ...] | list[str]) -> list[str]:
    if not lines:
        return []
    gap = [""] if title == "evidence" else []
    return gap + [f"{title if index == 0 else '':<9} {line}" for index, line in enumerate(lines)]


def _other_threads(why: Why) -> list[str]:
    """The threads that the chain does not show, counted by what they do."""
    if why.chain is None or len(why.threads) < 2:
        return []
    counted = Counter(
        f"{task.wait.kind.replace('_', ' ')}{f' ({task.wait.call})' if task.wait.call else ''}"
        for task in why.threads
        if task.tid != why.chain.task.tid
    )
    return [f"{count} more: {what}" for what, count in counted.most_common(5)]


def overview(found: WhyAll, limit: int = 20) -> str:
    """One line for each process, the most stuck and most waited-for first, then the wait graph as trees."""
    rows = []
    for why in found.processes[:limit]:
        waiting = found.waited_for.get(why.pid, 0)
        rows.append(f"{why.verdict:<9}{waiting or '-':>7}  {sentence(why)}")
    lines = [f"{'verdict':<9}{'waiters':>7}  why", *rows]
    left = len(found.processes) - limit
    if left > 0:
        lines.append(f"({left} more: -n {len(found.processes)})")
    shown = [why for why in found.processes[:limit] if why.chain is not None and why.chain.holders]
    tops = [why for why in shown if why.pid not in found.waited_for or why.deadlock]
    trees = [why.chain for why in tops if why.chain is not None]
    for chain in trees:
        lines += ["", *tree(chain)]
    return "\n".join(lines + [""] * bool(found.not_seen) + _section("not seen", found.not_seen))
