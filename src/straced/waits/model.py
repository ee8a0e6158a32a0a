"""Frozen values of ``straced why``: what a thread waits for, who can end that wait, and the verdict.

The sentence and the tree that people read are views of these values (:mod:`straced.views.why.report`).
Times are integers in nanoseconds; ``None`` means "cannot be known", never zero.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

WHY_SCHEMA = "straced.why/1"
WHY_ALL_SCHEMA = "straced.why_all/1"

HOLDS = "holds"
"""The kernel itself says that this task alone stands at the other end, or owns the lock."""
LIKELY = "likely holds"
"""Inferred, from a number in the target's memory or from a partial view."""
ONE_OF = "one of"
"""Several tasks could end the wait, and nothing tells which."""


class Resource(Struct, frozen=True, kw_only=True):
    """The thing that is waited on."""

    kind: str
    """``pipe``, ``fifo``, ``unix``, ``tcp``, ``udp``, ``file``, ``lock``, ``futex``, ``process``, ``tty``, ..."""
    name: str
    """As a reader would name it: a path, an address, ``pipe:[4711]``; already scrubbed."""
    inode: int | None = None
    """Its inode number, where it has one."""
    fd: int | None = None
    """The descriptor of the waiting process."""
    peer: str | None = None
    """The address at the other end of a socket."""
    internal: bool = False
    """Both ends belong to the waiting process: how an event loop is woken by its own threads."""
    wants: str = ""
    """What a poll waits for on it: ``read``, ``write``, ``read write``, or ``close`` for its end only."""


class Request(Struct, frozen=True, kw_only=True):
    """Something that was asked of another program over a socket, and that has not been answered."""

    local: str
    """The address that asks."""
    peer: str
    """The address that was asked."""
    sent_ns: int | None = None
    """Data was last sent this long ago; ``None`` for UDP, of which the kernel keeps no time."""
    taken: bool | None = None
    """The other end's kernel has acknowledged all of it; ``None`` for UDP."""
    answered_before: bool = False
    """Something came back on this connection, before."""


class Wait(Struct, frozen=True, kw_only=True):
    """What one task does at one moment.

    ``kind`` is a word of :data:`straced.waits.classify.kinds.KINDS`, such as ``pipe_read``, ``lock`` or ``running``.
    """

    kind: str
    """What it does: a word of :data:`straced.waits.classify.kinds.KINDS`."""
    state: str
    """The letter of proc(5): R, S, D, T, t, Z, X, I."""
    call: str | None = None
    """The system call it is in, ``fcntl(F_SETLKW)``; ``None`` when it is in none, or that cannot be read."""
    resource: Resource | None = None
    """What it waits on, where that is known."""
    watched: tuple[Resource, ...] = ()
    """What a poll, select or epoll call watches."""
    since_ns: int | None = None
    """The task last ran this long ago: the wait has lasted at least as long as it has made no progress."""
    left_ns: int | None = None
    """What is left of a timer or timeout, from its argument and the time the task last ran."""
    bounded: bool = False
    """It has a timeout, and so ends by itself; a wait whose arguments cannot be read is not known to."""
    kernel: str | None = None
    """The kernel function it sleeps in, where that may be read."""
    address: int | None = None
    """The address of a futex."""
    detail: str = ""
    """A short addition for people, ``queue full``, ``backlog 2 of 1``."""
    runtime: str = ""
    """The runtime of the program, ``Go``, ``Java``, ..., where a lock of its own may be what the task waits on."""
    for_ever: bool = False
    """Nobody can end it any more: a mutex whose owner has ended, or that a fork has copied."""
    helper: bool = False
    """The task serves the runtime, and not the program: a collector, a compiler, a signal thread."""
    request: Request | None = None
    """What the task has asked and waits to be told: then it does not rest, whatever the call."""
    refused: str = ""
    """Of a hidden wait, who would be told more: ``details need root``, or that root is refused them, too."""
    title: str = ""
    """What the process says of itself in its title: ``UPDATE waiting``, of a PostgreSQL backend."""


