"""Alerts in the database: a row each, written when one opens, changes and closes."""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec import Struct

from straced.linux.credentials import Owner


class AlertRow(Struct, frozen=True, kw_only=True):
    """An alert as it stands."""

    id: str
    kind: str
    subject: str
    """What it is about: a process, a program, the host. One alert of a kind and subject is open at a time."""
    text: str
    opened_s: float
    updated_s: float
    closed_s: float | None = None
    pid: int | None = None
    start_ticks: int | None = None
    comm: str = ""
    job: str = ""
    owner: Owner | None = None
    data: dict[str, str | int | float | bool | None] = {}


def close_alerts(connection: sqlite3.Connection) -> None:
    """Close what is open: the service that would have done it ends, or was killed."""
    connection.execute("update alert set closed_ms = updated_ms where closed_ms is null")


def write_alert(connection: sqlite3.Connection, alert: AlertRow) -> None:
    """Write or overwrite it."""
    owner = alert.owner
    connection.execute(
        "insert or replace into alert values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            alert.id,
            alert.kind,
            alert.subject,
            int(alert.opened_s * 1000),
            int(alert.updated_s * 1000),
            None if alert.closed_s is None else int(alert.closed_s * 1000),
            alert.text,
            alert.pid,
            alert.start_ticks,
            alert.comm,
            alert.job,
            None if owner is None else owner.uid,
            None if owner is None else owner.gid,
            None if owner is None else owner.private,
            msgspec.json.encode(alert.data).decode(),
        ),
    )
