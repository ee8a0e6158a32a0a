"""What a rule means: from its text to the processes that it matches among all that run now."""

from __future__ import annotations

import functools
import os
import pwd
import re
from collections.abc import Generator, Iterator

from msgspec import Struct

from straced.config.globs import Glob
from straced.errors import InvalidArgument
from straced.linux import cgroups, procfs, targets
from straced.linux.container_matching import KINDS as CONTAINER_KINDS
from straced.linux.container_matching import ContainerMatcher
from straced.linux.containers import Container
from straced.text.sanitize import scrub, scrub_bytes

HINT = (
    "write PID, children:PID, name:GLOB, unit:NAME.service, cgroup:/PATH, container:ID|NAME, pod:NS/NAME or user:NAME"
)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
MAX_TEXT = 1024
"""Characters of a rule."""
MAX_LABELS, MAX_LABEL = 16, 200
"""Labels of a process, whoever gave them; characters of one."""
_NAME_CHARS = 1024
"""A name is not compared further than this."""


class Rule(Struct, frozen=True, kw_only=True):
    """A rule that has been read: ``kind`` is pid, children, name, unit, cgroup, container, pod or user."""

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
    """Read a rule. What could disturb a terminal is escaped, as it is in the names that a rule is about.

    Raises:
        InvalidArgument: no rule can be written like this, or nobody needs one so long.
    """
    if len(text) > MAX_TEXT:
        raise InvalidArgument(f"a rule has at most {MAX_TEXT} characters", hint=HINT)
    text = scrub(text, 6 * MAX_TEXT)
    labels = checked(labels or {})
    kind, _, value = text.partition(":")
    if kind == "children" and value:
        return Rule(kind=kind, value=str(targets.validate_pid(value)), labels=labels, owner=owner)
    if kind == "user" and value:
        return Rule(kind=kind, value=str(_uid(value)), labels=labels, owner=owner)
    try:
        spec = targets.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(error.reason, hint=HINT) from error
    if spec.kind == "name":
        glob_of(spec.value)
    return Rule(kind=spec.kind, value=spec.value, labels=labels, owner=owner)


@functools.lru_cache(4096)
def glob_of(pattern: str) -> Glob:
    """A pattern, read once.

    Raises:
        InvalidArgument: nobody needs one like this.
    """
    return Glob(pattern)


def _uid(name: str) -> int:
    if name.isascii() and name.isdecimal() and len(name) < 11:
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError) as error:
        raise InvalidArgument(f"there is no user {name!r}", hint=HINT) from error


def checked(labels: dict[str, str]) -> dict[str, str]:
    """Labels as they are kept: what could disturb a terminal is escaped.

    Raises:
        InvalidArgument: they are too many, too long, or not names.
    """
    if len(labels) > MAX_LABELS:
        raise InvalidArgument(f"more than {MAX_LABELS} labels")
    for key, value in labels.items():
        if not _LABEL.fullmatch(key):
            raise InvalidArgument(f"{scrub(key, 64)!r} is not a label", hint="letters, digits and _")
        if len(value) > MAX_LABEL:
            raise InvalidArgument(f"the label {key} is longer than {MAX_LABEL}")
    return {key: scrub(value, 6 * MAX_LABEL) for key, value in labels.items()}


def merged(*layers: dict[str, str]) -> dict[str, str]:
    """Labels of several origins together, the last ones first in right: at most ``MAX_LABELS`` are kept."""
    found: dict[str, str] = {}
    for layer in reversed(layers):
        for key, value in layer.items():
            if key not in found and len(found) < MAX_LABELS:
                found[key] = value
    order = {key: None for layer in layers for key in layer}
    return {key: found[key] for key in order if key in found}


class Candidate(Struct):
    """A process as the look at all processes has it."""

    pid: int
    start_ticks: int
    ppid: int
    raw_comm: bytes
    names: tuple[str, ...] | None = None
    """Comm, program and first word of the command line, which is its title if it has one; read when a rule asks."""
    uid: int | None = None
    containers: tuple[Container, ...] | None = None
    fits: dict[str, bool] = {}
    """What came of comparing its names with a pattern: that is done once."""


