"""The loaded object: its maps, its programs, and the steps that user space asks of the kernel.

Nothing is pinned, so all of it goes with this process, however it ends. The programs are attached while there is a
session and detached when there is none. All methods are quick and not thread-safe: the tracer holds a lock.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import threading
from collections.abc import Iterable
from pathlib import Path

from straced.tracers.ebpf import btf, libbpf, perf_events, preemption, wire

PROGRAMS = ("on_switch", "on_end", "on_fork", "on_exec", "on_signal", "on_exit", "on_enter")
"""In the order they are attached, and detached in reverse: the others need what ``on_switch`` notes down."""
_SHARED = ("control", "touched", "rows", "row_memory", "row_words", "owners", "_sums")
TRACEPOINTS = {
    "on_end_tp": "sched/sched_process_exit",
    "on_fork_tp": "sched/sched_process_fork",
    "on_exec_tp": "sched/sched_process_exec",
    "on_signal_tp": "signal/signal_deliver",
    "on_exit_tp": "raw_syscalls/sys_exit",
    "on_enter_tp": "raw_syscalls/sys_enter",
}
UNPREEMPTED = ("on_switch", *TRACEPOINTS)
"""The same for kernels that preempt programs on raw tracepoints (Linux 7.0): perf's way to a tracepoint is not."""
_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_MEMBARRIER_CMD_GLOBAL = 1


def object_bytes() -> bytes:
    """The prebuilt object that ships in the package."""
    return Path(__file__).with_name("profiler.bpf.o").read_bytes()


