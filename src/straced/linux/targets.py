"""TARGET as it is typed: ``4242``, ``name:GLOB``, ``unit:x.service``, ``cgroup:/path``; from text to pids.

Text becomes a :class:`TargetSpec` at the door; pids come out as integers that are in range, and nothing else ever
reaches a tracer's command line.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import sys
from collections.abc import Collection, Sequence
from typing import NamedTuple

from straced.errors import AmbiguousTarget, InvalidArgument, NoSuchProcess
from straced.linux import cgroups, container_matching, procfs

KINDS = ("pid", "name", "unit", "cgroup", "container", "pod")
HINT = "a target is a pid, name:GLOB, unit:NAME.service or cgroup:/path; also container:NAME or pod:NS/NAME"
SHOWN = 5
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_UNIT_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount", ".timer")


class TargetSpec(NamedTuple):
    """A target as it was asked for; :func:`resolve` finds who that is now."""

    kind: str
    value: str
    every: bool = False
    """Whether a name that several trees have means all of them."""

    def __str__(self) -> str:
        return self.value if self.kind == "pid" else f"{self.kind}:{self.value}"


@functools.cache
def pid_max(root: str = procfs.ROOT) -> int:
    """The largest pid there can be here (proc(5), kernel/pid_max); 2**22 where that is not to be read."""
    try:
        return int(procfs.read("sys/kernel/pid_max", root))
    except (procfs.Gone, OSError, ValueError):
        return 1 << 22


def validate_pid(value: object, root: str = procfs.ROOT) -> int:
    """An ``int`` of 1 to pid_max, or the text of one: digits only, no sign, no blank, no second number.

    Raises:
        InvalidArgument: anything else. No process is asked about.
    """
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        number = int(value)
    if number is None:
        raise InvalidArgument(f"{value!r} is not a pid", hint=HINT)
    if not 1 <= number <= pid_max(root):
        raise InvalidArgument(f"{number} is not a pid: pids are 1 to {pid_max(root)} here", hint=HINT)
    return number


def parse(text: str) -> TargetSpec:
    """Read a TARGET.

    Raises:
        InvalidArgument: no target can be written like this.
    """
    kind, colon, value = text.partition(":")
    if not colon:
        return TargetSpec("pid", str(validate_pid(text)))
    if kind == "pid":
        return TargetSpec("pid", str(validate_pid(value)))
    if kind == "name" and value:
        return TargetSpec("name", value)
    if kind == "unit" and _UNIT.fullmatch(value):
        return TargetSpec("unit", value if value.endswith(_UNIT_SUFFIXES) else f"{value}.service")
    if kind == "cgroup" and value.startswith("/") and ".." not in value.split("/") and "\0" not in value:
        return TargetSpec("cgroup", value)
    if container_matching.can_be(kind, value):
        return TargetSpec(kind, value)
    raise InvalidArgument(f"{text!r} is not a target", hint=HINT)


def resolve(spec: TargetSpec, *, helpers: Collection[int] = (), root: str = procfs.ROOT) -> tuple[int, ...]:
    """The pids to attach to, now: the roots of the trees that match, since children are followed.

    A pid is returned unseen, whoever it is. A name is one process, or one tree, unless ``every`` is asked for. A unit,
    a cgroup, a container or a pod may hold several trees. straced itself, its ancestors and ``helpers`` never match.

    Raises:
        NoSuchProcess: nothing matches.
        AmbiguousTarget: a name that several trees have, or several units or containers of one name.
    """
    if spec.kind == "pid":
        return (int(spec.value),)
    matches = _by_name(spec.value, root) if spec.kind == "name" else _in_group(spec, root)
    own = {os.getpid(), *helpers, *procfs.ancestors(os.getpid(), root)}
    found = tree_roots([pid for pid in matches if pid not in own], root)
    if not found:
        raise NoSuchProcess(f"no process matches {spec}", hint=_hint_for_nothing(spec))
    if spec.kind == "name" and len(found) > 1 and not spec.every:
        raise AmbiguousTarget(
            f"{spec} is {len(found)} processes: {describe(found, root)}", hint="name one by its pid", candidates=found
        )
    return found


def matching(spec: TargetSpec, root: str = procfs.ROOT) -> list[int]:
    """Every process that a target means now, children and straced's own included: for looking, not for attaching.

    Raises:
        AmbiguousTarget: several units of one name.
    """
    if spec.kind == "pid":
        return [int(spec.value)]
    return _by_name(spec.value, root) if spec.kind == "name" else _in_group(spec, root)


def resolve_all(specs: Sequence[TargetSpec], *, helpers: Collection[int] = ()) -> tuple[int, ...]:
    """The pids of several targets, each once, in the order given."""
    return tuple(dict.fromkeys(pid for spec in specs for pid in resolve(spec, helpers=helpers)))


def process_of(pid: int, verb: str, done: str) -> int:
    """The process that the id of a thread means, which is said on stderr; any other number as it is."""
    try:
        lines = procfs.status(pid)
        leader = int(lines.get("Tgid", pid))
        name = procfs.stat(leader).comm
    except (procfs.Gone, OSError):
        return pid
    if leader != pid:
        print(f"straced {verb}: {pid} is a thread of {leader} ({name}), which is {done}", file=sys.stderr, flush=True)
    return leader


def tree_roots(pids: Sequence[int], root: str = procfs.ROOT) -> tuple[int, ...]:
    """Those of ``pids`` that descend from no other of them."""
    chosen = set(pids)
    return tuple(pid for pid in sorted(chosen) if not chosen.intersection(procfs.ancestors(pid, root)))


def describe(pids: Sequence[int], root: str = procfs.ROOT) -> str:
    """``17 (python3 a.py), 18 (python3 b.py) and 4 more``."""
    words = []
    for pid in pids[:SHOWN]:
        try:
            line = " ".join(procfs.cmdline(pid, root)) or procfs.stat(pid, root).comm
        except (procfs.Gone, OSError):
            line = "gone"
        words.append(f"{pid} ({line[:37] + '...' if len(line) > 40 else line})")
    more = f" and {len(pids) - SHOWN} more" if len(pids) > SHOWN else ""
    return ", ".join(words) + more


def _by_name(pattern: str, root: str) -> list[int]:
    """Processes whose comm, executable or first word of the command line matches; kernel threads have none.

    A title that a process gives itself (``postgres: writer``) is that word.
    """
    return [pid for pid in procfs.pids(root) if any(fnmatch.fnmatchcase(name, pattern) for name in _names(pid, root))]


def _names(pid: int, root: str) -> set[str]:
    try:
        facts = procfs.stat(pid, root)
        if facts.is_kernel_thread or facts.state in "ZX":
            return set()
        words = procfs.cmdline(pid, root)
    except (procfs.Gone, OSError):
        return set()
    program = (procfs.exe(pid, root) or "").removesuffix(" (deleted)")
    return {facts.comm, *words[:1], *(os.path.basename(path) for path in (program, *words[:1]) if path)}


def _in_group(spec: TargetSpec, root: str) -> list[int]:
    if spec.kind == "cgroup":
        return cgroups.processes(spec.value, root)
    if spec.kind in container_matching.KINDS:
        return container_matching.ContainerMatcher(root).processes(spec.kind, spec.value)
    groups = cgroups.find_unit(spec.value, root)
    if len(groups) > 1:
        raise AmbiguousTarget(
            f"{spec} is {len(groups)} units: {', '.join(groups[:SHOWN])}", hint=f"name one: cgroup:{groups[0]}"
        )
    return cgroups.processes(groups[0], root) if groups else []


def _hint_for_nothing(spec: TargetSpec) -> str:
    if spec.kind == "name":
        return f"look for it: pgrep -af '{spec.value}'" if spec.value.isalnum() else "GLOB must match the whole name"
    if spec.kind in container_matching.KINDS:
        return "its id serves where nobody tells its name; look for it: systemd-cgls"
    return "look for it: systemd-cgls" if spec.kind == "unit" else "look for it: ls /sys/fs/cgroup"
