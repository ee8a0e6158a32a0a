"""The object that records: it counts as the other does, and writes each call into a ring of its CPU besides."""

from __future__ import annotations

import ctypes
from pathlib import Path

from msgspec import Struct

from straced.errors import InvalidArgument
from straced.linux.host_reader import memory_available
from straced.records.plans import CallPlan, plan_in
from straced.records.values import NUMBERS, BlobKind
from straced.syscalls import names
from straced.text.units import count_of, format_bytes
from straced.tracers.ebpf import libbpf, record_wire, wire
from straced.tracers.ebpf.engine import Engine

RING_BYTES = 8 << 20
"""Of each CPU, where there are not many."""
_RINGS_BYTES = 256 << 20
"""Of all CPUs together."""
LEAST = 2 * record_wire.PART
_MEMORY_SHARE = 2
_SHARED = ("_rings", "ring_memory", "fates", "_state", "_tallies")


class RecordFilter(Struct, frozen=True, kw_only=True):
    """Which calls are recorded; the others are counted, and counted as filtered."""

    calls: frozenset[str] | None = None
    """By name, in whatever ABI; ``None`` for all."""
    failed_only: bool = False
    slower_ns: int = 0
    """Only calls that took at least so long."""


class RecordEngine(Engine):
    """One loaded object that records.

    Args:
        wanted: which calls.
        ring_bytes: of each CPU, rounded to a power of two; 8 MiB, or less on many CPUs.
        one_user: nothing is recorded of what is not the user's of its session.
        unpreempted: as of :class:`Engine`.
        user_share: as of :class:`Engine`.

    Raises:
        OSError: libbpf is missing, or the kernel refused; errno says why.
    """

    layouts = record_wire.LAYOUTS

    def __init__(
        self,
        wanted: RecordFilter,
        *,
        ring_bytes: int | None = None,
        one_user: bool = False,
        unpreempted: bool = False,
        user_share: float = 1.0,
    ) -> None:
        self._wanted = wanted
        self.cpus = cpu_count()
        self.ring_bytes = ring_size(ring_bytes, self.cpus)
        elf = Path(__file__).with_name("recorder_user.bpf.o" if one_user else "recorder.bpf.o").read_bytes()
        super().__init__(elf, unpreempted=unpreempted, user_share=user_share)

    def _configure(self) -> None:
        library = self._library
        for name in ("rings", "ring_memory"):
            libbpf.check(library.bpf_map__set_max_entries(self._map(name), self.cpus), f"map {name}")
        size = self.ring_bytes + record_wire.SLACK
        libbpf.check(library.bpf_map__set_value_size(self._map("ring_memory"), size), "map ring_memory")
        config = record_wire.RecordingConfig.from_address(self._initial_value(".rodata.recording"))
        self._configure_recording(config)
        config.ring_bytes = self.ring_bytes
        config.failed_only, config.slower_ns = self._wanted.failed_only, self._wanted.slower_ns

    def _configure_recording(self, config: record_wire.RecordingConfig) -> None:
        """What is set before the load, besides."""

    def _load(self) -> None:
        super()._load()
        self._drain_fd = self.program_fd("drain")
        self._rings = self._mapped("rings", self.cpus * ctypes.sizeof(record_wire.Ring))
        self.ring_memory = self._mapped("ring_memory", self.cpus * (self.ring_bytes + record_wire.SLACK))
        self.fates = self._mapped("fates", record_wire.PLACES * ctypes.sizeof(record_wire.WireFate))
        self._state = self._mapped(".data.recording", ctypes.sizeof(record_wire.RecordingState))
        self._mapped("plans", record_wire.PLACES * ctypes.sizeof(record_wire.WirePlan))[:] = plans(self._wanted.calls)

    def close(self) -> None:
        """Give everything back to the kernel. Idempotent."""
        super().close()
        for name in _SHARED:
            self.__dict__.pop(name, None)

    def ring(self, cpu: int) -> record_wire.Ring:
        """The positions of a CPU's ring, in shared memory."""
        return record_wire.Ring.from_buffer(self._rings, cpu * ctypes.sizeof(record_wire.Ring))

    def drain(self, cpu: int, tail: int) -> int:
        """Tell up to where a ring has been copied; returns up to where it may be copied now. Orders all three."""
        self._run(self._drain_fd, cpu, tail, 0)
        return int(self.ring(cpu).ready)

    def begin_with_gate(self) -> None:
        """Leave out the call in which the target is now: it is a gate's, and no program's."""
        record_wire.RecordingState.from_buffer(self._state).gated = 1

    def close_recording(self) -> None:
        """Count and record nothing more; what is in flight stays as it is, for :meth:`starts`."""
        record_wire.RecordingState.from_buffer(self._state).closed = 1
        self.settle()

    def starts(self) -> bytes:
        """A START record for each call in flight, once the recording is closed."""
        found = [self.inside()]
        self.settle()  # what was between a CPU and its task in the first pass has arrived
        found.append(self.inside())
        return b"".join(found)

    def inside(self) -> bytes:
        """A START record for each call in flight that the one pass sees; each once where the recording is closed."""
        return self.iterated("tell")

    def all_fates(self) -> list[int]:
        """Of all places, filtered and lost in turns."""
        return self.fates[: record_wire.PLACES * ctypes.sizeof(record_wire.WireFate)].cast("Q").tolist()

    def fate(self, place: int) -> tuple[int, int]:
        """How many calls of a place were filtered, and how many lost."""
        fate = record_wire.WireFate.from_buffer(self.fates, place * ctypes.sizeof(record_wire.WireFate))
        return int(fate.filtered), int(fate.lost)


