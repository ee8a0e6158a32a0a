"""Who can end a poll: one of those behind what it watches, each of them enough.

A connection through which somebody asks is no answer to that somebody: it is taken out, and the others are the
candidates (:mod:`straced.waits.holders.proxies`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from straced.linux import procfs
from straced.text.units import count_of
from straced.waits.classify.polls import MAX_WATCHED
from straced.waits.facts import fds
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.facts.sockets import is_loopback
from straced.waits.holders import files, proxies, ways
from straced.waits.holders.behind import behind
from straced.waits.model import HOLDS, LIKELY, ONE_OF, Holder, Resource, Wait, Way

_MOST_FOLLOWED = 8


class Alternatives(NamedTuple):
    """What can end a wait: tasks, and ways that lead to none."""

    holders: list[Holder]
    ways: tuple[Way, ...] = ()
    partial: bool = False
    """What is no answer to the one that asks is left out, and would be a way out of a circle."""


def alternatives(look: ProcSnapshot, raw: RawTask, wait: Wait, asker: Holder | None) -> Alternatives:
    """Those of a poll.

    Args:
        look: the moment.
        raw: the task that polls.
        wait: its wait.
        asker: how the chain came to this task, if it did through a descriptor of its.
    """
    watched = list(wait.watched)
    if asker is not None and asker.pid == raw.pid and asker.numbers:
        return _on_behalf(look, raw, wait, asker.numbers)
    watched = _without_death_watches(look, raw, watched)
    found = _Found(look, raw)
    connections = [one for one in watched if "(listening)" in one.name]
    if connections:
        return Alternatives([], found.ways_of(connections))
    if len([one for one in watched if not one.internal]) > _MOST_FOLLOWED:
        more = " or more" if len(wait.watched) >= MAX_WATCHED else ""
        return Alternatives([], (Way(kind="anybody", text=f"one of {len(watched)}{more} descriptors"),))
    for one in watched:
        found.add(one)
    return found.result()


def _on_behalf(look: ProcSnapshot, raw: RawTask, wait: Wait, asked_through: tuple[int, ...]) -> Alternatives:
    """The alternatives of a poll of which somebody waits for an answer, behind the descriptors ``asked_through``."""
    watches_asker = proxies.is_watched(look, raw, wait.watched, asked_through)
    watched = _without_death_watches(look, raw, proxies.candidates(look, raw, wait.watched, asked_through))
    connections = [one for one in watched if "(listening)" in one.name]
    others = [one for one in watched if one not in connections]
    found = _Found(look, raw)
    for one in others[: 4 * _MOST_FOLLOWED]:
        found.add(one, proxies.asked(look, raw, one))
    left = max(len(others), proxies.count(look, raw, wait.watched)) - 4 * _MOST_FOLLOWED
    if left > 0:
        found.ways.append(Way(kind="anybody", text=count_of(left, "more descriptor")))
    if watches_asker and not found.holders:
        found.ways.append(Way(kind="anybody", text="more data on the same connection"))
    if not found.holders or any(proxies.is_client(look, raw, one) for one in others):
        found.ways += found.ways_of(connections)
    if found.holders and wait.bounded:
        found.ways.append(Way(kind="timer", text="its timeout"))
    elif found.holders and proxies.are_answered(look, raw, others):
        found.ways.append(Way(kind="unseen", text="work of its own that cannot be seen"))
    inferred = watches_asker or bool(connections)
    return found.result(inferred=inferred)._replace(partial=bool(connections))


def _without_death_watches(look: ProcSnapshot, raw: RawTask, watched: list[Resource]) -> list[Resource]:
    """Leave out what is watched for its end alone, unless there is nothing else: no data is waited for there."""
    rest = [one for one in watched if one.wants != "close" and not _is_death_watch(look, raw, one)]
    return rest or watched


def _is_death_watch(look: ProcSnapshot, raw: RawTask, resource: Resource) -> bool:
    """Whether a pipe only tells that somebody above has ended.

    Many have its read end and one of their ancestors, alone, the other: what is written to it would reach any one of
    them. PostgreSQL's postmaster keeps such a pipe for as long as it lives.
    """
    if resource.kind != "pipe" or resource.internal or resource.wants != "read":
        return False
    fd = fds.get(look.proc, raw.pid, resource.fd) if resource.fd is not None else None
    if fd is None:
        return False
    writers, _ = files.ends(look, raw, fd, needs_writer=True)
    readers, _ = files.ends(look, raw, fd, needs_writer=False)
    return len(writers) == 1 and len(readers) > 1 and writers < set(procfs.ancestors(raw.pid, look.proc.root))


class _Found:
    """Collects what stands behind each watched descriptor."""

    def __init__(self, look: ProcSnapshot, raw: RawTask) -> None:
        self._look, self._raw = look, raw
        self.holders: dict[tuple[int, int | None], Holder] = {}
        self.ways: list[Way] = []

    def way(self, resource: Resource) -> Way | None:
        return ways.of_resource(self._look, self._raw, resource)

    def ways_of(self, resources: Iterable[Resource]) -> tuple[Way, ...]:
        """The ways that several descriptors open."""
        return tuple(_distinct(way for one in resources if (way := self.way(one)) is not None))

    def add(self, resource: Resource, evidence: str = "") -> None:
        """One descriptor more.

        Args:
            resource: what is watched.
            evidence: what else is known of it.
        """
        way = self.way(resource)
        if way is not None:
            self.ways.append(way)
        if resource.internal and resource.kind in ("pipe", "unix"):
            if self._raw.stat.num_threads > 1:
                self.ways.append(ways.OWN_THREADS)
            return
        holders = behind(self._look, self._raw, resource)
        for holder in holders:
            if holder.pid != self._raw.pid:
                if evidence:
                    holder = replace(holder, evidence=f"{holder.evidence}; {evidence}")
                self.holders.setdefault((holder.pid, holder.tid), holder)
        if not holders and way is None and resource.kind in ("unix", "tcp", "udp", "pipe", "fifo"):
            self.ways.append(_unseen(resource))

    def result(self, inferred: bool = False) -> Alternatives:
        """All together: one that stands alone holds, or likely does where that is inferred; of several one is meant."""
        found, out = list(self.holders.values()), tuple(_distinct(self.ways))
        if len(found) == 1 and not out:
            likely = inferred and found[0].relation == HOLDS
            return Alternatives([replace(found[0], relation=LIKELY)] if likely else found)
        return Alternatives([replace(each, relation=ONE_OF) for each in found], out)


def _unseen(resource: Resource) -> Way:
    local = resource.kind in ("unix", "pipe", "fifo") or is_loopback((resource.peer or "").rpartition(":")[0])
    other = f"{resource.name} -> {resource.peer}" if resource.peer else resource.name
    text = f"the other end of {other}" if local else f"data on {other}, from outside"
    return Way(kind="unseen" if local else "outside", text=text)


def _distinct(found: Iterable[Way]) -> list[Way]:
    return list(dict.fromkeys(found))
