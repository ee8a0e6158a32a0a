"""What a rule means: from its text to the processes that it matches among all that run now."""

from __future__ import annotations

import fnmatch
import os
import pwd
import re
from collections.abc import Iterable

from msgspec import Struct

from straced import cgroups, procfs, targets
from straced.errors import InvalidArgument
from straced.scrub import scrub_bytes

HINT = "write PID, children:PID, name:GLOB, unit:NAME.service, cgroup:/PATH or user:NAME"
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
MAX_LABELS, MAX_LABEL = 16, 200


class Rule(Struct, frozen=True, kw_only=True):
    """A rule that has been read: ``kind`` is pid, children, name, unit, cgroup or user."""

    kind: str
    value: str
    labels: dict[str, str] = {}
    owner: int | None = None
    """The user who asked for it, who then sees only their own processes by it; ``None``: the configuration."""
    start_ticks: int | None = None
    """Of a pid: which process of that number was meant."""

    @property
    def text(self) -> str:
        return self.value if self.kind == "pid" else f"{self.kind}:{self.value}"


def parse(text: str, labels: dict[str, str] | None = None, owner: int | None = None) -> Rule:
    """Read a rule.

    Raises:
        InvalidArgument: no rule can be written like this.
    """
    kind, _, value = text.partition(":")
    if kind == "children" and value:
        return Rule(kind=kind, value=str(targets.validate_pid(value)), labels=labels or {}, owner=owner)
    if kind == "user" and value:
        return Rule(kind=kind, value=str(_uid(value)), labels=labels or {}, owner=owner)
    try:
        spec = targets.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(error.reason, hint=HINT) from error
    return Rule(kind=spec.kind, value=spec.value, labels=labels or {}, owner=owner)


def _uid(name: str) -> int:
    if name.isascii() and name.isdecimal() and len(name) < 11:
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise InvalidArgument(f"there is no user {name!r}", hint=HINT) from error


def check_labels(labels: dict[str, str]) -> None:
    """Raise InvalidArgument for labels that are too many, too long, or not names."""
    if len(labels) > MAX_LABELS:
        raise InvalidArgument(f"more than {MAX_LABELS} labels")
    for key, value in labels.items():
        if not _LABEL.fullmatch(key):
            raise InvalidArgument(f"{key!r} is not a label", hint="letters, digits and _")
        if len(value) > MAX_LABEL:
            raise InvalidArgument(f"the label {key} is longer than {MAX_LABEL}")


class Seen(Struct):
    """A process as the look at all processes has it."""

    pid: int
    start_ticks: int
    ppid: int
    raw_comm: bytes
    names: tuple[str, ...] | None = None
    """Comm, program and first word of the command line; read when a rule asks."""
    uid: int | None = None


class Matcher:
    """Finds who matches; remembers where a unit is."""

    def __init__(self, root: str = procfs.ROOT) -> None:
        self._root = root
        self._groups: dict[str, list[str]] = {}

    def match(self, rule: Rule, seen: dict[int, Seen]) -> Iterable[int]:
        """The pids that a rule names itself, without their descendants."""
        if rule.kind == "pid":
            found = seen.get(int(rule.value))
            same = found is not None and rule.start_ticks in (None, found.start_ticks)
            return (int(rule.value),) if same else ()
        if rule.kind == "children":
            parent = int(rule.value)
            if rule.start_ticks is not None and (known := seen.get(parent)) and known.start_ticks != rule.start_ticks:
                return ()
            return [each.pid for each in seen.values() if each.ppid == parent]
        if rule.kind == "user":
            wanted = int(rule.value)
            return [each.pid for each in seen.values() if self._uid(each) == wanted]
        if rule.kind == "name":
            return [
                each.pid
                for each in seen.values()
                if any(fnmatch.fnmatchcase(name, rule.value) for name in self._names(each))
            ]
        return self._in_group(rule)

    def _in_group(self, rule: Rule) -> list[int]:
        if rule.kind == "cgroup":
            return cgroups.processes(rule.value, self._root)
        groups = self._groups.get(rule.value)
        pids = [pid for group in groups or () for pid in cgroups.processes(group, self._root)]
        if not pids:  # not known yet, or the service was restarted under another group
            groups = self._groups[rule.value] = cgroups.find_unit(rule.value, self._root)
            pids = [pid for group in groups for pid in cgroups.processes(group, self._root)]
        return pids

    def _names(self, each: Seen) -> tuple[str, ...]:
        if each.names is None:
            names = {scrub_bytes(each.raw_comm)}
            try:
                words = procfs.cmdline(each.pid, self._root)
                program = (procfs.exe(each.pid, self._root) or "").removesuffix(" (deleted)")
                names |= {os.path.basename(path) for path in (program, *words[:1]) if path}
            except (procfs.Gone, OSError):
                pass
            each.names = tuple(names)
        return each.names

    def _uid(self, each: Seen) -> int | None:
        if each.uid is None:
            try:
                each.uid = int(procfs.status(each.pid, self._root)["Uid"].split()[0])
            except (procfs.Gone, OSError, KeyError):
                return None
        return each.uid
