"""An alert: what the service found, from the moment it opened until it closed."""

from __future__ import annotations

from msgspec import Struct

from straced.model.owner import Owner


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
