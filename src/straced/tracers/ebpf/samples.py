"""From a snapshot of everything to the sample of one session."""

from __future__ import annotations

import msgspec

from straced.model import Reason, Sample
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.reader import Part


class Losses(msgspec.Struct, frozen=True):
    """What the whole engine could not count so far."""

    folds: int
    tasks: int
    errnos: int
    misses: int
    shared: int

    @classmethod
    def of(cls, engine: Engine) -> Losses:
        """The counters as they stand now."""
        control = engine.control
        return cls(
            folds=control.lost_folds,
            tasks=control.lost_tasks,
            errnos=control.lost_errnos,
            misses=engine.misses(),
            shared=control.shared_owners,
        )

    def since(self, earlier: Losses) -> Losses:
        """What came on top of an earlier state."""
        if self == earlier:
            return _NONE
        return Losses(*(getattr(self, name) - getattr(earlier, name) for name in self.__struct_fields__))


_NONE = Losses(0, 0, 0, 0, 0)


def build(part: Part, losses: Losses, *, monotonic_ns: int, epoch_s: float, reasons: tuple[Reason, ...] = ()) -> Sample:
    """The sample of a session: its rows, and what is known to be missing."""
    lost, doubts = _doubts(part.lost, losses)
    totals = part.session
    if totals.flags & wire.SESSION_LOST_USER:
        text = "a process changed its user by execve: what it did from there on is not yours to see"
        reasons = (*reasons, Reason("changed_user", text))
    return Sample(
        monotonic_ns=monotonic_ns,
        epoch_s=epoch_s,
        rows=part.rows,
        processes=totals.processes,
        threads=totals.threads,
        lost=lost,
        reasons=(*reasons, *doubts),
        kind="lossy" if doubts else "partial" if reasons else "exact",
    )


def _doubts(full: int, losses: Losses) -> tuple[int | None, list[Reason]]:
    """The number of lost calls, ``None`` where that is not known, and why."""
    reasons = []
    if full or losses.folds:
        reasons.append(Reason("rows_full", f"{full + losses.folds} calls found no room in the kernel's memory"))
    if losses.misses:
        reasons.append(Reason("programs_skipped", f"the kernel skipped the programs {losses.misses} times"))
    if losses.errnos:
        reasons.append(Reason("errnos_full", f"{losses.errnos} errors could not be told apart"))
    if losses.tasks:
        reasons.append(Reason("tasks_unfollowed", f"{losses.tasks} threads or processes could not be followed"))
        return None, reasons
    return full + losses.folds + losses.misses, reasons
