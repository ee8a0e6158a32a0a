"""What ``straced doctor`` finds, as values: for the terminal, and as JSON (schema ``straced.doctor/1``)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

SCHEMA = "straced.doctor/1"


class DoctorCheck(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    state: str
    """``yes`` it serves, ``limited`` it serves in part, ``no`` it does not, ``info`` it is good to know."""
    detail: str = ""
    remedy: tuple[str, ...] = ()
    """What to type or do so that it serves; a line each."""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What works here and, with a target, on it."""

    version: str
    kernel: str
    machine: str
    python: str
    uid: int
    target: str | None = None
    """Who was asked about: ``4242 (make), uid 0, sleeping, 3 threads``."""
    tracers: tuple[DoctorCheck, ...] = ()
    """Whether each tracer would serve, in the order in which ``auto`` prefers them."""
    here: tuple[DoctorCheck, ...] = ()
    about_target: tuple[DoctorCheck, ...] = ()
    unseen: tuple[str, ...] = ()
    """What no tracer can see, a sentence each."""

    @property
    def usable(self) -> bool:
        """Whether any tracer serves, fully or in part."""
        return any(tracer.state in ("yes", "limited") for tracer in self.tracers)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"schema": SCHEMA, "usable": self.usable, **built}

    def to_json(self, indent: int = 2) -> str:
        """The JSON object as text, on one line when ``indent`` is 0."""
        data = msgspec.json.encode(self.to_dict())
        return (msgspec.json.format(data, indent=indent) if indent else data).decode()
