"""What ``straced trace`` knows and strace does not, written into the trace as lines that other tools skip.

A line is ``# straced KIND {json}``. Of a damaged one nothing is taken.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct, field

from straced.traces.parsing.line import COMMENT
from straced.traces.parsing.trace_filters import TraceFilters

MOST_TASKS = 200_000
_LINE = re.compile(rb"\n" + COMMENT + rb"(\w{1,20}) (\{[^\n]{0,1000000}\})(?=\n)")


class TraceHeader(Struct, kw_only=True):
    """Where and when the trace was made."""

    version: int = 1
    host: str = ""
    machine: str = ""
    """As ``uname -m`` has it."""
    boot_id: str = ""
    epoch_s: float | None = None
    """The clock at the attach,"""
    monotonic_ns: int | None = None
    """and CLOCK_MONOTONIC then."""
    utc_offset_s: int | None = None
    """How far local time is ahead of UTC: -t and -tt print local time."""
    pid: int | None = None
    by_ebpf: bool = False
    """Whether the kernel recorded it, without strace."""
    filters: TraceFilters | None = None
    left_out: int | None = None
    """Calls that were counted, and that the filters left out; of records only."""
    ended: str = ""
    """Why it ended; of records only."""


class TracedProcessFacts(Struct, kw_only=True):
    """A process as it was at the attach."""

    pid: int
    parent: int | None = None
    name: str = ""
    argv: list[str] = field(default_factory=list)
    start_ticks: int = 0
    tasks: list[int] = field(default_factory=list)
    fds: dict[str, str] = field(default_factory=dict)
    """What each open descriptor stands for, as ``readlink`` says."""
    folder: str = ""
    calls: dict[int, str] = field(default_factory=dict)
    """The calls that its tasks were in."""


class TraceComments:
    """The comments of one trace."""

    def __init__(self) -> None:
        self.header: TraceHeader | None = None
        self.processes: dict[int, TracedProcessFacts] = {}

    def feed(self, block: bytes) -> None:
        """Take the comments of one block."""
        for kind, text in _LINE.findall(block):
            try:
                if kind == b"trace":
                    self.header = msgspec.json.decode(text, type=TraceHeader)
                elif kind == b"process" and len(self.processes) < MOST_TASKS:
                    facts = msgspec.json.decode(text, type=TracedProcessFacts)
                    self.processes[facts.pid] = facts
            except (msgspec.DecodeError, RecursionError):
                continue


def comment(kind: str, value: Struct) -> bytes:
    """Return the line of a comment."""
    return COMMENT + kind.encode() + b" " + msgspec.json.encode(value) + b"\n"
