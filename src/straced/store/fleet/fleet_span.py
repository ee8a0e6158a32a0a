"""One span of many hosts, or of some processes in it: what DuckDB adds up of it, as the values of history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from straced.ipc.messages import Select
from straced.model.durations import CallDurations
from straced.model.history import KeptAlert, KeptEvent, Peaks, ProgramUse, SeriesInfo
from straced.model.moment import FailingCall, MomentStep
from straced.model.types import Counters
from straced.store.fleet.dataset import FleetDataset
from straced.store.fleet.latencies import Key
from straced.store.hourly_export import HOURS
from straced.store.percentiles import percentiles

DAY_S = 86400.0
PROCESS = "host, pid, start_ticks, kind, comm, program, job, uid, gid"


def whole(column: str) -> str:
    """A sum that is unknown as soon as a part of it is."""
    return f"case when count(*) = count({column}) then coalesce(sum({column}), 0)::bigint end"


class FleetSpan:
    """A span, and of which processes.

    Args:
        data: of the hosts.
        select: which processes.
        start, end: the span, in seconds since the epoch.
    """

    def __init__(self, data: FleetDataset, select: Select, start: float, end: float) -> None:
        self._data = data
        self._select = select
        self.start, self.end = start, end
        conditions, self._values = ["time >= ?", "time < ?"], list[object]([start, end])
        for column, value in (("pid", select.pid), ("job", select.job)):
            if value is not None:
                conditions.append(f"{column} = ?")
                self._values.append(value)
        if select.name is not None:
            conditions.append("(comm glob ? or program glob ?)")
            self._values += [select.name, select.name]
        self._where = " and ".join(conditions)

    def ask(self, table: str, what: str, rest: str = "", *more: object) -> list[tuple[Any, ...]]:
        """Some columns of the rows of a table."""
        query = f"select {what} from {{0}} where {self._where} {rest}"
        return self._data.ask(query, [*self._values, *more], (table, self.start, self.end))

    def steps(self, step: float, last: float, took: dict[Key, CallDurations]) -> Iterator[MomentStep]:
        """What happened in each step, oldest first."""
        begin = f"floor(time / {step:.0f}) * {step:.0f}"
        figures = "sum(calls)::bigint, sum(errors)::bigint, sum(cpu_ns)::bigint"
        rows = {row[0]: row[1:] for row in self.ask("minutes", f"{begin} as begin, {figures}", "group by begin")}
        for at in sorted({*rows, *(key[0] for key in took)}):
            calls, errors, cpu = rows.get(at, (None, None, None))
            made = took.get((at,), CallDurations(0, {}))
            yield MomentStep(
                time=at, end=min(at + step, last), calls=calls, errors=errors, cpu_ns=cpu or 0, **percentiles(made)
            )

    def uses(self, limit: int, took: dict[Key, CallDurations]) -> Iterator[ProgramUse]:
        """The busiest programs of the hosts."""
        figures = "sum(calls)::bigint as c, sum(errors)::bigint, sum(wall_ns)::bigint, sum(cpu_ns)::bigint"
        rest = "group by host, job, program order by c desc nulls last, host, program limit ?"
        for host, job, program, calls, errors, wall, cpu in self.ask(
            "minutes", f"host, job, program, {figures}", rest, limit
        ):
            made = took.get((host, job, program), CallDurations(0, {}))
            yield ProgramUse(
                host=host, program=program, job=job, calls=calls, errors=errors, wall_ns=wall, cpu_ns=cpu or 0,
                **percentiles(made),
            )  # fmt: skip

    def failing(self, limit: int) -> Iterator[FailingCall]:
        """What failed most."""
        what = "host, program, job, syscall, errno, sum(errors)::bigint as e"
        rest = "group by all order by e desc, host, program, syscall limit ?"
        for host, program, job, syscall, errno, errors in self.ask("failures", what, rest, limit):
            yield FailingCall(host=host, program=program, job=job, syscall=syscall, errno=errno, errors=errors)

    def calls(self) -> tuple[list[Counters], bool]:
        """Each call, added up over all of it; and whether calls were counted at all."""
        errnos: dict[tuple[str, str], dict[str, int]] = {}
        for syscall, abi, errno, errors in self.ask(
            "failures", "syscall, abi, errno, sum(errors)::bigint", "group by all order by 4 desc"
        ):
            errnos.setdefault((syscall, abi), {})[errno] = errors
        what = ", ".join(whole(each) for each in ("calls", "errors", "wall_ns", "waiting_ns"))
        rows = self.ask("calls", f"syscall, abi, {what}", "group by syscall, abi")
        found = [
            Counters(
                name=syscall, abi=abi, calls=calls, errors=errors, errno=errnos.get((syscall, abi), {}), wall_ns=wall,
                waiting_ns=waiting, working_ns=None if wall is None or waiting is None else wall - waiting,
            )
            for syscall, abi, calls, errors, wall, waiting in rows
        ]  # fmt: skip
        ((counted,),) = self.ask("minutes", "count(calls) > 0 or count(*) = 0")
        return found, counted

    def peaks(self) -> Peaks:
        """The facts of it; states are not exported."""
        what = (
            "coalesce(sum(cpu_ns), 0)::bigint, max(rss_max), max(fds_max), max(threads_max), coalesce(sum(samples), 0)"
        )
        ((cpu, rss, fds, threads, samples),) = self.ask("minutes", what)
        return Peaks(cpu_ns=cpu, rss_max_bytes=rss, fds_max=fds, threads_max=threads, samples=int(samples))

    def lost(self) -> tuple[int, int | None]:
        """Processes whose calls were not counted, and calls that were lost."""
        what = f"count(distinct (host, series)) filter (calls is null), {whole('lost')}"
        return self.ask("minutes", what)[0]

    def processes(self, limit: int) -> list[SeriesInfo]:
        """Who they are, as they were last seen."""
        query = (
            "select host, pid, start_ticks, kind, comm, program, job, uid, gid, arg_max(series, last), boot_id,"
            ' arg_max(cmdline, last), arg_max(labels, last), min(first), max(last), arg_max("end", last),'
            f" arg_max(exit_status, last) from {{0}} where {self._where_of('last', 'first')}"
            " group by all order by max(last) desc, host, pid limit ?"
        )
        rows = self._data.ask(query, [*self._values, limit], ("processes", self.start, self.end))
        return [
            SeriesInfo(
                host=host, id=series, kind=kind, pid=pid, start_ticks=start, boot_id=boot, comm=comm, program=program,
                cmdline=tuple(msgspec.json.decode(cmdline or "[]")), uid=uid, gid=gid, private=False,
                labels=msgspec.json.decode(labels or "{}"), first_s=first, last_s=last, end=end, exit_status=status,
            )
            for (host, pid, start, kind, comm, program, _job, uid, gid, series, boot, cmdline, labels, first, last, end,
                 status) in rows
        ]  # fmt: skip

    def known(self) -> bool:
        """Whether anything of these is known within a day of it."""
        select = self._select
        if (select.pid, select.name, select.job) == (None, None, None):
            return True
        about = FleetSpan(self._data, select, self.start - DAY_S, self.end + DAY_S)
        return bool(about.processes(1))

    def gaps_s(self) -> float:
        """Time in which no service ran, of the whole hours that it touches, over all hosts."""
        return float(
            self._data.ask("select coalesce(sum(gaps_s), 0) from {0}", [], (HOURS, self.start, self.end))[0][0]
        )

    def events(self, limit: int) -> list[KeptEvent]:
        """The newest events, oldest first."""
        where, values = self._about("time >= ? and time < ?")
        rows = self._data.ask(
            f"select host, id, time, kind, text, pid, comm, job, labels, data from {{0}} where {where}"
            " order by time desc, host, id desc limit ?",
            [self.start, self.end, *values, limit],
            ("events", self.start, self.end),
        )
        return [
            KeptEvent(host=host, id=number, time=at, kind=kind, text=text, pid=pid, comm=comm or "", job=job,
                      labels=msgspec.json.decode(labels), data=msgspec.json.decode(data))
            for host, number, at, kind, text, pid, comm, job, labels, data in rows[::-1]
        ]  # fmt: skip

    def alerts(self) -> list[KeptAlert]:
        """Alerts that were open in it, as what a day after it knows of them has it."""
        where, values = self._about("coalesce(closed, updated) >= ? and opened <= ?")
        rows = self._data.ask(
            "with last as (select * from {0} qualify row_number() over (partition by host, id order by updated desc,"
            " closed desc nulls last) = 1)"
            " select host, id, kind, subject, text, opened, updated, closed, pid, comm, job, data from last"
            f" where {where} order by opened, host",
            [self.start, self.end, *values],
            ("alerts", self.start, self.end + DAY_S),
        )
        return [
            KeptAlert(host=host, id=number, kind=kind, subject=subject, text=text, opened=opened, updated=updated,
                      closed=closed, pid=pid, comm=comm or "", job=job, data=msgspec.json.decode(data))
            for host, number, kind, subject, text, opened, updated, closed, pid, comm, job, data in rows
        ]  # fmt: skip

    def _about(self, where: str) -> tuple[str, list[object]]:
        """What is about what was asked for; what is about the service is about all."""
        values: list[object] = []
        select = self._select
        for column, value in (("pid", select.pid), ("job", select.job)):
            if value is not None:
                where += f" and {column} = ?"
                values.append(value)
        if select.name is not None:
            where += " and (pid is null or comm glob ?)"
            values.append(select.name)
        return where, values

    def _where_of(self, last: str, first: str) -> str:
        return self._where.replace("time >= ?", f"{last} >= ?").replace("time < ?", f"{first} < ?")
