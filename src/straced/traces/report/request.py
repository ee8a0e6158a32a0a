"""Which trace a report is made of: a value that the command line, the comparison and the exports share."""

from __future__ import annotations

from msgspec import Struct

from straced.traces.parsing.selection import TraceSelection


class ReportRequest(Struct, frozen=True, kw_only=True):
    """A trace to read, and how much of it."""

    file: str
    """The path of the trace, the prefix of ``strace -ff`` files, or ``-`` for standard input."""
    name: str | None = None
    """The name of the trace in the report; ``None``: that of the file."""
    notes: tuple[str, ...] = ()
    """What is already known to be wrong with the trace."""
    damage: tuple[str, ...] = ()
    """What of it is not as it was written, by a checksum."""
    selection: TraceSelection = TraceSelection()
    """The lines to keep, already checked (:meth:`TraceSelection.check`)."""
    counts_only: bool = False
    """Whether paths, descriptors and processes are left out."""
    jobs: int | None = None
    """Processes to read with; ``None``: one for each core."""
    redacted: bool = False
    """Whether secrets are taken out before anything else is made of the trace."""
    host: str | None = None
    """The machine that the trace was recorded on, for Parquet; ``None``: this one."""