class Engine:
    """One loaded object. Closing it takes programs and maps out of the kernel."""

    def __init__(
        self,
        elf: bytes | None = None,
        *,
        rows: int = wire.ROWS,
        owners: int = wire.OWNERS,
        user_share: float = 1.0,
        unpreempted: bool = False,
    ) -> None:
        """Load the programs and map the memory they share with us.

        Args:
            elf: the object; ``None`` for the one in the package.
            rows: the most rows of counters.
            owners: the most processes and threads.
            unpreempted: load the programs that no task can be preempted in (see :mod:`.preemption`).
            user_share: how much of both one user may have who is not root.

        Raises:
            OSError: libbpf is missing, or the kernel refused; errno says why.
        """
        self.rows_max, self.owners_max = min(rows, wire.ROWS_LIMIT), owners
        self._user_share = user_share
        self._links: list[int] = []
        self._detaching: threading.Thread | None = None
        self._programs = UNPREEMPTED if unpreempted else PROGRAMS
        self._library = libbpf.load()
        elf = object_bytes() if elf is None else elf
        try:
            wrong = wire.verify(btf.Types(btf.section(elf, ".BTF")))
        except (ValueError, LookupError, struct.error) as error:
            raise OSError(errno.EINVAL, "the eBPF object is damaged") from error
        if wrong:
            raise OSError(errno.EINVAL, "the eBPF object is of another version: " + "; ".join(wrong[:3]))
        self._object = libbpf.check_pointer(self._library.bpf_object__open_mem(elf, len(elf), None), "open")
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        library = self._library
        for name in ("rows", "free_rows", "seen"):
            library.bpf_map__set_max_entries(self._map(name), self.rows_max)
        for name in ("owners", "free_owners", "sums"):
            library.bpf_map__set_max_entries(self._map(name), self.owners_max)
        for name in {*PROGRAMS, *UNPREEMPTED} - {*self._programs}:
            libbpf.check(library.bpf_program__set_autoload(self.program(name), False), f"program {name}")
        wire.Limits.from_address(self._initial_value(".rodata")).set(self.rows_max, self.owners_max, self._user_share)
        libbpf.check(library.bpf_object__load(self._object), "load")
        shared = self._mapped(".bss", ctypes.sizeof(wire.Control))
        self.control = wire.Control.from_buffer(shared)
        self.touched = shared[wire.Control.touched.offset :][: wire.ROWS_LIMIT]
        self._serve_fd = self.program_fd("serve")
        self.rows = self._mapped("rows", self.rows_max * wire.ROW_BYTES)
        self.row_memory: mmap.mmap = self.rows.obj  # type: ignore[assignment]
        self.row_words = self.rows.cast("I")
        self.owners = self._mapped("owners", self.owners_max * wire.OWNER_BYTES)
        self._sums = self._mapped("sums", self.owners_max * wire.SUMS.size)
        self.request(wire.WHOAMI)

    def _map(self, name: str) -> int:
        found = self._library.bpf_object__find_map_by_name(self._object, name.encode())
        return libbpf.check_pointer(found, f"map {name}")

    def map_fd(self, name: str) -> int:
        """The descriptor of a map."""
        return libbpf.check(self._library.bpf_map__fd(self._map(name)), f"map {name}")

    def _initial_value(self, name: str) -> int:
        size = ctypes.c_size_t()
        pointer = self._library.bpf_map__initial_value(self._map(name), ctypes.byref(size))
        return libbpf.check_pointer(pointer, f"map {name}")

    def _mapped(self, name: str, size: int) -> memoryview:
        length = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        return memoryview(mmap.mmap(self.map_fd(name), length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))

    def program(self, name: str) -> int:
        """libbpf's handle of a program."""
        found = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        return libbpf.check_pointer(found, f"program {name}")

    def program_fd(self, name: str) -> int:
        """The descriptor of a program, for its statistics."""
        return libbpf.check(self._library.bpf_program__fd(self.program(name)), f"program {name}")

    @property
    def events_fd(self) -> int:
        """The descriptor of the ring of events."""
        return self.map_fd("events")

    # --- programs -------------------------------------------------------------------------------------

    @property
    def loaded(self) -> bool:
        """Whether the kernel has it."""
        return bool(self._object)

    @property
    def running(self) -> bool:
        """Whether the programs are attached."""
        return bool(self._links)

    def start(self) -> None:
        """Attach the programs: from here on every call on the machine passes them."""
        if self._links:
            return
        self.control.epoch += 1
        try:
            for name in self._programs:
                self._links.append(self._attach(name))
        except OSError:
            self.stop()
            raise

    def _attach(self, name: str) -> int:
        if name not in TRACEPOINTS:
            return libbpf.check_pointer(self._library.bpf_program__attach(self.program(name)), f"attach {name}")
        numbers = perf_events.numbers(tuple(TRACEPOINTS.values()))
        fd = perf_events.open_tracepoint(numbers[TRACEPOINTS[name]])
        try:
            link = self._library.bpf_program__attach_perf_event(self.program(name), fd)
            return libbpf.check_pointer(link, f"attach {name}")  # the link closes the event
        except OSError:
            os.close(fd)
            raise

    def stop(self) -> None:
        """Detach the programs: nobody pays any more."""
        links, self._links = self._links, []
        if self._programs is PROGRAMS or not links:
            self._destroy(links)
            return
        # perf waits for all CPUs at the end of each event, half a second in all: nobody is to wait for that
        self._detaching = threading.Thread(target=self._destroy, args=(links,), name="straced-detach", daemon=True)
        self._detaching.start()

    def _destroy(self, links: list[int]) -> None:
        while links:
            self._library.bpf_link__destroy(links.pop())

    def misses(self) -> dict[str, int]:
        """How often the kernel skipped each of the programs since the load, by the program's name in ``PROGRAMS``."""
        found = {}
        for name in self._programs:
            info = libbpf.ProgramInfo()
            size = ctypes.c_uint32(ctypes.sizeof(info))
            fd = self.program_fd(name)
            if self._library.bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)) == 0:
                found[name.removesuffix("_tp")] = int(info.recursion_misses)
        return found

    def close(self) -> None:
        """Give everything back to the kernel. Idempotent."""
        self.stop()
        if self._detaching is not None:
            self._detaching.join()
        if self._object:
            self._library.bpf_object__close(self._object)
            self._object = 0
        for name in _SHARED:  # memory that is mapped is not given back, whoever still holds the engine
            self.__dict__.pop(name, None)

    # --- requests -------------------------------------------------------------------------------------

    def request(self, op: int, owner: int = 0, payer: int = 0) -> int:
        """Let ``serve`` do one step that must be atomic, and return its result."""
        arguments = (ctypes.c_uint64 * 3)(op, owner, payer)
        options = libbpf.TestRunOptions(sz=ctypes.sizeof(libbpf.TestRunOptions))
        options.ctx_in = ctypes.addressof(arguments)
        options.ctx_size_in = ctypes.sizeof(arguments)
        libbpf.check(self._library.bpf_prog_test_run_opts(self._serve_fd, ctypes.byref(options)), "serve")
        return int(options.retval)

    def hold(self) -> None:
        """Until :meth:`resume`, no rows are handed from one owner to another."""
        while self.request(wire.HOLD):
            pass

    def barrier(self) -> None:
        """What was written before is seen by the programs, and what they wrote till then by what is read after.

        Within :meth:`hold`, whose atomic steps are done once more: our own language has none.
        """
        self.request(wire.HOLD)

    def resume(self) -> None:
        """End :meth:`hold`."""
        self.request(wire.RESUME)

    def sums(self) -> bytes:
        """All rows of each owner together, by owner; within :meth:`hold`. Others get no sums while these are read."""
        used = (self.control.next_owner + 1) * wire.SUMS.size
        self._sums[:used] = bytes(used)
        self.request(wire.SUM)
        return bytes(self._sums[:used])

    def owner(self, index: int) -> wire.Owner:
        """The owner at an index, in shared memory."""
        return wire.Owner.from_buffer(self.owners, index * wire.OWNER_BYTES)

    def new_owner(self, payer: int = 0) -> int:
        """A free owner, blank: the kernel leaves what a process that ended in it had noted down.

        Args:
            payer: in whose share; see :func:`wire.payer_of`.

        Raises:
            OSError: ENOSPC.
        """
        index = self.request(wire.NEW_OWNER, payer=payer)
        if not index:
            raise OSError(errno.ENOSPC, "too many processes are traced, or too many of this user")
        self.owners[index * wire.OWNER_BYTES : (index + 1) * wire.OWNER_BYTES] = bytes(wire.OWNER_BYTES)
        self.owner(index).payer = payer
        return index

    # --- giving back ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until no program runs that began before (membarrier(2): the global one is an RCU grace period)."""
        number = _MEMBARRIER.get(os.uname().machine)
        if number is not None:
            ctypes.CDLL(None, use_errno=True).syscall(number, _MEMBARRIER_CMD_GLOBAL, 0, 0)

    def recycle(self, rows: Iterable[int], owners: Iterable[int]) -> None:
        """Wipe rows and owners that nobody uses any more, and let the kernel have them again."""
        for index in rows:
            self.request(wire.GIVE_ROW, index)
        blank = bytes(wire.OWNER_BYTES)
        for index in owners:
            payer = int(self.owner(index).payer)
            self.owners[index * wire.OWNER_BYTES : (index + 1) * wire.OWNER_BYTES] = blank
            self.request(wire.GIVE_OWNER, index, payer)


def suited_engine(*, rows: int = wire.ROWS, owners: int = wire.OWNERS, user_share: float = 1.0) -> Engine:
    """Load the set of programs that suits this kernel.

    Raises:
        OSError: as :class:`Engine`.
    """
    if preemption.programs_are_preempted():
        engine = Engine(rows=rows, owners=owners, user_share=user_share, unpreempted=True)
        try:
            engine.start()
        except OSError:  # no tracefs that we may read: what the kernel skips of the others is counted, and said
            engine.close()
        else:
            engine.stop()
            return engine
    return Engine(rows=rows, owners=owners, user_share=user_share)
