"""Who is watched now: all that the rules name, with their descendants, found again when they start anew.

A process that was once watched stays watched until it ends, whoever its parent becomes. straced itself and what it
started are never watched.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable

from msgspec import Struct

from straced.concurrency.pacing import at_once
from straced.config.watch_rules import Candidate, Matcher, Rule, merged
from straced.linux import procfs

NEWCOMERS = frozenset({"name", "user", "children"})
"""Kinds of rules that a process may match which has just begun a program."""
BUDGET_NS = 200_000_000
"""What the rules of one user may take at a look; the rest of them waits. A name is compared once, so it goes on."""


class Watched(Struct, kw_only=True):
    """A watched process."""

    pid: int
    start_ticks: int
    labels: dict[str, str]
    root: tuple[int, int]
    """Pid and start time of the one whose tree this is: calls are counted by tree."""
    rule: str = ""
    """The text of the rule that named its tree."""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start_ticks


class WatchScan(Struct, kw_only=True):
    """What a look at all processes found."""

    started: list[Watched] = []
    ended: list[Watched] = []
    processes: int = 0
    zombies: int = 0


class Watchlist:
    """Holds the rules, looks at all processes, and tells who came and went.

    Args:
        helpers: pids of straced's own helpers, asked for at each look.
        allowed: whether a user may watch a process; asked for rules that a user added.
        root: where /proc is.
    """

    def __init__(
        self,
        helpers: Callable[[], Iterable[int]] = tuple,
        allowed: Callable[[int, int], bool] = lambda uid, pid: True,
        root: str = procfs.ROOT,
    ) -> None:
        self._root = root
        self._allowed = allowed
        self._helpers = helpers
        self._matcher = Matcher(root)
        self._seen: dict[int, Candidate] = {}
        self.rules: list[Rule] = []
        self.watched: dict[int, Watched] = {}
        self._extra: dict[tuple[int, int], dict[str, str]] = {}

    def label(self, key: tuple[int, int], labels: dict[str, str]) -> None:
        """Give a process, and all its descendants from now on, further labels."""
        self._extra.setdefault(key, {}).update(labels)
        for each in self.watched.values():
            if each.key == key or self._descends(each.pid, key[0]):
                each.labels = merged(each.labels, labels)

    def labels_after(self, key: tuple[int, int], labels: dict[str, str]) -> int:
        """How many labels a process, or one below it, would have with these."""
        known = [self._extra.get(key, {})]
        known += [each.labels for each in self.watched.values() if each.key == key or self._descends(each.pid, key[0])]
        return max(len({**each, **labels}) for each in known)

    def look(self) -> WatchScan:
        """Look at all processes, and bring :attr:`watched` up to date."""
        return at_once(self.look_stepwise())

    def look_stepwise(self) -> Generator[None, None, WatchScan]:
        """:meth:`look`, with places to rest; processes may be found, and rules change, meanwhile."""
        before = dict(self.watched)
        zombies = yield from self._read_all()
        look = WatchScan(processes=len(self._seen), zombies=zombies)
        for pid, watched in before.items():
            seen = self._seen.get(pid)
            if self.watched.get(pid) is watched and (seen is None or seen.start_ticks != watched.start_ticks):
                look.ended.append(self.watched.pop(pid))
        named = yield from self._named()
        self._extra = {key: value for key, value in self._extra.items() if self._is_now(key)}
        own = self._own()
        for pid in self._parents_first():
            if pid not in self.watched and pid not in own and (found := self._judge(pid, named)):
                self.watched[pid] = found
                look.started.append(found)
        return look

    def _named(self) -> Generator[None, None, dict[int, Rule]]:
        """Whom the rules name that is not watched yet, each with the first rule that does."""
        rules, named = list(self.rules), dict[int, Rule]()
        patterns = {rule.value for rule in rules}
        for seen in self._seen.values():
            if len(seen.fits) > len(patterns):  # of rules that are gone
                seen.fits = {pattern: fits for pattern, fits in seen.fits.items() if pattern in patterns}
        yield from self._matcher.prepare(rules)
        spent: dict[int, int] = {}
        for rule in rules:
            if rule.owner is not None and spent.get(rule.owner, 0) > BUDGET_NS:
                continue
            began = time.perf_counter_ns()
            for pid in self._matcher.match(rule, self._seen):
                new = pid not in named and pid not in self.watched and pid in self._seen
                if new and (rule.owner is None or self._allowed(rule.owner, pid)):
                    named[pid] = rule
                if rule.owner is not None:  # the time of those who rest meanwhile is not theirs
                    now = time.perf_counter_ns()
                    spent[rule.owner], began = spent.get(rule.owner, 0) + now - began, now
                    if spent[rule.owner] > BUDGET_NS:
                        break
                yield
                began = time.perf_counter_ns()
        known = set(map(id, self.rules))
        return {pid: rule for pid, rule in named.items() if id(rule) in known}  # some were taken away meanwhile

    def look_at(self, pid: int) -> Watched | None:
        """Look at one process that has just begun a program; returns it when a rule names it that did not before.

        Rules about cgroups and units are left to :meth:`look`: those are read as a whole.
        """
        try:
            found = _seen(pid, procfs.read_small(f"{pid}/stat", self._root))
        except (procfs.Gone, OSError):
            return None
        if not isinstance(found, Candidate) or pid in self.watched:
            return None
        self._seen[pid] = found
        helpers = set(self._helpers())
        if pid in helpers or pid == os.getpid() or any(self._descends(pid, helper) for helper in helpers):
            return None
        named: dict[int, Rule] = {}
        for rule in self.rules:
            matches = rule.kind in NEWCOMERS and pid in self._matcher.match(rule, {pid: found})
            if matches and (rule.owner is None or self._allowed(rule.owner, pid)):
                named.setdefault(pid, rule)
        watched = self._judge(pid, named)
        if watched is not None:
            self.watched[pid] = watched
        return watched

    def replace_rules(self, rules: Iterable[Rule]) -> None:
        """Have these rules; whom a rule has named already gets the labels that it has got since."""
        before = {id(rule) for rule in self.rules}
        self.rules = list(rules)
        times = Counter(rule.text for rule in self.rules)
        for rule in self.rules:
            if id(rule) in before or times[rule.text] > 1:  # of two users: whose it was is not known of a process
                continue
            for each in self.watched.values():
                if each.rule == rule.text:
                    each.labels = merged(each.labels, rule.labels)

    def drop(self, rule: Rule) -> list[Watched]:
        """Take a rule away; those that no other rule names are no longer watched."""
        self.rules = [each for each in self.rules if each is not rule]
        gone = [each for each in self.watched.values() if each.rule == rule.text]
        if any(each.text == rule.text for each in self.rules):
            return []
        for each in gone:
            del self.watched[each.pid]
        return gone

    def ended(self, pid: int) -> Watched | None:
        """A watched process is gone, as somebody noticed between two looks."""
        self._seen.pop(pid, None)
        return self.watched.pop(pid, None)

    def adopt(self, pid: int, start_ticks: int, root: Watched) -> Watched:
        """A descendant that was found otherwise: by the kernel, say, between two looks."""
        labels = merged(root.labels, self._extra.get((pid, start_ticks), {}))
        found = Watched(pid=pid, start_ticks=start_ticks, labels=labels, root=root.root, rule=root.rule)
        self.watched[pid] = found
        return found

    def _judge(self, pid: int, named: dict[int, Rule]) -> Watched | None:
        seen = self._seen[pid]
        parent = self.watched.get(seen.ppid)
        rule = named.get(pid)
        extra = self._extra.get((pid, seen.start_ticks), {})
        if parent is None and rule is None and not extra:
            return None
        inherited = parent.labels if parent is not None else {}
        return Watched(
            pid=pid,
            start_ticks=seen.start_ticks,
            labels=merged(
                inherited,
                self._matcher.containers.labels(self._matcher.containers_of(seen)),
                rule.labels if rule is not None else {},
                extra,
            ),
            root=parent.root if parent is not None else (pid, seen.start_ticks),
            rule=parent.rule if parent is not None else rule.text if rule is not None else "label",
        )

    def _read_all(self) -> Generator[None, None, int]:
        before, now = self._seen, dict[int, Candidate]()
        zombies = 0
        for pid in procfs.pids(self._root):
            yield
            try:
                data = procfs.read_small(f"{pid}/stat", self._root)
            except (procfs.Gone, OSError):
                continue
            found = _seen(pid, data)
            if not isinstance(found, Candidate):
                zombies += found
                continue
            known = before.get(pid)
            if known is not None and known.start_ticks == found.start_ticks and known.raw_comm == found.raw_comm:
                known.ppid = found.ppid
                now[pid] = known
            else:
                now[pid] = found
        self._seen = now
        return zombies

    def _parents_first(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for each in self._seen.values():
            children.setdefault(each.ppid, []).append(each.pid)
        order: list[int] = []
        queue = [pid for pid, each in self._seen.items() if each.ppid not in self._seen]
        while queue:
            order += queue
            queue = [child for pid in queue for child in children.get(pid, ())]
        return order

    def _own(self) -> set[int]:
        """straced itself, its helpers, and all that those started."""
        helpers = set(self._helpers())
        if helpers:
            for pid in self._parents_first():
                if self._seen[pid].ppid in helpers:
                    helpers.add(pid)
        return {os.getpid(), *helpers}

    def _descends(self, pid: int, ancestor: int) -> bool:
        seen = self._seen.get(pid)
        while seen is not None and seen.ppid:
            if seen.ppid == ancestor:
                return True
            seen = self._seen.get(seen.ppid)
        return False

    def _is_now(self, key: tuple[int, int]) -> bool:
        seen = self._seen.get(key[0])
        return seen is not None and seen.start_ticks == key[1]


def _seen(pid: int, data: bytes) -> Candidate | int:
    """A process out of its stat file; 1 for a zombie, 0 for what is no process of a user."""
    end = data.rfind(b")")
    fields = data[end + 2 :].split(None, 20)
    if len(fields) < 20:
        return 0
    if fields[0] in (b"Z", b"X"):
        return 1
    if int(fields[6]) & procfs.PF_KTHREAD:
        return 0
    return Candidate(pid, int(fields[19]), int(fields[1]), data[data.find(b"(") + 1 : end])
