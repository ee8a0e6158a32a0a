"""What the end of a chain is: a root cause only where nothing else can be meant."""

from __future__ import annotations

from collections.abc import Iterable

from straced.waits.classify.kinds import IDLE, UNRESOLVED
from straced.waits.classify.titles import says_working
from straced.waits.facts.sockets import is_loopback
from straced.waits.model import HOLDS, LIKELY, ONE_OF, WaitingTask, Way

ENDS = {
    "root cause": "this task alone can end the wait, and it waits for nobody",
    "likely": "as a root cause, but a link of the chain that leads here is inferred",
    "one of": "one of several that could end the wait",
    "idle": "it waits for work, a signal or a person: nobody known holds it up",
    "outside": "it waits for another machine, or a network namespace that cannot be entered",
    "unseen": "somebody holds it up who cannot be seen",
    "moving": "it ran while it was looked at: whom it waits for changes",
}
"""Word -> what it means."""

_OPEN = frozenset({"anybody", "connection", "person", "threads", "kernel"})


def doubt_of(above: str, relation: str | None) -> str:
    """How sure a chain is after one more link: ``holds`` all the way, or the weakest of its relations."""
    order = (HOLDS, LIKELY, ONE_OF)
    return max(above, relation or HOLDS, key=order.index)


def is_open(task: WaitingTask, ways: Iterable[Way]) -> bool:
    """Whether a wait may be ended from where nobody can be named: by work that comes, a signal, a person."""
    return any(way.kind in _OPEN for way in ways) or task.wait.kind in IDLE - {"sleep", "poll"}


def end_of(task: WaitingTask, ways: tuple[Way, ...], doubt: str, *, at_home: bool) -> str:
    """The word for a task that the chain ends in.

    Args:
        task: the last one.
        ways: how its wait may end without anybody of the chain.
        doubt: the weakest relation on the way to it.
        at_home: a worker of its own waits for it: a clock is a reason to rest then, too.
    """
    wait = task.wait
    if wait.kind == "asking":
        return ""
    resource = wait.resource
    remote = resource.peer if resource is not None and resource.kind in ("tcp", "udp") else None
    if any(way.kind == "outside" for way in ways) or (
        remote and wait.kind in UNRESOLVED and not is_loopback(remote.rpartition(":")[0])
    ):
        return "outside"
    if says_working(wait.title):
        return "unseen"
    if is_open(task, ways) or (at_home and wait.kind in IDLE):
        return "idle"
    unresolved = (wait.kind in UNRESOLVED or wait.kind == "poll") and not wait.bounded and not ways
    if unresolved and not wait.for_ever:
        return "unseen"
    return {HOLDS: "root cause", LIKELY: "likely", ONE_OF: "one of"}[doubt]
