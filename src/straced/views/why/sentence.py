"""The whole answer in one sentence."""

from __future__ import annotations

from straced.views.why.phrases import edge, name, rests
from straced.waits.model import LIKELY, Node, Why, leaves, walk

_SPELLED_OUT = 3
_VERB = {"ended": "has ended", "gone": "is gone"}


def sentence(why: Why) -> str:
    """Who is in which trouble, through whom, and what stands at the end."""
    if why.chain is None:
        killed = f"; {why.reason}" if why.reason else ""
        return f"{why.pid}{f' ({why.comm})' if why.comm else ''} is gone: it ended while it was looked at{killed}."
    who = name(why.chain.task)
    if why.verdict in ("ended", "stopped") or (why.verdict == "unknown" and why.chain.holders):
        return f"{who} {predicate(why)}."
    verb = _VERB.get(why.verdict, f"is {why.verdict}")
    if why.verdict == "unknown":
        return f"{who} {predicate(why)}."
    it = "" if why.verdict in ("busy", "spinning") or _is_told_by_reason(why) else "it "
    return f"{who} {verb}: {it}{predicate(why)}."


def predicate(why: Why) -> str:
    """The sentence without who and the verdict, with the limit that held the process back."""
    text = _predicate(why)
    limit = next((limit.text for limit in why.limits if limit.acted), "")
    return f"{text}; {limit}" if limit and limit not in text else text


def _predicate(why: Why) -> str:
    if why.chain is None:
        return "ended while it was looked at"
    if why.verdict in ("busy", "spinning"):
        return _activity(why)
    if _is_told_by_reason(why):
        return why.reason
    if why.verdict == "unknown" and not why.chain.holders:
        return rests(why.chain)
    if why.verdict in ("ended", "stopped", "unknown"):
        return _clauses(why.chain)
    return _through_children(why.chain)


def _is_told_by_reason(why: Why) -> bool:
    """A process that gets on, and was found in no wait worth telling, is told by what it does most."""
    if why.verdict not in ("slow", "idle") or not why.reason or why.chain is None or why.chain.holders:
        return False
    return why.chain.task.wait.kind in ("running", "other", "file_io", "memory")


def rest_of_reason(why: Why) -> str:
    """What decided the verdict, where the sentence does not say it."""
    return why.reason if why.verdict == "slow" and not _is_told_by_reason(why) else ""


def _activity(why: Why) -> str:
    cpu = f"{why.cpu_pct:.0f} % of a CPU" if why.cpu_pct is not None else "it runs"
    if why.kernel_share is not None and why.kernel_share >= 0.3:
        cpu += f", {100 * why.kernel_share:.0f} % of that in the kernel"
    spins = [storm.text for storm in why.storms if storm.kind.startswith(("empty_", "spin_"))]
    if why.storms:
        return f"{spins[0] if spins else why.storms[0].text}, at {cpu}"
    return f"{cpu}; {why.reason}" if why.reason else cpu


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
        return rests(node, _shown_cpu(node))
    chain = node
    text = edge(node)
    for count in range(1, 100):
        ends = _distinct_roots(node)
        if len(node.holders) > 1 or node.more or node.ways:
            return text + _many(node, ends)
        node = node.holders[0]
        if node.cycle:
            return f"{text}{'' if text.endswith('itself') else ' again'}: {_deadlock(chain)}"
        if not node.holders:
            return f"{text}, which {rests(node, _shown_cpu(node))}"
        if count >= _SPELLED_OUT and len(ends) == 1:
            root = ends[0]
            end = f"comes back: {_deadlock(chain)}" if root.cycle else rests(root, _shown_cpu(root))
            return f"{text}, and so on to {name(root.task)}, which {end}"
        text += f", which {edge(node)}"
    return text


def _deadlock(chain: Node) -> str:
    """A wait whose waker is only inferred, from there being no other thread, may have one that cannot be seen."""
    inferred = [node.task.wait.kind for node in walk(chain) for below in node.holders if below.relation == LIKELY]
    guessed = any(kind not in ("mutex", "join") for kind in inferred)
    return "likely a deadlock" if guessed else "a deadlock"


def _shown_cpu(node: Node) -> float | None:
    return node.task.cpu_pct if node.task.wait.kind == "running" else None


def _distinct_roots(node: Node) -> list[Node]:
    found = {(leaf.task.pid, leaf.task.tid, leaf.cycle): leaf for leaf in leaves(node)}
    return list(found.values())


def _many(node: Node, ends: list[Node]) -> str:
    if all(holder.task.pid == node.task.pid for holder in node.holders):
        return ""
    if node.ways:
        shown = [
            f"{name(each.task)} {edge(each) if each.holders else rests(each, _shown_cpu(each))}"
            for each in node.holders[:4]
        ]
        return "; " + ", ".join(shown) if shown else ""
    if len(ends) == 1 and not node.more:
        root = ends[0]
        return f"; at the end stands {name(root.task)}, which {rests(root, _shown_cpu(root))}"
    shown = [f"{name(leaf.task)} {rests(leaf, _shown_cpu(leaf))}" for leaf in ends[:4] if not leaf.cycle]
    return "; " + ", ".join(shown) if shown else ""
