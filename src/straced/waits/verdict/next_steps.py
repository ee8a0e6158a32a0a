"""What could not be read and why, and the line to type that would show more or end the wait."""

from __future__ import annotations

import os
import shlex

from straced.text.units import count_of
from straced.waits.classify.kinds import UNRESOLVED
from straced.waits.classify.titles import says_waiting, says_working
from straced.waits.facts.freezer import thaw_line
from straced.waits.facts.pid_namespaces import own_number
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Node, leaves, walk
from straced.waits.verdict.runtime_commands import runtime_command

HIDEPID = "the processes of other users: /proc (hidepid) hides them; sudo shows them"
_MEANING = {
    "syscall": "the call it is in",
    "fd": "its descriptors",
    "fdinfo": "its descriptors",
    "ns": "its namespaces",
    "mem": "its memory",
    "maps": "its memory map",
    "auxv": "its memory map",
    "io": "its read and write counters",
    "task": "its threads",
}


def not_seen(look: ProcSnapshot, chain: Node, more_threads: int = 0) -> tuple[str, ...]:
    """One line a process of the chain, and one for all whose descriptors were out of reach."""
    lines = []
    pids = dict.fromkeys(node.task.pid for node in walk(chain))
    for pid in pids:
        refused = look.proc.refused.get(pid, set())
        what = list(dict.fromkeys(_MEANING[name] for name in sorted(refused) if name in _MEANING))
        if what:
            lines.append(f"of {pid}: {', '.join(what)} ({_because(look, pid)})")
    hidden = [pid for pid in look.owners.hidden if pid not in pids]
    if hidden:
        few = ", ".join(map(str, hidden[:3])) + (" ..." if len(hidden) > 3 else "")
        lines.append(f"the descriptors of {count_of(len(hidden), 'other process')} ({few})")
    if look.proc.hides_strangers:
        lines.append(HIDEPID)
    if more_threads > 0:
        lines.append(f"{count_of(more_threads, 'thread')} of {chain.task.pid} beyond the first ones")
    return tuple(lines)


def _because(look: ProcSnapshot, pid: int) -> str:
    uid = look.proc.uid(pid)
    if os.geteuid() == 0:
        return "refused even to root: a capability, a security module or a user namespace is in the way"
    if uid is not None and uid != os.geteuid():
        return "another user; sudo shows it"
    return "not dumpable, or Yama's ptrace_scope; sudo shows it"


def next_step(look: ProcSnapshot, chain: Node, verdict: str, counted: bool = False) -> str | None:
    """The one line that helps most; ``counted`` when a tracer has said already what the process does."""
    root = leaves(chain)[0]
    task = root.task
    if task.wait.kind == "stopped":
        return f"kill -CONT {task.pid}"
    if task.wait.kind == "frozen" and task.wait.resource is not None:
        return thaw_line(look.proc, task.pid) or f"thaw the cgroup {task.wait.resource.name}"
    if task.wait.kind == "frozen_fs" and task.wait.resource is not None:
        name = task.wait.resource.name
        return (
            f"{'' if os.geteuid() == 0 else 'sudo '}fsfreeze -u {shlex.quote(name)}" if name.startswith("/") else None
        )
    if task.wait.kind == "tty_write" and root.ways and task.wait.resource is not None:
        return f"press Ctrl-Q at {task.wait.resource.name}: its output was stopped there (Ctrl-S)"
    backend = next((node.task for node in walk(chain) if says_working(node.task.wait.title)), None)
    if backend is not None:
        number = own_number(look, backend.pid, backend.pid)
        if says_waiting(backend.wait.title):
            return f"SELECT pg_blocking_pids({number})"
        return f"SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = {number}"
    refused = [node.task.pid for node in walk(chain) if look.proc.refused.get(node.task.pid)]
    hidden = look.owners.hidden or (look.proc.hides_strangers and root.task.wait.kind in UNRESOLVED)
    if os.geteuid() != 0 and (refused or (hidden and not root.cycle)):
        return f"sudo straced why {refused[-1] if refused else chain.task.pid}"
    if verdict in ("busy", "spinning", "slow") and task.wait.kind in ("running", "file_io"):
        verb = f"trace {task.pid} -d 1" if counted else f"attach {task.pid} -d 2"
        return f"{'' if os.geteuid() == 0 else 'sudo '}straced {verb}"
    return next(filter(None, (runtime_command(look, leaf, verdict) for leaf in leaves(chain))), None)
