"""From the chain and the activity to one word: stuck, slow, spinning, busy, idle, stopped, ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from straced import syscalls
from straced.waits.classify import syscall_args
from straced.waits.classify.kinds import ENDED, HALTED, IDLE, SUSPECT
from straced.waits.classify.titles import says_working
from straced.waits.facts import runtimes
from straced.waits.facts.activity import Activity
from straced.waits.model import Node, Resource, Storm, WaitingTask, is_deadlock, leaves, walk
from straced.waits.verdict.ends import is_open

_BUSY_PCT = 50.0
_STARVED = 0.3
_RESTING = syscall_args.POLLS | syscall_args.SLEEPS | syscall_args.SIGNALS | {"accept", "accept4"}
Key = tuple[int, int]


def total_cpu_pct(activity: Mapping[Key, Activity], keys: Sequence[Key]) -> float | None:
    """The CPU share of some tasks together, in percent of one CPU; ``None`` when not one is known."""
    known = [pct for key in keys if key in activity and (pct := activity[key].cpu_pct) is not None]
    return round(sum(known), 1) if known else None


def judge(
    chain: Node,
    cpu_pct: float | None,
    storms: Sequence[Storm],
    activity: Mapping[Key, Activity],
    starved_by: str = "others use them",
) -> tuple[str, str]:
    """(verdict, what decided it).

    Args:
        chain: the chain of the thread that stands for the process.
        cpu_pct: of the whole process, over the window.
        storms: of the process.
        activity: of all tasks that were watched.
        starved_by: what keeps a task of the process from the CPUs, if it turns out to be kept from them.
    """
    task = chain.task
    if task.wait.kind in ENDED:
        return "ended", ""
    own = activity.get((task.pid, task.tid))
    if task.wait.kind in HALTED:
        return ("slow", "it runs under a tracer") if own is not None and own.switches else ("stopped", "")
    if is_deadlock(chain):
        return "stuck", "deadlock"
    works = cpu_pct is not None and cpu_pct >= _BUSY_PCT
    spins = [storm for storm in storms if storm.kind.startswith(("empty_", "spin_"))]
    if spins and (works or task.wait.kind == "running"):
        return "spinning", spins[0].text
    if works:
        return "busy", starving(own, starved_by)
    if task.wait.kind == "running":
        if own is not None and _mostly_resting(own):
            return "idle", ""
        working = own is None or not own.calls or own.runs_mostly
        return ("busy" if working else "slow"), starving(own, starved_by)
    if all(leaf.task.wait.kind == "asking" for leaf in leaves(chain)):
        return "idle", ""
    if task.wait.kind == "kernel":
        return ("stuck" if task.wait.state == "D" else "idle"), ""
    if task.wait.kind == "hidden":
        return _hidden(task)
    if is_idle(chain):
        return "idle", ""
    if task.wait.kind == "futex" and task.wait.runtime == runtimes.GO:
        return "unknown", ""
    if own is not None and own.switches:
        return "slow", starving(own, starved_by)
    return _by_root(chain, activity)


def starving(own: Activity | None, starved_by: str) -> str:
    """Said of a task that is kept from the CPUs; ``""`` of all others."""
    if own is None or own.starved is None or own.starved < _STARVED:
        return ""
    text = f"it is ready to run and gets no CPU {100 * own.starved:.0f} % of the time"
    return f"{text}, {starved_by}" if starved_by else text


def is_idle(chain: Node) -> bool:
    """Whether the task waits for work, a clock or a person, and not for somebody known to hold it up.

    So does one that several could wake, and one whose data, child or thread comes of somebody who waits for such: a
    ``grep`` behind ``tail -F``, a shell before an editor.
    """
    wait = chain.task.wait
    if wait.helper:
        return True
    if wait.request is not None:
        return False
    if says_working(wait.title):
        return False
    if wait.kind == "poll" and (chain.ways or len({below.task.pid for below in chain.holders}) > 1):
        return True
    if chain.holders:
        return _passes_on(chain) and all(
            is_idle(below) and (below.family or _is_served(below)) for below in chain.holders
        )
    unconnected = wait.kind == "socket_read" and wait.resource is not None and not wait.resource.peer
    return wait.kind in IDLE or (unconnected and wait.resource is not None and wait.resource.kind in ("udp", "unix"))


def _passes_on(chain: Node) -> bool:
    """Whether a wait has nothing to ask for: it goes on when the one before it does."""
    wait = chain.task.wait
    if wait.kind not in ("poll", "socket_read"):
        return wait.kind in ("child", "pipe_read", "join")
    watched: list[Resource | None] = [one for one in wait.watched if not one.internal and one.wants != "close"]
    asked = watched or [wait.resource]
    if any(one is None or one.kind not in ("pipe", "fifo", "unix") or one.wants == "write" for one in asked):
        return False
    return all(below.family for below in chain.holders) or all(one is not None and one.kind != "unix" for one in asked)


def _is_served(node: Node) -> bool:
    """Whether somebody rests for work or a person: then those behind it do. One that sleeps keeps them waiting."""
    return bool(node.holders) or node.end == "moving" or is_open(node.task, node.ways)


def is_suspect(task: WaitingTask) -> bool:
    """Whether a thread, though not the main one, is where nobody rests on purpose."""
    return task.wait.kind in SUSPECT and not task.switches


def is_grave(chain: Node) -> bool:
    """Whether somebody in the chain is where nobody rests on purpose, or is kept from running."""
    return any(node.task.wait.kind in SUSPECT | HALTED | ENDED for node in walk(chain))


def _by_root(chain: Node, activity: Mapping[Key, Activity]) -> tuple[str, str]:
    """Nothing completes here; a root cause that works is a slow one, not a dead one."""
    ends = [leaf for leaf in leaves(chain) if leaf is not chain]
    if chain.task.wait.kind == "child" and all(below.task.wait.kind == "hidden" for below in chain.holders):
        return "unknown", ""
    if any(_works(leaf.task, activity.get((leaf.task.pid, leaf.task.tid))) for leaf in ends):
        return "slow", "who stands at the end works"
    return "stuck", ""


def _works(task: WaitingTask, own: Activity | None) -> bool:
    """Whether a task gets on with something; one that only looks at its clock does not, though it is met at that."""
    met_in_passing = own is not None and _mostly_resting(own)
    return (task.wait.kind == "running" and not met_in_passing) or (task.cpu_pct or 0) >= _BUSY_PCT


def _hidden(task: WaitingTask) -> tuple[str, str]:
    if task.switches is None or task.switches > 0:
        return "unknown", ""
    return "unknown", "it did not run at all in this time"


def _mostly_resting(own: Activity) -> bool:
    """Whether a task that was met at work rests as a rule: a server that looks at its clock ten times a second."""
    abi = syscalls.native_abi()
    share = sum(
        own.share(call) for call in own.calls if call[0] >= 0 and syscalls.syscall_name(call[0], abi) in _RESTING
    )
    return share >= 0.5
