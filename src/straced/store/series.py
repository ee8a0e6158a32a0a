"""Numbers of series and of names: looked up once, kept in memory, forgotten when a transaction was rolled back."""

from __future__ import annotations

import functools
import os
import sqlite3

import msgspec
from msgspec import Struct

from straced.model.facts import ProcessFacts
from straced.model.owner import Owner
from straced.model.tick import ProcessSample
from straced.store.packing import Facts


class Series(Struct):
    """A series that is being written."""

    id: int
    owner: Owner
    epoch: int
    described: tuple[str, tuple[str, ...], dict[str, str]]
    """Comm, command line, labels, as they stand in the table."""
    facts: Facts | None = None
    minute: int = -1
    """The minute of the last row: the first one of each minute is whole."""
    in_flight: dict[str, int] | None = None
    seen_ms: int = 0
    program: str = ""
    """Of a process: the name of the file that it runs, where that can be read."""


Key = tuple[str, int, int, str]
"""Kind, pid, start time; and of what has ended below it the program, where that is known."""
MAX_NAMES = 4096
"""Different calls that are told apart; programs can make up numbers by the million."""
OTHER = "syscall_other"
UNSEEN_MS = 600_000
"""After so long without a sample a process is over, though nobody said so: the word of it was dropped, perhaps."""


