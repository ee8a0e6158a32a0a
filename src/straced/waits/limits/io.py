"""The bandwidth of disks that a control group may use: io.max of version 2, blkio.throttle of version 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes
from straced.waits.facts.proc import ProcReader
from straced.waits.limits.groups import CgroupFolder, counters, groups_of
from straced.waits.limits.window import HostWindow
from straced.waits.model import Limit

_USED_UP = 0.8
_THROTTLE = "blkio.throttle."
_KINDS = (
    ("rbps", "rbytes", f"{_THROTTLE}read_bps_device", f"{_THROTTLE}io_service_bytes", "Read"),
    ("wbps", "wbytes", f"{_THROTTLE}write_bps_device", f"{_THROTTLE}io_service_bytes", "Write"),
    ("riops", "rios", f"{_THROTTLE}read_iops_device", f"{_THROTTLE}io_serviced", "Read"),
    ("wiops", "wios", f"{_THROTTLE}write_iops_device", f"{_THROTTLE}io_serviced", "Write"),
)
"""Word of io.max, word of io.stat; in version 1 the file of the limit, the file of the counter, its word."""


class _Bound(NamedTuple):
    device: str
    file: str
    most: int
    counter: str
    word: str
    in_bytes: bool
    verb: str


def limits(window: HostWindow, proc: ProcReader, pid: int) -> Iterator[Limit]:
    """The bandwidths that the groups of a process used up in the window."""
    for group in groups_of(proc, pid, "blkio"):
        for bound in _v2(group) if group.v2 else _v1(group):
            added = window.added(group, bound.counter, f"{bound.device} {bound.word}") or 0
            rate = round(added * 1e9 / window.window_ns)
            if rate < bound.most * _USED_UP:
                continue
            now, most = (_amount(number, bound.in_bytes) for number in (rate, bound.most))
            text = f"its cgroup {group.name} {bound.verb} {now} a second of {_name(bound.device)}, and may {most}"
            yield Limit(pid=pid, kind="io_max", path=group.path(bound.file), text=text, acted=True)


def _v1(group: CgroupFolder) -> Iterator[_Bound]:
    for name, _, file, counter, word in _KINDS:
        for device, most in counters(group.text(file)).items():
            yield _Bound(device, file, most, counter, word, name.endswith("bps"), _verb(name))


def _v2(group: CgroupFolder) -> Iterator[_Bound]:
    words = {name: word for name, word, *_ in _KINDS}
    for key, most in counters(group.text("io.max")).items():
        device, _, name = key.partition(" ")
        if name in words:
            yield _Bound(device, "io.max", most, "io.stat", words[name], name.endswith("bps"), _verb(name))


def _verb(name: str) -> str:
    return "reads" if name.startswith("r") else "writes"


def _amount(number: int, in_bytes: bool) -> str:
    return format_bytes(number) if in_bytes else count_of(number, "time")


def _name(device: str) -> str:
    """``vda`` for 254:0."""
    try:
        return scrub(os.path.basename(os.readlink(f"/sys/dev/block/{device}")))
    except OSError:
        return f"device {device}"
