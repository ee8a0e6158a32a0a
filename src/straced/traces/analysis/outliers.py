"""Files and peers whose calls take far longer than the same calls of others: a slow disk, mount or server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median_low

from straced.syscalls import category
from straced.text.sanitize import scrub_bytes
from straced.text.units import count_of, format_ns
from straced.traces.analysis import roles
from straced.traces.analysis.file_stats import OTHER
from straced.traces.analysis.reader import TraceReading
from straced.traces.values import Finding

FAR, COST_NS, SINGLE_NS, OTHERS = 50, 10**6, 3 * 10**6, 5
BULK_BYTES = 256 << 10
"""A transfer of more takes long because of its size."""
_PEER = re.compile(rb"to (.+)|(?:TCP|UDP|SCTP|DCCP)(?:v6)?:\[.*->(.+)\]", re.S)
MADE_BY_OTHERS = re.compile(
    rb"(?:pipe|socketpair) of \d|(?:pipe|socket):\[|(?:TCP|UDP|UNIX|NETLINK|SCTP|DCCP|RAW|PING|PACKET)[\w-]*:\["
    rb"|socket(?: |$)|accepted socket$|(?:to|at|from) \S+$|anon_inode:|fd \d|/dev/(?!shm/)"
    rb"|(?:eventfd|eventfd2|epoll_create|timerfd_create|signalfd|signalfd4|inotify_init|pidfd_open|userfaultfd"
    rb"|fanotify_init|io_uring_setup|perf_event_open)$"
)
"""What stands behind a descriptor where a call waits for others, or may."""
_COMPARED = {
    "file": frozenset(
        {roles.READ, roles.WRITE, roles.FD, roles.OPEN, roles.PATH, roles.PATH_AT, roles.CLOSE, roles.TWO_PATHS,
         roles.TWO_PATHS_AT}
    ),
    "peer": frozenset({roles.READ, roles.WRITE, roles.PEER}),
}  # fmt: skip
_SIZED = frozenset({roles.READ, roles.WRITE})


def outliers(reading: TraceReading) -> Iterator[Finding]:
    """Return each file, and each peer, that is slow beside its like."""
    if reading.state is None or not reading.form.durations:
        return
    groups: dict[tuple[str, str], dict[bytes, list[int]]] = {}
    for path, row in reading.state.files.rows.items():
        kind, label = _kind(path)
        if not kind:
            continue
        bulky = row.transfers and (row.in_bytes + row.out_bytes) // row.transfers > BULK_BYTES
        for (_, name), (calls, ns, longest, waiting) in row.by.items():
            role = roles.ROLE_OF.get(name)
            if role not in _COMPARED[kind] or (bulky and role in _SIZED) or category(name) == "wait":
                continue
            sums = groups.setdefault((kind, name), {}).setdefault(label, [0, 0, 0, row.line, 0])
            sums[0] += calls
            sums[1] += ns
            sums[2] = max(sums[2], longest)
            sums[4] += waiting
    for (kind, name), labels in sorted(groups.items()):
        yield from _slow_ones(kind, name, labels, told=reading.tells_waiting)


def _kind(path: bytes) -> tuple[str, bytes]:
    if path in (OTHER, b"?", b""):
        return "", path
    if (peer := _PEER.fullmatch(path)) and not path.startswith(b"to unix:"):
        return "peer", peer[1] or peer[2]
    return ("", path) if MADE_BY_OTHERS.match(path) else ("file", path)


def _slow_ones(kind: str, name: str, labels: dict[bytes, list[int]], *, told: bool) -> Iterator[Finding]:
    """Those that are far from the middle, while they are few."""
    if len(labels) <= OTHERS:
        return
    usual = median_low(sorted(ns // calls for calls, ns, *_ in labels.values()))
    slow = {label: row for label, row in labels.items() if _is_slow(row[0], row[1], row[2], FAR * max(usual, 1000))}
    if 4 * len(slow) > len(labels):
        return
    for label, (calls, ns, _, line, waiting) in sorted(slow.items()):
        text = scrub_bytes(label, 300)
        others = f"that of {count_of(len(labels) - len(slow), f'other {kind}')} {format_ns(usual)} in the middle"
        yield Finding(
            code=f"slow_{kind}",
            text=f"{name} of {text} took {format_ns(ns // calls)} "
            + f"{'on average ' if calls > 1 else ''}({count_of(calls, 'call')}), {others}",
            lines=(line,),
            count=calls,
            cost_ns=ns,
            waiting_ns=waiting if told else None,
            subject=text,
        )


def _is_slow(calls: int, ns: int, longest: int, limit: int) -> bool:
    """Whether it is slow without its longest call too, which may have been one of a busy CPU."""
    if calls == 1:
        return ns >= max(limit, SINGLE_NS)
    return ns - longest >= COST_NS and (ns - longest) // (calls - 1) >= limit
