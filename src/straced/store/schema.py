"""The tables, their version, and how an older file becomes a newer one."""

from __future__ import annotations

import sqlite3

from straced.errors import StracedError

VERSION = 2
APPLICATION_ID = 0x73747263
"""``strc``: tells our files from other databases (sqlite.org/pragma.html#pragma_application_id)."""

_LATENCY = """
create table latency (
    ts integer, uid integer, gid integer, private integer, job text, program text, data blob not null,
    primary key (ts, uid, gid, private, job, program)) without rowid;
create table latency_hour (
    ts integer, uid integer, gid integer, private integer, job text, program text, data blob not null,
    primary key (ts, uid, gid, private, job, program)) without rowid;
"""
"""How long calls took, by minute and hour."""
TABLES = (
    """
create table meta (key text primary key, value text not null) without rowid;
create table names (id integer primary key, name text not null, abi text not null, unique (name, abi));
create table series (
    id integer primary key,
    kind text not null,              -- process, or what ended in a tree: program, ended, others (root's)
    boot_id text not null,
    pid integer not null,
    start_ticks integer not null,
    epoch integer not null,          -- counts the owners that the process had: each has rows of its own
    root integer,                    -- series of the tree
    comm text not null,
    program text not null,
    cmdline text not null,           -- JSON
    uid integer not null,
    gid integer not null,
    private integer not null,
    labels text not null,            -- JSON
    job text not null,
    first_ms integer not null,
    last_ms integer not null,
    end text,
    exit_status integer
);
create index series_of_process on series (pid, start_ticks, boot_id);
create index series_by_time on series (last_ms);
create index series_of_job on series (job) where job <> '';
create table sample (ts integer, series integer, data blob not null, primary key (ts, series)) without rowid;
create table block (series integer, ts integer, data blob not null, primary key (series, ts)) without rowid;
create index block_by_time on block (ts);
create table host (ts integer primary key, data blob not null) without rowid;
create table minute (
    series integer, ts integer, samples integer not null, calls integer, errors integer, wall_ns integer,
    waiting_ns integer, cpu_ns integer, rss_max integer, rss_mean integer, fds_max integer, threads_max integer,
    data blob not null, primary key (series, ts)) without rowid;
create index minute_by_time on minute (ts);
create table hour (
    series integer, ts integer, samples integer not null, calls integer, errors integer, wall_ns integer,
    waiting_ns integer, cpu_ns integer, rss_max integer, rss_mean integer, fds_max integer, threads_max integer,
    data blob not null, primary key (series, ts)) without rowid;
create index hour_by_time on hour (
    ts, series, calls, errors, wall_ns, waiting_ns, cpu_ns, rss_max);
create table event (
    id integer primary key, ts integer not null, kind text not null, text text not null, pid integer,
    start_ticks integer, comm text not null, labels text not null, job text not null,
    uid integer, gid integer, private integer, data text not null);
create index event_by_time on event (ts);
create table alert (
    id text primary key, kind text not null, subject text not null, opened_ms integer not null,
    updated_ms integer not null, closed_ms integer, text text not null, pid integer, start_ticks integer,
    comm text not null, job text not null, uid integer, gid integer, private integer, data text not null) without rowid;
create index alert_by_time on alert (opened_ms);
create table known (program text, kind text, what text, first_ms integer not null, primary key (program, kind, what)
    ) without rowid;
"""
    + _LATENCY
)
MIGRATIONS: dict[int, str] = {1: _LATENCY}
"""Version to the statements that lead to the next one."""


class StoreTooNew(StracedError):
    """The history was written by a newer straced."""

    code = "store_too_new"


class ForeignDatabase(Exception):
    """A database, but not one of ours."""


def check(connection: sqlite3.Connection) -> None:
    """Look whether a file is ours, and not too new.

    Raises:
        StoreTooNew: made by a newer straced; nothing is touched.
        ForeignDatabase: another program's database; nothing is touched.
    """
    version, tables = _found(connection)
    application = int(connection.execute("pragma application_id").fetchone()[0])
    if tables and application != APPLICATION_ID:
        raise ForeignDatabase
    if version > VERSION:
        raise StoreTooNew(
            f"the history has version {version}, this straced knows {VERSION}",
            hint="use the newer straced, or name another store.path",
        )


def _found(connection: sqlite3.Connection) -> tuple[int, int]:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    return version, int(connection.execute("select count(*) from sqlite_master").fetchone()[0])


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file, or bring an older one up to :data:`VERSION`."""
    version, tables = _found(connection)
    script = TABLES if not tables else "".join(MIGRATIONS[step] for step in range(version, VERSION))
    if script:
        connection.executescript(
            f"begin exclusive; {script} pragma application_id = {APPLICATION_ID};"
            f" pragma user_version = {VERSION}; commit;"
        )