class Way(Struct, frozen=True, kw_only=True):
    """A way in which a wait may end that leads to no task: a signal, a timer, whoever connects."""

    kind: str
    """``anybody``, ``connection``, ``timer``, ``kernel``, ``person``, ``threads``, ``outside`` or ``unseen``."""
    text: str
    """As a reader would name it: ``a signal``, ``a change of a watched file (inotify)``; already scrubbed."""


class Holder(Struct, frozen=True, kw_only=True):
    """A task or process that can end a wait."""

    pid: int
    """The process."""
    tid: int | None = None
    """Set when one thread is meant: the owner of a mutex, the thread that is joined."""
    relation: str = HOLDS
    """``holds``, ``likely holds`` or ``one of``."""
    evidence: str = ""
    """Where that was read, for people."""
    numbers: tuple[int, ...] = ()
    """Its descriptors of the thing that is waited on: through them it can end the wait."""
    guessed: bool = False
    """The thread is not named by anything: it looks as if it was meant."""


class WaitingTask(Struct, frozen=True, kw_only=True):
    """A task and its wait, with the activity that was seen while sampling."""

    pid: int
    """The process."""
    tid: int
    """The thread."""
    comm: str
    """Its name, at most 15 bytes."""
    uid: int | None
    """The real user id; ``None`` where it is not known."""
    start_ticks: int
    """Field 22 of /proc/PID/task/TID/stat: clock ticks after boot."""
    wait: Wait
    """What it does at this moment."""
    cpu_pct: float | None = None
    """Share of one CPU over the window."""
    switches: int | None = None
    """Times the task was put on a CPU in the window; 0 means that it made no progress at all."""


class Node(Struct, frozen=True, kw_only=True):
    """One link of the chain: a task, and below it those who can end its wait."""

    task: WaitingTask
    """The task, and what it waits for."""
    relation: str | None = None
    """How this task stands to the one above: ``holds``, ``likely holds``, ``one of``; ``None`` at the top."""
    evidence: str = ""
    """Where the relation was read, for people."""
    woke_last: bool = False
    """Of several, it is the one who ended this wait the last time, in the window (eBPF); the next time may differ."""
    holders: tuple[Node, ...] = ()
    """Those who can end its wait."""
    cycle: bool = False
    """This task stands further up already: a deadlock."""
    more: int = 0
    """Holders that are not listed here because there are too many."""
    ways: tuple[Way, ...] = ()
    """Ways in which this wait may end without any of the holders: with one of them, nobody is proven to hold it up."""
    end: str = ""
    """What the end of a chain is, a word of :data:`straced.waits.verdict.ends.ENDS`; ``""`` where it goes on."""
    threads: int = 1
    """How many threads of its process this node stands for: they all rest alike."""
    family: bool = False
    """It is an ancestor of the task above and runs the same program: what a worker waits for is work."""


class Storm(Struct, frozen=True, kw_only=True):
    """A pattern that costs time without getting anywhere: tiny reads, failing searches, fsync after fsync."""

    kind: str
    """``tiny_reads``, ``empty_reads``, ``openat_enoent``, ``stat``, ``fsync``, ..., for programs."""
    per_second: float | None
    """How often; ``None`` where it was not counted."""
    text: str
    """A sentence for people."""


class Limit(Struct, frozen=True, kw_only=True):
    """A limit of a cgroup or of the process itself that was reached."""

    pid: int
    """The process that reached it."""
    kind: str
    """``cpu_quota``, ``memory_max``, ``memory_high``, ``pids_max``, ``io_max``, ``nofile``, ``nproc``, ``swap``,
    ``oom_kill``."""
    path: str
    """The file that says so."""
    text: str
    """With the figures."""
    acted: bool = False
    """It held the process back in the window; else it is only reached, and the next request will be refused."""


