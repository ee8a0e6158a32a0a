"""From a snapshot of everything to the sample of one session."""

from __future__ import annotations

import msgspec

from straced.model.files import FileTable
from straced.model.slow import SlowCalls
from straced.model.types import Reason, Sample
from straced.model.uring import UringTable
from straced.text.units import count_of
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.reader import SnapshotPart


class Losses(msgspec.Struct, frozen=True):
    """What the whole engine could not count so far."""

    folds: int
    tasks: int
    errnos: int
    shared: int
    enters: int
    """Enters of calls that the kernel skipped the program for and that were not made good when the call returned."""
    exits: int
    """Exits likewise, not noticed at the next call of the task."""
    others: int
    """How often another program was skipped."""
    skipped: int
    """How often any program was skipped."""

    @classmethod
    def of(cls, engine: Engine) -> Losses:
        """The counters as they stand now."""
        control, misses = engine.control, engine.misses()
        enters, exits = misses.get("on_enter", 0), misses.get("on_exit", 0)
        return cls(
            folds=control.lost_folds,
            tasks=control.lost_tasks,
            errnos=control.lost_errnos,
            shared=control.shared_owners,
            enters=max(0, enters - control.skipped_enters),
            exits=max(0, exits - control.skipped_exits),
            others=sum(misses.values()) - enters - exits,
            skipped=sum(misses.values()),
        )

    def since(self, earlier: Losses) -> Losses:
        """What came on top of an earlier state."""
        if self == earlier:
            return _NONE
        return Losses(*(getattr(self, name) - getattr(earlier, name) for name in self.__struct_fields__))

    @property
    def unseen(self) -> int:
        """The most calls that may be missing: only a call of which both ends were skipped leaves nothing."""
        return max(0, min(self.enters, self.exits)) + self.others


_NONE = Losses(0, 0, 0, 0, 0, 0, 0, 0)


def build(
    part: SnapshotPart,
    losses: Losses,
    *,
    monotonic_ns: int,
    epoch_s: float,
    reasons: tuple[Reason, ...] = (),
    slow: SlowCalls | None = None,
    files: FileTable | None = None,
    io_uring: UringTable | None = None,
) -> Sample:
    """The sample of a session: its rows, and what is known to be missing."""
    lost, doubts = _doubts(part.lost, losses)
    totals = part.session
    if totals.flags & wire.SESSION_LOST_USER:
        text = "a process took other rights or hid itself: what it did from there on is not yours to see"
        reasons = (*reasons, Reason("changed_user", text))
    if losses.skipped and not losses.unseen:
        text = (
            f"the kernel skipped a program {count_of(losses.skipped, 'time')}: calls seen at one end only have no time"
        )
        text += ", or no errno"
        reasons = (*reasons, Reason("programs_skipped", text))
    return Sample(
        monotonic_ns=monotonic_ns,
        epoch_s=epoch_s,
        rows=part.rows,
        processes=totals.processes,
        threads=totals.threads,
        lost=lost,
        reasons=(*reasons, *doubts),
        kind="lossy" if doubts else "partial" if reasons else "exact",
        slow=slow,
        files=files,
        io_uring=io_uring,
    )


def _doubts(full: int, losses: Losses) -> tuple[int | None, list[Reason]]:
    """The number of lost calls, ``None`` where that is not known, and why."""
    reasons = []
    if full or losses.folds:
        reasons.append(
            Reason("rows_full", f"{count_of(full + losses.folds, 'call')} found no room in the kernel's memory")
        )
    if losses.unseen:
        reasons.append(
            Reason("programs_skipped", f"the kernel skipped the programs {count_of(losses.skipped, 'time')}")
        )
    if losses.errnos:
        reasons.append(Reason("errnos_full", f"{count_of(losses.errnos, 'error')} could not be told apart"))
    if losses.tasks:
        reasons.append(
            Reason(
                "tasks_unfollowed",
                f"{count_of(losses.tasks, 'thread or process', 'threads or processes')} could not be followed",
            )
        )
        return None, reasons
    return full + losses.folds + losses.unseen, reasons
