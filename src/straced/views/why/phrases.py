"""The words of ``straced why``: one phrase for each kind of wait, with and without somebody at its other end."""

from __future__ import annotations

from collections import Counter

from straced.text.units import format_span
from straced.waits.classify.kinds import HALTED
from straced.waits.classify.polls import MAX_WATCHED
from straced.waits.facts.runtimes import GO
from straced.waits.model import LIKELY, ONE_OF, Node, Resource, Wait, WaitingTask

_WITH_HOLDER = {
    "pipe_read": "waits to read {r}, whose writer is {likely}{h}",
    "pipe_write": "waits to write to {r}, which is full and whose reader is {likely}{h}",
    "socket_read": "waits for data on {r}, whose other end is {likely}{h}",
    "socket_write": "waits for room to send on {r}, whose reader is {likely}{h}",
    "connect": "waits to connect to {r}, where the listener is {likely}{h}",
    "lock": "waits for a {lock} on {r} {likely}held by {h}",
    "lease": "waits to open {r}, on which a lease is {likely}held by {h}",
    "mutex": "waits for the {r} {likely}held by {h}",
    "join": "{likely}waits for the end of {h}",
    "futex": "waits on the {r}, to be woken {likely}by {h}",
    "job_token": "waits for a job token of {r}, {likely}held by {h}",
    "child": "waits for its child {h}",
    "vfork": "is suspended by vfork until the exec or the end of its child {h}",
    "traced": "is held in a tracing stop by its tracer {h}",
    "zombie": "has ended and is not yet waited for by its parent {h}",
    "file_io": "waits in {call} on {r}, which {likely}is served by {h}",
    "poll": "watches {r}, whose other end is {likely}{h}",
    "tty_write": "waits to write to {r}, which should be emptied by {likely}{h}",
}
_ALONE = {
    "running": "runs",
    "pipe_read": "waits to read {r}, whose writer cannot be seen",
    "pipe_write": "waits to write to {r}, which is full and whose reader cannot be seen",
    "fifo_open": "waits to open {r}: {d}",
    "socket_read": "waits for data on {r}",
    "socket_write": "waits for room to send on {r}",
    "connect": "waits to connect to {r}",
    "accept": "waits for somebody to connect to {r}",
    "lock": "waits for a {lock} on {r}, whose holder cannot be seen",
    "lease": "waits to open {r}, on which somebody has a lease",
    "mutex": "waits for the {r}",
    "join": "waits for the end of {r}",
    "job_token": "waits for a job token of {r}",
    "futex": "waits on the {r}",
    "child": "waits for {r}",
    "vfork": "is suspended until its vfork child executes or ends",
    "sleep": "sleeps",
    "poll": "waits in {call} for {w}",
    "tty_read": "waits for a person at {r}",
    "tty_write": "waits to write to the terminal {r}",
    "event_read": "waits for an event on {r}",
    "signal": "waits for a signal",
    "ipc": "waits on {r}",
    "io_uring": "waits for completions of {r}",
    "file_io": "waits in {call} on {r}",
    "frozen_fs": "waits to write to {r}, which is frozen (fsfreeze)",
    "memory": "waits for memory",
    "stopped": "is stopped by a signal",
    "traced": "is held in a tracing stop",
    "frozen": "is frozen by the cgroup {r}",
    "zombie": "has ended",
    "dead": "has ended",
    "kernel": "is a kernel thread{k}",
    "asking": "is asking this question",
    "hidden": "is blocked; {refused}",
    "other": "is in {call}",
}
_LONG = 72
_MOST_WAYS = 6
_PLURAL = {"tcp": "TCP sockets", "udp": "UDP sockets", "unix": "unix sockets", "pipe": "pipes", "file": "files"}


