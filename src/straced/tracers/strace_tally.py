"""Counts out of a full trace, so that a summary can go on over the time in which the trace had the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from straced.model import Counters, Reason, Sample
from straced.syscalls import native_abi, number_of
from straced.tracers.strace_line import parse_line

if TYPE_CHECKING:
    from straced.tracers.strace_record import Recording

_RESTARTS = ("ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ERESTART_RESTARTBLOCK")


def tally(recording: Recording, monotonic_ns: int, epoch_s: float) -> Sample:
    """Read the file of a recording as far as it goes. Calls and errors are exact; time is there with ``-T`` only."""
    timed = recording.options.timestamps == "us"
    reasons = []
    if recording.options.trace or recording.options.paths or recording.options.status:
        reasons.append(Reason("filtered", "the full trace held only the calls that its filter let through"))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    started: dict[int | None, str] = {}
    abis: dict[int | None, str] = {}
    if recording.path is not None:
        with recording.path.open("rb") as file:
            for text in file:
                _add(text, rows, started, abis)
    counters = tuple(
        Counters(
            name=name,
            nr=number_of(name, abi),
            abi=abi,
            calls=row["calls"],
            errors=row["errors"],
            errno=row["errno"],
            restarts=row["restarts"],
            wall_ns=row["wall_ns"] if timed else None,
        )
        for (abi, name), row in rows.items()
    )
    return Sample(
        monotonic_ns=monotonic_ns,
        epoch_s=epoch_s,
        rows=counters,
        time="wall" if timed else "none",
        kind="partial",
        reasons=tuple(reasons),
        lost=recording.dropped_lines,
    )


def _add(
    text: bytes,
    rows: dict[tuple[str, str], dict[str, Any]],
    started: dict[int | None, str],
    abis: dict[int | None, str],
) -> None:
    line = parse_line(text)
    if line is None:
        return
    if line.kind == "abi" and line.abi:
        abis[line.other_pid or line.pid] = line.abi
        return
    if line.kind not in ("call", "unfinished", "resumed", "detached", "cut") or not line.name:
        return
    key = (abis.get(line.pid, native_abi()), line.name)
    row = rows.setdefault(key, {"calls": 0, "errors": 0, "restarts": 0, "errno": {}, "wall_ns": 0})
    if line.kind == "unfinished":
        started[line.pid] = line.name
        row["calls"] += 1
        return
    known = line.kind in ("resumed", "detached") and started.pop(line.pid, None) == line.name
    restart = line.errno in _RESTARTS
    if line.name == "restart_syscall" or restart:
        row["restarts"] += 1
    elif not known and line.kind != "resumed":
        row["calls"] += 1
    row["wall_ns"] += line.duration_ns or 0
    if line.errno and not restart:
        row["errors"] += 1
        row["errno"][line.errno] = row["errno"].get(line.errno, 0) + 1
