"""The command that tells more of a program than the kernel knows: its runtime's own, or a debugger's."""

from __future__ import annotations

from straced.waits.facts import runtimes
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Node

_COMMANDS = {
    runtimes.JAVA: "jcmd {pid} Thread.print",
    runtimes.GO: "kill -QUIT {pid}  (it prints its goroutines, and ends)",
    runtimes.PYTHON: "py-spy dump --pid {pid}",
    runtimes.NODE: "node inspect -p {pid}",
    runtimes.DOTNET: "dotnet-stack report -p {pid}",
    "": "gdb -p {pid} -batch -ex 'thread apply all backtrace'",
}
_INSIDE = frozenset({"futex", "mutex", "join"})
"""Waits for something that only the program itself can name."""
_AT_REST = frozenset({"sleep", "poll", "accept"})
"""What the threads of a program do that has nothing to do; its own stack tells why."""


def runtime_command(look: ProcSnapshot, root: Node, verdict: str) -> str | None:
    """The line to type for a chain that ends inside a program; ``None`` where the kernel has told all there is.

    Of a Go program the kernel sees threads, and never what a goroutine waits for: not even when all seems to rest.
    """
    task = root.task
    kind = task.wait.kind
    if task.wait.helper or verdict not in ("stuck", "unknown", "idle") or kind not in (*_INSIDE, *_AT_REST):
        return None
    runtime = runtimes.runtime_of(look, task.pid)
    if runtime == runtimes.GO or (verdict != "idle" and (kind in _INSIDE or (kind == "sleep" and runtime))):
        return _COMMANDS[runtime].format(pid=task.pid)
    return None