def name(task: WaitingTask, seen_from: WaitingTask | None = None) -> str:
    """``4100 (backup)``; a thread that is not the main one is named with its process."""
    if seen_from is not None and seen_from.tid == task.tid:
        return "itself"
    if task.tid == task.pid:
        return (
            f"{task.pid} ({task.comm})" if seen_from is None or seen_from.pid != task.pid else f"its thread {task.tid}"
        )
    if seen_from is not None and seen_from.pid == task.pid:
        return f"its thread {task.tid} ({task.comm})"
    return f"thread {task.tid} of {task.pid} ({task.comm})"


def shorten(text: str, limit: int = _LONG) -> str:
    """Cut the middle out of a long name: both ends of a path tell something."""
    return text if len(text) <= limit else f"{text[: limit // 3]}…{text[-(limit - limit // 3 - 1) :]}"


def resource_name(resource: Resource | None) -> str:
    """A resource as a phrase: ``the pipe pipe:[7]``, ``/var/cache/x.lock``."""
    if resource is None:
        return "something that cannot be read"
    text = shorten(resource.name)
    if resource.kind in ("unix", "tcp", "udp"):
        to = f" -> {shorten(resource.peer)}" if resource.peer and resource.peer != resource.name else ""
        return f"the {resource.kind if resource.kind == 'unix' else resource.kind.upper()} socket {text}{to}"
    if resource.kind == "fifo":
        return f"the FIFO {text}"
    if resource.kind == "mount" and text.startswith("/"):
        return f"the file system at {text}"
    return text


def watched_name(wait: Wait) -> str:
    """What a poll watches: the one thing by its name, else how many of each kind.

    What a process only wakes itself with is left out, unless there is nothing else.
    """
    watched = [resource for resource in wait.watched if not resource.internal] or list(wait.watched)
    if len(watched) == 1:
        return resource_name(watched[0])
    listening = [resource for resource in watched if "(listening)" in resource.name]
    if listening and len(watched) - len(listening) <= len(watched) // 2:
        more = f" and {len(watched) - 1} more" if len(watched) > 1 else ""
        return resource_name(listening[0]) + more
    if len(wait.watched) >= MAX_WATCHED:
        return f"{MAX_WATCHED} or more descriptors"
    kinds = Counter(_PLURAL.get(resource.kind, resource.kind) for resource in watched)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))


def alone(wait: Wait, cpu_pct: float | None = None) -> str:
    """What a task does, when nobody is known to stand behind it: the end of a sentence."""
    if wait.kind == "running" and cpu_pct is not None:
        return f"is busy ({cpu_pct:.0f} % of a CPU)"
    outside = (
        wait.kind in ("socket_read", "socket_write", "connect") and wait.resource is not None and _is_outside(wait)
    )
    text = _ALONE.get(wait.kind, "waits").format(**_parts(wait))
    if wait.request is not None:
        return f"waits for an answer of {wait.request.peer}, {_sent(wait)}{_left(wait)}"
    left = _left(wait)
    if wait.helper:
        return f"waits for work of its {wait.runtime} runtime"
    if wait.kind == "futex" and wait.runtime == GO:
        return "waits in the Go runtime, and which goroutine waits for what the kernel does not know"
    if wait.kind == "futex" and wait.detail:
        return f"{text}: {wait.detail}"
    return text + (", outside this machine or network namespace" if outside else "") + left


def rests(node: Node, cpu_pct: float | None = None) -> str:
    """As :func:`alone`, with the ways in which the wait may end and the title, where they say more."""
    wait = node.task.wait
    if node.end == "moving":
        return "runs now and then, so that whom it waits for changes"
    text = alone(wait, cpu_pct)
    if (
        wait.kind == "poll"
        and wait.request is None
        and node.ways
        and not any(way.kind == "connection" for way in node.ways)
    ):
        text = f"waits in {_parts(wait)['call']} for {_any_of([way.text for way in node.ways])}{_left(wait)}"
    if node.threads > 1:
        text += f", as its {node.threads} threads do" if wait.kind == "sleep" else ""
    return text + titled(wait)


