"""The loaded object: its maps, its programs, and the steps that user space asks of the kernel.

Nothing is pinned, so all of it goes with this process, however it ends. The programs are attached while there is a
session and detached when there is none. All methods are quick and not thread-safe: the tracer holds a lock.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import sys
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from straced.tracers.ebpf import btf, libbpf, shared_memory, wire
from straced.tracers.ebpf.attaching import PROGRAMS, UNPREEMPTED, Links

_SHARED = ("control", "touched", "rows", "row_memory", "row_words", "row_longs", "owners", "_sums")
_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_MEMBARRIER_CMD_GLOBAL = 1


def object_bytes() -> bytes:
    """The prebuilt object that ships in the package."""
    return Path(__file__).with_name("profiler.bpf.o").read_bytes()


class Engine:
    """One loaded object. Closing it takes programs and maps out of the kernel."""

    layouts: ClassVar[Mapping[str, type[ctypes.Structure]]] = wire.LAYOUTS
    """What of the object is compared with its own BTF."""
    tells_details: ClassVar[bool] = False
    """Whether it tells calls over a limit, besides counting."""
    tells_files: ClassVar[bool] = False
    """Whether it adds calls up by file and peer, too."""

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
        self._process = os.getpid()
        self._object = 0
        self.requests = 0
        """Requests made, each of them one call of bpf(2)."""
        self.rows_max, self.owners_max = min(rows, wire.ROWS_LIMIT), owners
        self._user_share = user_share
        self._library = libbpf.load()
        self._links = Links(
            self._library, functools.partial(_program_of, weakref.ref(self)), UNPREEMPTED if unpreempted else PROGRAMS
        )
        elf = object_bytes() if elf is None else elf
        try:
            wrong = wire.verify(btf.Types(btf.section(elf, ".BTF")), self.layouts)
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
        for name in {*PROGRAMS, *UNPREEMPTED} - {*self._links.programs}:
            libbpf.check(library.bpf_program__set_autoload(self.program(name), False), f"program {name}")
        wire.Limits.from_address(self._initial_value(".rodata")).set(self.rows_max, self.owners_max, self._user_share)
        self._configure()
        libbpf.load_object(self._object)
        shared = self._mapped(".bss", ctypes.sizeof(wire.Control))
        self.control = wire.Control.from_buffer(shared)
        self.touched = shared[wire.Control.touched.offset :][: wire.ROWS_LIMIT]
        self._serve_fd = self.program_fd("serve")
        self.rows = self._mapped("rows", self.rows_max * wire.ROW_BYTES)
        self.row_memory: shared_memory.MappedBytes = self.rows.obj  # type: ignore[assignment]
        self.row_words, self.row_longs = self.rows.cast("I"), self.rows.cast("Q")
        self.owners = self._mapped("owners", self.owners_max * wire.OWNER_BYTES)
        self._sums = self._mapped("sums", self.owners_max * wire.SUMS.size)
        self.request(wire.WHOAMI)

    def _configure(self) -> None:
        """What is to be set before the load, besides."""

    @property
    def _loaded(self) -> int:
        if not self._object:  # libbpf would look at address 0, and take the process with it
            raise OSError(errno.EBADF, "the eBPF programs were unloaded")
        return self._object

    def _map(self, name: str) -> int:
        found = self._library.bpf_object__find_map_by_name(self._loaded, name.encode())
        return libbpf.check_pointer(found, f"map {name}")

    def map_fd(self, name: str) -> int:
        """The descriptor of a map."""
        return libbpf.check(self._library.bpf_map__fd(self._map(name)), f"map {name}")

    def _initial_value(self, name: str) -> int:
        size = ctypes.c_size_t()
        pointer = self._library.bpf_map__initial_value(self._map(name), ctypes.byref(size))
        return libbpf.check_pointer(pointer, f"map {name}")

    def _mapped(self, name: str, size: int) -> memoryview:
        return memoryview(shared_memory.of(self.map_fd(name), size)).cast("B")

    def program(self, name: str) -> int:
        """libbpf's handle of a program."""
        found = self._library.bpf_object__find_program_by_name(self._loaded, name.encode())
        return libbpf.check_pointer(found, f"program {name}")

    def iterated(self, name: str) -> bytes:
        """What a program writes that the kernel runs once for each task."""
        library = self._library
        link = libbpf.check_pointer(library.bpf_program__attach_iter(self.program(name), None), f"iterate {name}")
        try:
            fd = libbpf.check(library.bpf_iter_create(library.bpf_link__fd(link)), name)
            try:
                return b"".join(iter(functools.partial(os.read, fd, 1 << 16), b""))
            finally:
                os.close(fd)
        finally:
            library.bpf_link__destroy(link)

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
        return self._links.attached

    def start(self) -> None:
        """Attach the programs: from here on every call on the machine passes them."""
        if not self._links.attached:
            self.control.epoch += 1
            self._links.attach()

    def stop(self) -> None:
        """Detach the programs: nobody pays any more."""
        self._links.detach()

    def misses(self) -> dict[str, int]:
        """How often the kernel skipped each of the programs since the load, by the program's name in ``PROGRAMS``."""
        found = {}
        for name in self._links.programs:
            info = libbpf.ProgramInfo()
            size = ctypes.c_uint32(ctypes.sizeof(info))
            fd = self.program_fd(name)
            if self._library.bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)) == 0:
                found[name.removesuffix("_tp")] = int(info.recursion_misses)
        return found

    def close(self) -> None:
        """Give everything back to the kernel. Idempotent; not for an event loop: it may take a third of a second."""
        self.stop()
        self._links.wait()
        if self._object:
            self._library.bpf_object__close(self._object)
            self._object = 0
        for name in _SHARED:  # memory that is mapped is not given back, whoever still holds the engine
            self.__dict__.pop(name, None)

    def __del__(self) -> None:
        """Whoever drops it gives it back all the same; a forked copy leaves the original's alone."""
        if self.mine and not sys.is_finalizing():
            self.close()

    @property
    def mine(self) -> bool:
        """False in a forked copy."""
        return os.getpid() == self._process

    # --- requests -------------------------------------------------------------------------------------

    def request(self, op: int, owner: int = 0, payer: int = 0) -> int:
        """Let ``serve`` do one step that must be atomic, and return its result."""
        return self._run(self._serve_fd, op, owner, payer)

    def _run(self, program_fd: int, *values: int) -> int:
        arguments = (ctypes.c_uint64 * 3)(*values)
        options = libbpf.TestRunOptions(sz=ctypes.sizeof(libbpf.TestRunOptions))
        options.ctx_in = ctypes.addressof(arguments)
        options.ctx_size_in = ctypes.sizeof(arguments)
        self.requests += 1
        libbpf.check(self._library.bpf_prog_test_run_opts(program_fd, ctypes.byref(options)), "run")
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

    def owner(self, index: int) -> wire.RowOwner:
        """The owner at an index, in shared memory."""
        return wire.RowOwner.from_buffer(self.owners, index * wire.OWNER_BYTES)

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


def _program_of(engine: weakref.ref[Engine], name: str) -> int:
    """For what the engine owns itself, so that both go without a collection of cycles."""
    found = engine()
    assert found is not None
    return found.program(name)