class Catalogue:
    """The tables ``series`` and ``names``."""

    def __init__(self, connection: sqlite3.Connection, boot_id: str) -> None:
        self._connection = connection
        self._boot_id = boot_id
        self._series: dict[Key, Series] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._below: dict[tuple[int, int], list[Key]] = {}
        """By tree, the series of what ended in it."""
        self._read_names()

    def _read_names(self) -> None:
        rows = self._connection.execute(f"select name, abi, id from names limit {2 * MAX_NAMES}")
        self._names.update(((name, abi), number) for name, abi, number in rows)

    def forget(self) -> None:
        """Start anew from what the file has."""
        self._series.clear()
        self._below.clear()
        self._names.clear()
        self._read_names()

    def number(self, name: str, abi: str) -> int:
        """The number of a call's name."""
        found = self._names.get((name, abi))
        if found is None:
            if len(self._names) >= MAX_NAMES and name.startswith("syscall_0x"):
                return self.number(OTHER, abi)
            one = self._connection.execute("select id from names where name = ? and abi = ?", (name, abi)).fetchone()
            if one is None:
                one = self._connection.execute(
                    "insert into names (name, abi) values (?, ?) returning id", (name, abi)
                ).fetchone()
            found = self._names[name, abi] = int(one[0])
        return found

    def of(self, sample: ProcessSample, ts: int, kind: str = "process", program: str = "") -> Series:
        """The series of a sample; a new one when the process has become somebody else's, or runs another program.

        What happened while it changed hands is kept where fewer may see it.

        Args:
            sample: a process, or the root of a tree.
            ts: when it was taken, in ms since the epoch.
            kind: ``process``; of what ended below it ``program``, ``ended`` or ``others``.
            program: of what ended.
        """
        key = (kind, *sample.facts.key, program)
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = self._find(key, sample, ts)
            if kind != "process":
                self._below.setdefault(sample.facts.key, []).append(key)
        owner = sample.owner
        runs = _runs(sample) if kind == "process" else ""
        if known.owner != owner or (runs and known.program and runs != known.program):
            fresh = self._insert(key, sample, ts, known.epoch + 1)
            self._series[key] = fresh
            if known.owner.private and not owner.private:
                known.seen_ms = ts
                return known  # this one row more
            known = fresh
        self._describe(known, sample.facts, program)
        known.program = runs or known.program
        known.seen_ms = ts
        return known

    def _find(self, key: Key, sample: ProcessSample, ts: int) -> Series:
        kind, pid, start_ticks, program = key
        row = self._connection.execute(
            "select id, epoch, uid, gid, private, program from series where pid = ? and start_ticks = ?"
            " and boot_id = ? and kind = ? and (? = '' or program = ?) order by epoch desc limit 1",
            (pid, start_ticks, self._boot_id, kind, program, program),
        ).fetchone()
        if row is None:
            return self._insert(key, sample, ts, 0)
        self._connection.execute(
            "update series set end = null where id = ? and end in ('interrupted', 'service_stopped')", (row[0],)
        )
        known = Owner(row[2], row[3], bool(row[4]), sample.owner.capabilities)
        return Series(row[0], known, row[1], ("", (), {}), program=row[5] if kind == "process" else "")

    def _insert(self, key: Key, sample: ProcessSample, ts: int, epoch: int) -> Series:
        facts, owner = sample.facts, sample.owner
        root = None
        if (sample.root != facts.key or key[0] != "process") and (
            found := self._series.get(("process", *sample.root, ""))
        ):
            root = found.id
        (number,) = self._connection.execute(
            "insert into series (kind, boot_id, pid, start_ticks, epoch, root, comm, program, cmdline, uid, gid,"
            " private, labels, job, first_ms, last_ms)"
            " values (?, ?, ?, ?, ?, ?, '', '', '', ?, ?, ?, '', '', ?, ?) returning id",
            (key[0], self._boot_id, key[1], key[2], epoch, root, owner.uid, owner.gid, owner.private, ts, ts),
        ).fetchone()
        return Series(int(number), owner, epoch, ("", (), {}))

    def _describe(self, series: Series, facts: ProcessFacts, program: str) -> None:
        """Write down what it is: a process as it is now, or the program of processes that ended below it."""
        comm, cmdline = (program, ()) if program else (facts.comm, facts.cmdline)
        described = (comm, cmdline, facts.labels)
        on_its_way_out = not (facts.exe or facts.cmdline)  # its name may be that of another program that it ran since
        if series.described == described or (on_its_way_out and series.program and not program):
            return
        self._connection.execute(
            "update series set comm = ?, program = ?, cmdline = ?, labels = ?, job = ? where id = ?",
            (
                comm,
                program or program_of(facts),
                msgspec.json.encode(cmdline).decode(),
                msgspec.json.encode(facts.labels).decode(),
                facts.labels.get("job", ""),
                series.id,
            ),
        )
        series.described = described

    def end(self, pid: int, start_ticks: int, ts: int, why: str, exit_status: int | None) -> None:
        """Note the end of a process."""
        self._connection.execute(
            "update series set end = ?, exit_status = ?, last_ms = max(last_ms, ?) where pid = ? and start_ticks = ?"
            " and boot_id = ? and kind = 'process' and end is null",
            (why, exit_status, ts, pid, start_ticks, self._boot_id),
        )
        self._series.pop(("process", pid, start_ticks, ""), None)
        for key in self._below.pop((pid, start_ticks), ()):
            if (series := self._series.pop(key, None)) is not None:
                self._connection.execute(
                    "update series set last_ms = max(last_ms, ?) where id = ?", (series.seen_ms, series.id)
                )

    def write_last(self) -> None:
        """Write down until when each series reaches."""
        self._connection.executemany(
            "update series set last_ms = max(last_ms, ?) where id = ?",
            [(each.seen_ms, each.id) for each in self._series.values()],
        )

    def close_unseen(self, ts: int) -> None:
        """Close series that had no sample for long; they go on when there is one."""
        unseen = [key for key, each in self._series.items() if key[0] == "process" and each.seen_ms < ts - UNSEEN_MS]
        for key in unseen:
            series = self._series.pop(key)
            self._connection.execute(
                "update series set end = 'interrupted', last_ms = max(last_ms, ?) where id = ? and end is null",
                (series.seen_ms, series.id),
            )

    def close_interrupted(self) -> int:
        """Close what an earlier service left open: it was killed, and the last row of the host says when."""
        last = self._connection.execute("select max(ts) from host").fetchone()[0]
        return self._connection.execute(
            "update series set end = 'interrupted', last_ms = max(last_ms, coalesce(?, last_ms)) where end is null",
            (last,),
        ).rowcount


def _runs(sample: ProcessSample) -> str:
    """The name of the file that a process runs: by /proc, else by what was counted, else not known."""
    if sample.facts.exe:
        return program_of(sample.facts)
    return sample.calls[0].program if sample.calls else ""


def program_of(facts: ProcessFacts) -> str:
    """The name of the program file; the comm where that is not known."""
    return _base_name(facts.exe) if facts.exe else facts.comm


@functools.lru_cache(4096)
def _base_name(exe: str) -> str:
    return os.path.basename(exe.removesuffix(" (deleted)"))
