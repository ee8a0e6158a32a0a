"""One recording as figures that can be compared: by call, by errno, by path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct, field

from straced.errors import StracedError
from straced.model.aggregation import known_sum
from straced.model.types import SUMMARY_SCHEMA, Reason
from straced.syscalls import category
from straced.text.sanitize import scrub
from straced.text.units import format_bytes
from straced.traces.diff.count_table import is_table, rows_of
from straced.traces.parsing.source import InputError
from straced.traces.report.load import load_report
from straced.traces.report.request import ReportRequest
from straced.traces.values import DAMAGED, REPORT_SCHEMA, TraceReport

MOST_JSON_BYTES = 256 << 20
_CHANGING = re.compile(r"tmp[a-z0-9_]{8}|(?<![\w.])[0-9a-f]{8,}(?!\w)|(?<![\d.])\d{3,}(?![\d.])|\d{5,}")


class NotASummary(StracedError):
    """The JSON is neither a summary nor a report of straced."""

    exit_code = 2
    code = "not_a_summary"


class ProfileFigures(Struct, kw_only=True):
    """Sums; ``None`` where the recording cannot tell."""

    calls: int | None = None
    errors: int | None = None
    wall_ns: int | None = None
    waiting_ns: int | None = None
    """The part of ``wall_ns`` in which threads were off the CPU."""
    typical_ns: int | None = None
    """Of one call: the median, where the recording has it."""
    category: str = "other"


class Profile(Struct, kw_only=True):
    """One recording."""

    source: str
    kind: str
    """``trace``, ``summary``, ``report`` or ``table`` (of ``strace -c``)."""
    quality: str
    damage: tuple[str, ...] = ()
    """Which parts of it were not as they were written, and are in no figure."""
    total: ProfileFigures
    syscalls: dict[str, ProfileFigures] = field(default_factory=dict)
    errnos: dict[tuple[str, str], int] = field(default_factory=dict)
    paths: dict[str, ProfileFigures] | None = None
    """Numbers and random names in paths are replaced, so that two runs can be compared."""


class _ProfileRow(Struct):
    name: str
    category: str = field(default="other", name="class")
    calls: int | None = None
    errors: int | None = None
    errno: dict[str, int] | None = None
    wall_ns: int | None = None
    p50_ns: int | None = None
    waiting_ns: int | None = None


class _Reason(Struct):
    code: str = ""
    text: str = ""


class _Quality(Struct):
    kind: str
    reasons: list[_Reason] = field(default_factory=list)


class _ProfileTotal(Struct):
    wall_ns: int | None = None
    waiting_ns: int | None = None


class _Summary(Struct):
    quality: _Quality
    syscalls: list[_ProfileRow]
    total: _ProfileTotal | None = None
    schema: str = ""
    time: str = "wall"


class _File(Struct):
    path: str
    calls: int
    errors: int
    wall_ns: int | None = None
    waiting_ns: int | None = None


class _Report(Struct):
    summary: _Summary
    files: list[_File] = field(default_factory=list)


def load(name: str, *, jobs: int | None = None, progress: IO[str] | None = None) -> Profile:
    """Read a trace, a saved summary (one JSON object, or NDJSON whose windows are added up) or a saved report.

    Raises:
        InputError, NotATrace, NotASummary: it is none of them.
    """
    if name != "-":
        try:
            with open(name, "rb") as file:
                head = file.read(4096).lstrip()
        except OSError:
            head = b""  # a set of -ff files, or an error that the reader words better
        if head[:1] == b"{":
            return _from_json(name)
        if is_table(head):
            return _from_table(name)
    return of_report(load_report(ReportRequest(file=name, jobs=jobs), progress=progress), name)


def _from_table(name: str) -> Profile:
    """A table of ``strace -c``: calls and errors; it drops calls that never return, so it is not exact."""
    path = Path(name)
    if path.stat().st_size > MOST_JSON_BYTES:
        raise InputError(f"{name} is no table of strace -c: it is too long")
    rows = [
        _ProfileRow(row.name, category(row.name), row.calls, row.errors, None, None, None)
        for row in rows_of(path.read_bytes())
    ]
    return _profile(name, "table", "partial", rows, None)


def of_report(report: TraceReport, name: str) -> Profile:
    """The figures of an analysed trace."""
    rows = [
        _ProfileRow(row.name, row.category, row.calls, row.errors, row.errno, row.wall_ns, row.p50_ns, row.waiting_ns)
        for row in report.summary.rows
    ]
    files = [_File(row.path, row.calls, row.errors, row.wall_ns, row.waiting_ns) for row in report.files]
    if report.summary.total.wall_ns is not None:
        _fill(rows, waiting=report.summary.total.waiting_ns is not None)
    quality = report.summary.quality
    return _profile(name, "trace", quality.kind, rows, files, _damage(quality.reasons))


def _from_json(name: str) -> Profile:
    path = Path(name)
    size = path.stat().st_size
    if size > MOST_JSON_BYTES:
        raise InputError(f"{name} has {format_bytes(size)} of JSON; at most {format_bytes(MOST_JSON_BYTES)} are read")
    data = path.read_bytes()
    rows: list[_ProfileRow] = []
    kinds: set[str] = set()
    try:
        documents = [data] if _is_one(data) else [line for line in data.split(b"\n") if line.strip()]
        for document in documents:
            schema = _schema(document)
            if schema == REPORT_SCHEMA:
                report = msgspec.json.decode(document, type=_Report)
                quality = report.summary.quality
                damage = _damage(quality.reasons)
                return _profile(name, "report", quality.kind, _rows(report.summary), report.files, damage)
            if schema != SUMMARY_SCHEMA:
                raise NotASummary(f"{scrub(name)} is JSON of another kind ({scrub(schema, 60) or 'no schema'})")
            summary = msgspec.json.decode(document, type=_Summary)
            rows += _rows(summary)
            kinds.add(summary.quality.kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotASummary(f"{scrub(name)} is no summary of straced: {scrub(str(error), 120)}") from error
    return _profile(name, "summary", kinds.pop() if len(kinds) == 1 else "partial", rows, None)


def _is_one(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def _schema(document: bytes) -> str:
    class Head(Struct):
        schema: str = ""

    return msgspec.json.decode(document, type=Head).schema


def _rows(summary: _Summary) -> list[_ProfileRow]:
    if summary.time == "cpu":
        for row in summary.syscalls:
            row.wall_ns = row.p50_ns = row.waiting_ns = None  # CPU time is another thing
    elif summary.total is not None and summary.total.wall_ns is not None:
        _fill(summary.syscalls, waiting=summary.total.waiting_ns is not None)
    return summary.syscalls


def _fill(rows: list[_ProfileRow], *, waiting: bool) -> None:
    """Where the sum is known, it is that of the calls that returned: rows in which none did add nothing to it."""
    for row in rows:
        row.wall_ns = row.wall_ns or 0
        if waiting:
            row.waiting_ns = row.waiting_ns or 0


def _damage(reasons: Iterable[_Reason | Reason]) -> tuple[str, ...]:
    return tuple(scrub(reason.text, 300) for reason in reasons if reason.code == DAMAGED)


def _profile(
    name: str,
    kind: str,
    quality: str,
    rows: list[_ProfileRow],
    files: list[_File] | None,
    damage: tuple[str, ...] = (),
) -> Profile:
    profile = Profile(source=scrub(name, 300), kind=kind, quality=quality, damage=damage, total=ProfileFigures())
    for row in rows:
        _add(profile.syscalls, row.name, row, row.category, row.p50_ns)
        for errno, count in (row.errno or {}).items():
            profile.errnos[row.name, errno] = profile.errnos.get((row.name, errno), 0) + count
    if files is not None:
        profile.paths = {}
        for each in files:
            _add(profile.paths, stable(each.path), each)
    everything = list(profile.syscalls.values())
    profile.total = ProfileFigures(
        calls=known_sum(row.calls for row in everything) if everything else 0,
        errors=known_sum(row.errors for row in everything) if everything else 0,
        wall_ns=known_sum(row.wall_ns for row in everything) if everything else None,
        waiting_ns=known_sum(row.waiting_ns for row in everything) if everything else None,
    )
    return profile


def _add(
    table: dict[str, ProfileFigures],
    key: str,
    row: _ProfileRow | _File,
    category: str = "other",
    typical_ns: int | None = None,
) -> None:
    known = table.get(key)
    if known is None:
        table[key] = ProfileFigures(
            calls=row.calls, errors=row.errors, wall_ns=row.wall_ns, waiting_ns=row.waiting_ns,
            category=category, typical_ns=typical_ns,
        )  # fmt: skip
        return
    known.typical_ns = None  # a median of two windows is not to be had from their medians
    for name in ("calls", "errors", "wall_ns", "waiting_ns"):
        setattr(known, name, known_sum((getattr(known, name), getattr(row, name))))


def stable(path: str) -> str:
    """A path without what changes from run to run: ``/proc/4242/stat`` -> ``/proc/#/stat``."""
    return _CHANGING.sub("#", path)