def cpu_count() -> int:
    """One more than the highest number of a CPU that is online; what comes later has no ring: its calls are lost."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        return int(file.read().strip().replace("-", ",").split(",")[-1]) + 1


def ring_size(wanted: int | None, cpus: int) -> int:
    """Of one CPU, in bytes."""
    size = min(RING_BYTES, _RINGS_BYTES // cpus) if wanted is None else wanted
    size = max(LEAST, min(size, record_wire.RING_MOST))
    return 1 << (size.bit_length() - 1)


def check_ring(ring_bytes: int | None, least: int = LEAST) -> None:
    """Refuse rings that cannot be.

    Args:
        ring_bytes: of each CPU; ``None`` for what is usual, which always can be.
        least: what the kind of recording needs.

    Raises:
        InvalidArgument: too small, too large, or more than the machine has room for.
    """
    if ring_bytes is None:
        return
    most = record_wire.RING_MOST
    if not least <= ring_bytes <= most:
        size = f"{format_bytes(ring_bytes)} is no size of a ring"
        raise InvalidArgument(size, hint=f"{format_bytes(least)} to {format_bytes(most)} a CPU")
    free, wanted = memory_available(), ring_bytes * cpu_count()
    if free is not None and wanted > free // _MEMORY_SHARE:
        raise InvalidArgument(
            f"rings of {format_bytes(ring_bytes)} take {format_bytes(wanted)} on {count_of(cpu_count(), 'CPU')}, and "
            f"{format_bytes(free)} of memory are free",
            hint="at most half of that: smaller rings",
        )


def plans(wanted: frozenset[str] | None) -> bytes:
    """The plan of each place."""
    plans = (record_wire.WirePlan * record_wire.PLACES)()
    for number, abi in enumerate(wire.ABIS):
        table = names(abi) if abi else {}
        for nr in range(NUMBERS):
            real = nr | wire.X32_SYSCALL_BIT if abi == "x32" else nr
            name = table.get(real, f"syscall_{real:#x}")
            _fill(plans[number * NUMBERS + nr], name, plan_in(name, abi), wanted is None or name in wanted)
    return bytes(plans)


def _fill(entry: record_wire.WirePlan, name: str, plan: CallPlan, wanted: bool) -> None:
    entry.nargs = plan.nargs
    entry.flags = record_wire.PLAN_WANTED * wanted | record_wire.PLAN_EXEC * (name in ("execve", "execveat"))
    given = any(capture.kind == BlobKind.GIVEN for capture in plan.captures)
    entry.flags |= record_wire.PLAN_GIVEN * (wanted and given)
    for place, capture in zip(entry.captures, plan.captures, strict=False):
        place.argument, place.kind, place.bytes = capture.argument, capture.kind, capture.bytes
        place.sized = capture.sized
