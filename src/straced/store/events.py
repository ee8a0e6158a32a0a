"""Reads events and alerts, and the resource report of a job out of them and of history."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec

from straced.model.history import JobReport, KeptAlert, KeptEvent, ProgramUse, SeriesInfo
from straced.store import latency
from straced.store.history import History
from straced.store.latency import ByName
from straced.store.percentiles import percentiles, working

MAX_EVENTS = 10_000


def events(
    history: History,
    *,
    since: float = 0.0,
    until: float | None = None,
    after: int = 0,
    pid: int | None = None,
    job: str | None = None,
    kinds: Sequence[str] = (),
    limit: int = 100,
) -> list[KeptEvent]:
    """The newest events of a span, oldest first; with ``after`` those with a greater id."""
    where, values = ["ts >= ?", "ts <= ?", "id > ?"], [int(since * 1000), _ms(until), after]
    where, values = _narrow(history, where, values, pid, job)
    if kinds:
        where = [*where, f"kind in ({', '.join('?' * len(kinds))})"]
        values += kinds  # type: ignore[arg-type]
    rows = history.connection.execute(
        "select id, ts, kind, text, pid, comm, job, labels, data, uid, gid, private from event"
        f" where {' and '.join(where)} order by id desc",
        values,
    )
    found: list[KeptEvent] = []
    for number, ts, kind, text, pid_, comm, job_, labels, data, uid, gid, private in rows:
        if len(found) >= min(limit, MAX_EVENTS):
            break
        if history.may_see(uid, gid, private):
            found.append(
                KeptEvent(
                    id=number,
                    time=ts / 1000,
                    kind=kind,
                    text=text,
                    pid=pid_,
                    comm=comm,
                    job=job_,
                    labels=msgspec.json.decode(labels),
                    data=msgspec.json.decode(data),
                )
            )
    return found[::-1]


def alerts(
    history: History,
    *,
    since: float = 0.0,
    until: float | None = None,
    open_only: bool = False,
    pid: int | None = None,
    job: str | None = None,
    limit: int = 1000,
) -> list[KeptAlert]:
    """Alerts that were open in a span, in the order they opened."""
    where, values = ["coalesce(closed_ms, updated_ms) >= ?", "opened_ms <= ?"], [int(since * 1000), _ms(until)]
    if open_only:
        where.append("closed_ms is null")
    where, values = _narrow(history, where, values, pid, job)
    rows = history.connection.execute(
        "select id, kind, subject, text, opened_ms, updated_ms, closed_ms, pid, comm, job, data, uid, gid, private"
        f" from alert where {' and '.join(where)} order by opened_ms desc",
        values,
    )
    found: list[KeptAlert] = []
    for number, kind, subject, text, opened, updated, closed, pid_, comm, job_, data, uid, gid, private in rows:
        if len(found) >= limit:
            break
        if history.may_see(uid, gid, private):
            found.append(
                KeptAlert(
                    id=number,
                    kind=kind,
                    subject=subject,
                    text=text,
                    opened=opened / 1000,
                    updated=updated / 1000,
                    closed=None if closed is None else closed / 1000,
                    pid=pid_,
                    comm=comm,
                    job=job_,
                    data=msgspec.json.decode(data),
                )
            )
    return found[::-1]


def _narrow(
    history: History, where: list[str], values: list[int], pid: int | None, job: str | None
) -> tuple[list[str], list[int]]:
    theirs, who = history.theirs()
    where, bound = [*where, theirs], [*values, *who]
    for column, value in (("pid", pid), ("job", job)):
        if value is not None:
            where.append(f"{column} = ?")
            bound.append(value)  # type: ignore[arg-type]
    return where, bound


def _ms(until: float | None) -> int:
    return int((until if until is not None else time.time() + 86400) * 1000)


def report(history: History, job: str, since: float = 0.0, until: float | None = None) -> JobReport:
    """What a job took and did, with its events and alerts."""
    processes = history.find(job=job, since=since, until=until)
    ends: dict[str, int] = {}
    for each in {(each.pid, each.start_ticks, each.boot_id): each for each in processes[::-1]}.values():
        if each.kind == "process" and each.end is not None:
            word = each.end if each.exit_status is None else f"{each.end} {each.exit_status}"
            ends[word] = ends.get(word, 0) + 1
    start = max(since, min((each.first_s for each in processes), default=since))
    return JobReport(
        job=job,
        programs=tuple(_programs(history, job, processes, start, until)),
        answer=history.answer(processes, start, until),
        exit_statuses=ends,
        events=tuple(events(history, since=since, until=until, job=job, limit=1000)),
        alerts=tuple(alerts(history, since=since, until=until, job=job)),
    )


def _programs(
    history: History, job: str, processes: list[SeriesInfo], start: float, until: float | None
) -> Iterator[ProgramUse]:
    """What each program did, by the same rows as the sum of all; the busiest first."""
    end_ms = int((until if until is not None else time.time()) * 1000)
    took: dict[str, list[ByName]] = {}
    for found in latency.read(history, int(start * 1000), end_ms, job=job).values():
        for (_job, program), by_name in found.items():
            took.setdefault(program, []).append(by_name)
    by_program: dict[str, list[SeriesInfo]] = {}
    for each in processes:
        by_program.setdefault(each.program, []).append(each)
    answers = {program: history.answer(series, start, until) for program, series in by_program.items()}
    for program in sorted(answers, key=lambda program: -(answers[program].total.calls or 0)):
        answer = answers[program]
        if answer.total.calls == 0 and not (answer.total.wall_ns or answer.peaks.cpu_ns):
            continue  # it did nothing, or it is a name that a process had before it could be read
        yield ProgramUse(
            program=program,
            job=job,
            calls=answer.total.calls,
            errors=answer.total.errors,
            wall_ns=answer.total.wall_ns,
            cpu_ns=answer.peaks.cpu_ns,
            **percentiles(working(took.get(program, ()))),
        )
