"""Requests of io_uring of one session, from their submission to their completion.

A small object of its own, loaded only by who asks for it; programs that count are not touched.
"""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

from straced.model.files import p99
from straced.model.uring import UringTable, UringUse, name_of, table_of
from straced.tracers.ebpf import btf, libbpf, libbpf_log, shared_memory, wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.errnos import errno_name
from straced.tracers.ebpf.uring_wire import LAYOUTS, OPERATIONS, WireUringRow, WireUringState

KERNEL_TYPES = Path("/sys/kernel/btf/vmlinux")
DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
SUBMITTED = ("io_uring_submit_req", "io_uring_submit_sqe")
"""What the tracepoint of a submission is called; the second one before Linux 6.4."""
OTHERS = ("io_uring_req_failed", "io_uring_complete", "io_uring_fail_link", "io_uring_cqe_overflow")
PROGRAMS = ("on_complete", "on_submit", "on_refused", "on_unlink", "on_overflow")
"""In the order they are attached: no completion is missed of what is submitted."""
_ROW = ctypes.sizeof(WireUringRow)
_LOOKS = 4


class UringWatch:
    """Counts from :meth:`start` to :meth:`close`. Where the kernel cannot be asked, it says so in its table."""

    def __init__(self, engine: Engine) -> None:
        """Load the programs; no request passes them yet.

        Args:
            engine: whose marks tell which task is whose.
        """
        self._library = libbpf.load()
        self._object = 0
        self._links: list[int] = []
        self._last: UringTable | None = None
        self._problem = ""
        try:
            self._load(engine)
        except (OSError, LookupError, ValueError) as error:
            self._give_up(error)

    def _load(self, engine: Engine) -> None:
        submitted = _tracepoint()
        if submitted is None:
            self._problem = "this kernel has no io_uring, or no tracepoints that tell its requests"
            return
        elf = Path(__file__).with_name("uring.bpf.o").read_bytes()
        if wrong := wire.verify(btf.Types(btf.section(elf, ".BTF")), LAYOUTS):
            raise OSError(errno.EINVAL, "the eBPF object is of another version: " + "; ".join(wrong[:3]))
        library = self._library
        with libbpf_log.expecting_refusal():
            self._object = libbpf.check_pointer(library.bpf_object__open_mem(elf, len(elf), None), "open")
            for name in ("tasks", "owners"):
                libbpf.check(library.bpf_map__reuse_fd(self._map(name), engine.map_fd(name)), f"map {name}")
            target = library.bpf_program__set_attach_target(self._program("on_submit"), 0, submitted.encode())
            libbpf.check(target, "on_submit")
            libbpf.load_object(self._object)
        memory = shared_memory.of(self._fd("operations"), OPERATIONS * _ROW)
        self._rows = memoryview(memory).cast("B")
        state = shared_memory.of(self._fd(".bss"), ctypes.sizeof(WireUringState))
        self._state = WireUringState.from_buffer(state)

    def _map(self, name: str) -> int:
        found = self._library.bpf_object__find_map_by_name(self._object, name.encode())
        return libbpf.check_pointer(found, f"map {name}")

    def _fd(self, name: str) -> int:
        return libbpf.check(self._library.bpf_map__fd(self._map(name)), f"map {name}")

    def _program(self, name: str) -> int:
        found = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        return libbpf.check_pointer(found, f"program {name}")

    def start(self, session: int) -> None:
        """Count the requests of the tasks of a session from now on.

        Args:
            session: its place among the owners of the engine.
        """
        if not self._object:
            return
        self._state.session = session
        try:
            for name in PROGRAMS:
                link = self._library.bpf_program__attach(self._program(name))
                self._links.append(libbpf.check_pointer(link, f"attach {name}"))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._unload()
        self._problem = f"the kernel does not let its requests be counted ({error})"

    def state(self) -> UringTable:
        """All of the session so far; after :meth:`close`, the last of it."""
        if self._last is not None:
            return self._last
        if not self._object:
            return UringTable(rows=None, problems=(self._problem,), note=_note())
        memory = self._read()
        rows = [WireUringRow.from_buffer_copy(memory, code * _ROW) for code in range(OPERATIONS)]
        skipped = self._skipped()
        overflowed, unplaced = int(self._state.overflowed), int(self._state.unplaced)
        unseen = sum(row.unseen + row.untracked for row in rows)
        missed = bool(overflowed or skipped)
        found = [_use(code, row, missed=missed) for code, row in enumerate(rows) if row.submitted]
        problems = [
            (overflowed, "{} completions found their queue full: they may be missing"),
            (unseen, "how {} requests ended was not seen"),
            (unplaced, "of {} requests only the last completion is counted"),
            (skipped, "the kernel skipped the programs {} times: so many submissions or completions may be missing"),
        ]
        return table_of(found, [text.format(f"{number:,}") for number, text in problems if number], _note())

    def _read(self) -> bytes:
        """The rows; of one moment, unless requests keep coming."""
        memory = bytes(self._rows)
        for _ in range(_LOOKS):
            before, memory = memory, bytes(self._rows)
            if memory == before:
                break
        return memory

    def _skipped(self) -> int:
        """How often the kernel skipped one of the programs."""
        found = 0
        for name in PROGRAMS:
            info, fd = libbpf.ProgramInfo(), self._library.bpf_program__fd(self._program(name))
            size = ctypes.c_uint32(ctypes.sizeof(info))
            if self._library.bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)) == 0:
                found += int(info.recursion_misses)
        return found

    def close(self) -> None:
        """Detach and unload. Idempotent."""
        self._last = self.state()
        self._unload()

    def _unload(self) -> None:
        while self._links:
            self._library.bpf_link__destroy(self._links.pop())
        if self._object:
            self._library.bpf_object__close(self._object)
        self._object = 0
        for name in ("_rows", "_state"):
            self.__dict__.pop(name, None)


def _tracepoint() -> str | None:
    """The tracepoint of a submission; ``None`` where this kernel lacks one that is needed."""
    types = KERNEL_TYPES.read_bytes()
    if not all(_is_named(types, name) for name in OTHERS):
        return None
    return next((name for name in SUBMITTED if _is_named(types, name)), None)


def _is_named(types: bytes, tracepoint: str) -> bool:
    return b"\0btf_trace_%s\0" % tracepoint.encode() in types


def _note() -> str:
    """What sysctl says, where it says something (Linux 6.6)."""
    try:
        value = DISABLED.read_text().strip()
    except OSError:
        return ""
    who = {"1": "only who has CAP_SYS_ADMIN or is of kernel.io_uring_group", "2": "nobody"}.get(value)
    return f"kernel.io_uring_disabled is {value}: {who} may make new rings" if who else ""


def _use(code: int, row: WireUringRow, *, missed: bool) -> UringUse:
    unseen = int(row.unseen + row.untracked)
    silent = int(row.silent)
    left = int(row.submitted) - int(row.completed) - silent - unseen
    return UringUse(
        name=name_of(code),
        requests=row.submitted,
        completed=row.completed,
        errors=row.errors,
        errno=errno_name(int(row.error)) if row.errors else None,
        silent=silent,
        unseen=unseen,
        in_flight=None if missed else max(0, left),
        more=row.more,
        wall_ns=row.wall_ns,
        max_ns=row.max_ns if row.completed else None,
        p99_ns=p99(tuple(row.histogram), row.max_ns),
    )