class Matcher:
    """Finds who matches; remembers where a unit is, and what containers are called."""

    def __init__(self, root: str = procfs.ROOT) -> None:
        self._root = root
        self._groups: dict[str, list[str]] = {}
        self.containers = ContainerMatcher(root)

    def prepare(self, rules: list[Rule]) -> Generator[None, None, None]:
        """Find the units of rules that are not known where they were, by one walk; with places to rest."""
        if any(rule.kind in CONTAINER_KINDS for rule in rules):
            self.containers.refresh()
        wanted = {rule.value for rule in rules if rule.kind == "unit"}
        self._groups = {unit: groups for unit, groups in self._groups.items() if unit in wanted}
        missing = {unit for unit in wanted if not any(map(self._is_populated, self._groups.get(unit, ())))}
        if missing:
            self._groups |= yield from cgroups.find_units_stepwise(missing, self._root)

    def match(self, rule: Rule, seen: dict[int, Candidate]) -> Iterator[int]:
        """The pids that a rule names itself, without their descendants; 0 now and then: a place to rest."""
        if rule.kind == "pid":
            found = seen.get(int(rule.value))
            if found is not None and rule.start_ticks in (None, found.start_ticks):
                yield found.pid
        elif rule.kind == "children":
            yield from self._children(rule, seen)
        elif rule.kind == "cgroup":
            yield from cgroups.each_process(rule.value, self._root)
        elif rule.kind in CONTAINER_KINDS:
            for each in list(seen.values()):
                yield each.pid if self.containers.matches(rule.kind, rule.value, self.containers_of(each)) else 0
        elif rule.kind == "unit":
            for group in self._groups.get(rule.value, ()):
                yield from cgroups.each_process(group, self._root)
        else:
            for each in list(seen.values()):
                yield each.pid if self._fits(rule, each) else 0

    def containers_of(self, each: Candidate) -> tuple[Container, ...]:
        """The containers that a process is in, looked at once."""
        if each.containers is None:
            each.containers = self.containers.inside(each.pid)
        return each.containers

    def _children(self, rule: Rule, seen: dict[int, Candidate]) -> Iterator[int]:
        parent = int(rule.value)
        if rule.start_ticks is not None and (known := seen.get(parent)) and known.start_ticks != rule.start_ticks:
            return
        for each in list(seen.values()):
            if each.ppid == parent:
                yield each.pid

    def _fits(self, rule: Rule, each: Candidate) -> bool:
        if rule.kind == "user":
            return self._uid(each) == int(rule.value)
        if rule.owner is not None and not self._may_be_of(rule.owner, each):
            return False
        fits = each.fits.get(rule.value)
        if fits is None:
            glob = glob_of(rule.value)
            fits = each.fits[rule.value] = any(glob.matches(name) for name in self._names(each))
        return fits

    def _may_be_of(self, uid: int, each: Candidate) -> bool:
        """Whether it is worth while to ask closely: what users write is compared with what is theirs, and no more."""
        try:
            return os.stat(f"{self._root}/{each.pid}").st_uid == uid
        except OSError:
            return False

    def _is_populated(self, group: str) -> bool:
        return any(cgroups.each_process(group, self._root))

    def _names(self, each: Candidate) -> tuple[str, ...]:
        if each.names is None:
            names = {scrub_bytes(each.raw_comm)}
            try:
                words = procfs.cmdline(each.pid, self._root)
                program = (procfs.exe(each.pid, self._root) or "").removesuffix(" (deleted)")
                names |= {*words[:1], *(os.path.basename(path) for path in (program, *words[:1]) if path)}
            except (procfs.Gone, OSError):
                pass
            each.names = tuple(name[:_NAME_CHARS] for name in names)
        return each.names

    def _uid(self, each: Candidate) -> int | None:
        if each.uid is None:
            try:
                each.uid = int(procfs.status(each.pid, self._root)["Uid"].split()[0])
            except (procfs.Gone, OSError, KeyError):
                return None
        return each.uid