def polled(node: Node) -> str:
    """What a poll waits for, as a short name: its resources, or the ways in which it may end."""
    texts = [way.text.partition(",")[0].partition(" (")[0] for way in node.ways]
    if not texts or any(way.kind == "connection" for way in node.ways):
        return watched_name(node.task.wait)
    return " or ".join([*([watched_name(node.task.wait)] if node.holders else []), *texts])


def titled(wait: Wait) -> str:
    """What the process says of itself."""
    return f'; its title says "{wait.title}"' if wait.title else ""


def _any_of(texts: list[str]) -> str:
    shown = texts[:_MOST_WAYS] + ([f"{len(texts) - _MOST_WAYS} more"] if len(texts) > _MOST_WAYS else [])
    return shown[0] if len(shown) == 1 else f"one of: {', '.join(shown)}"


def _left(wait: Wait) -> str:
    return f" ({format_span(wait.left_ns)} left)" if wait.left_ns is not None and wait.kind not in HALTED else ""


def _sent(wait: Wait) -> str:
    """When that was asked which is not answered; of UDP only that it was before the task went to sleep."""
    request = wait.request
    if request is None or request.sent_ns is None:
        return f"asked ≥ {format_span(wait.since_ns)} ago" if wait.since_ns is not None else "which it has asked"
    return f"sent {format_span(request.sent_ns)} ago" + ("" if request.taken else " and not acknowledged")


def _is_outside(wait: Wait) -> bool:
    peer = wait.resource.peer if wait.resource else None
    return (
        bool(peer)
        and wait.resource is not None
        and wait.resource.kind in ("tcp", "udp")
        and not str(peer).startswith(("127.", "[::1]"))
    )


def edge(node: Node) -> str:
    """What a task waits for, and the holders' names."""
    wait = node.task.wait
    relation = node.holders[0].relation
    names = [name(holder.task, node.task) for holder in node.holders]
    if node.more:
        names.append(f"{node.more} more")
    last = f" (the last time it was {names[0]})" if node.holders[0].woke_last else ""
    if wait.kind == "poll" and (node.ways or len({holder.task.pid for holder in node.holders}) > 1):
        return f"waits in {_parts(wait)['call']} for {_any_of([*names, *(way.text for way in node.ways)])}{last}"
    if len(names) > 1 and all(holder.task.pid == node.task.pid for holder in node.holders):
        who = "one of its threads " + ", ".join(word.removeprefix("its thread ") for word in names)
    elif len(names) == 1:
        who = names[0]
    elif relation == ONE_OF and len({holder.task.pid for holder in node.holders}) == 1:
        one = node.holders[0].task
        who = f"one of the threads {', '.join(str(each.task.tid) for each in node.holders)} of {one.pid} ({one.comm})"
        who += f" and {node.more} more" if node.more else ""
    elif relation == ONE_OF:
        who = f"one of {', '.join(names)}"
    else:
        who = " and ".join([", ".join(names[:-1]), names[-1]])
    who += last
    if len(names) > 1 and wait.kind == "child":
        return f"waits for its children {', '.join(names)}"
    likely = "likely " if relation == LIKELY else ""
    if wait.request is not None:
        return f"waits for an answer on {_parts(wait)['r']}, {_sent(wait)}, whose other end is {likely}{who}"
    return _WITH_HOLDER.get(wait.kind, "waits for {h}").format(h=who, likely=likely, **_parts(wait))


def _parts(wait: Wait) -> dict[str, str]:
    watched = wait.watched
    resource = watched_name(wait) if wait.kind == "poll" else resource_name(wait.resource)
    return {
        "r": resource,
        "d": wait.detail,
        "k": f", in {wait.kernel}" if wait.kernel else "",
        "w": "work on " + resource if watched else wait.detail or "something that cannot be read",
        "call": (wait.call or "a call").partition("(")[0],
        "lock": _lock_word(wait.call),
        "refused": wait.refused or "what it does may not be read",
    }


def _lock_word(call: str | None) -> str:
    if call is None:
        return "file lock"
    return (
        "file lock (flock)" if call.startswith("flock") else "file lock (OFD)" if "OFD" in call else "file lock (fcntl)"
    )