class Why(Struct, frozen=True, kw_only=True):
    """The answer for one process."""

    pid: int
    """The process."""
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks after boot."""
    comm: str
    """Its name, at most 15 bytes."""
    uid: int | None
    """The real user id; ``None`` where it is not known."""
    parent: int | None = None
    """The pid of its parent; ``None`` where it is not known."""
    verdict: str
    """``stuck``, ``slow``, ``spinning``, ``busy``, ``idle``, ``stopped``, ``ended``, ``gone``, ``unknown``."""
    reason: str = ""
    """What decided the verdict where the chain does not show it, ``deadlock``, ``fsync takes 63 % of the time ...``."""
    chain: Node | None = None
    """The wait that explains it, and below it those who can end that."""
    threads: tuple[WaitingTask, ...] = ()
    """All its tasks that were looked at."""
    storms: tuple[Storm, ...] = ()
    """Patterns in its calls that cost time, where they were counted."""
    evidence: tuple[str, ...] = ()
    """Where the chain was read, for people."""
    not_seen: tuple[str, ...] = ()
    """What could not be read, and why."""
    next: str | None = None
    """The line to type that would show more, or end the wait."""
    window_ns: int = 0
    """Nanoseconds that it was watched."""
    cpu_pct: float | None = None
    """Of one CPU, all threads together, over the window."""
    kernel_share: float | None = None
    """The part of that time that was spent in the kernel, 0 to 1; ``None`` when there was too little of it."""
    python_stack: tuple[str, ...] = ()
    """The Python frames of the waiting thread, where py-spy tells them."""
    limits: tuple[Limit, ...] = ()
    """Limits that the process, or who stands at the end of its chain, has reached; those that acted come first."""
    commands: dict[int, tuple[str, ...]] = {}
    """pid -> command line, of each process of the chain where it may be read."""

    @property
    def cmdline(self) -> tuple[str, ...]:
        """The command line of the process itself."""
        return self.commands.get(self.pid, ())

    @property
    def roots(self) -> tuple[Node, ...]:
        """The leaves of the chain: where it ends, at one task as a rule. Each says what it is (:attr:`Node.end`)."""
        return tuple(leaves(self.chain)) if self.chain else ()

    @property
    def root_cause(self) -> Node | None:
        """The task that alone can end the wait, and waits for nobody; ``None`` where that is not proven."""
        return next((leaf for leaf in self.roots if leaf.end == "root cause"), None)

    @property
    def deadlock(self) -> bool:
        """Whether no task of the chain can ever go on by itself."""
        return self.chain is not None and is_deadlock(self.chain)

    def to_dict(self) -> dict[str, Any]:
        """Build the JSON object, schema ``straced.why/1``.

        Returns:
            Builtin values alone: dicts, lists, strings, numbers.
        """
        built: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return {"schema": WHY_SCHEMA, **built}


class WhyAll(Struct, frozen=True, kw_only=True):
    """The answers for many processes, the most stuck and most waited-for first."""

    processes: tuple[Why, ...]
    """An answer for each process."""
    waited_for: dict[int, int]
    """pid -> how many processes wait for it, directly or through others."""
    not_seen: tuple[str, ...] = ()
    """What could not be read, and why."""
    window_ns: int = 0
    """Nanoseconds that they were watched."""

    def to_dict(self) -> dict[str, Any]:
        """Build the JSON object, schema ``straced.why_all/1``.

        Returns:
            Builtin values alone: dicts, lists, strings, numbers.
        """
        return {
            "schema": WHY_ALL_SCHEMA,
            "processes": [why.to_dict() for why in self.processes],
            "waited_for": {str(pid): count for pid, count in self.waited_for.items()},
            "not_seen": list(self.not_seen),
            "window_ns": self.window_ns,
        }


def is_deadlock(node: Node) -> bool:
    """Whether a chain closes on itself with no way out.

    Where one of several tasks suffices to end a wait, all must be caught in it; where all are needed, one is enough.
    """
    if node.cycle or node.ways or not node.holders:
        return node.cycle
    caught = [is_deadlock(holder) for holder in node.holders]
    any_suffices = node.task.wait.kind in ("child", "job_token") or node.holders[0].relation == ONE_OF
    return all(caught) and not node.more if any_suffices else any(caught)


def walk(node: Node) -> list[Node]:
    """All nodes of a chain, from the top."""
    return [node, *(below for holder in node.holders for below in walk(holder))]


def leaves(node: Node) -> list[Node]:
    """The ends of a chain, left to right."""
    if not node.holders:
        return [node]
    return [leaf for holder in node.holders for leaf in leaves(holder)]
