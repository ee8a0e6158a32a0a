"""The state of the ordered pass in the native core: its handle, and its sums as the Python reader has them."""

from __future__ import annotations

import ctypes
import os

from straced.traces.analysis import file_stats, idle_calls, lock_waits, roles
from straced.traces.analysis.fd_table import DescriptorTable
from straced.traces.analysis.file_stats import FileRows, PathStats
from straced.traces.analysis.idle_calls import IdleCalls
from straced.traces.analysis.lock_waits import LockWaits
from straced.traces.native.library import NativeLibrary, check, flags_of
from straced.traces.native.packed import NativeSums
from straced.traces.parsing.line_format import Form


class OrderedCore:
    """One pass in the core. It is freed when nobody uses it, or a table of it, any longer."""

    def __init__(self, library: NativeLibrary, form: Form) -> None:
        self.library = library
        flags = (ctypes.c_int32 * 6)(*flags_of(form))
        limits = (ctypes.c_uint64 * 4)(
            file_stats.MOST_PATHS, file_stats.MOST_OF_EACH, lock_waits.MOST_LOCKS, idle_calls.MOST
        )
        self.handle: int | None = library.ordered_new(flags, limits, int.from_bytes(os.urandom(8), "little"))
        if self.handle is None:
            raise MemoryError("the reader of the trace ran out of memory")
        for name, role in roles.ROLE_OF.items():
            check(library.ordered_role(self.handle, name.encode(), len(name), role))
        self.taken_over: tuple[DescriptorTable, DescriptorTable] | None = None
        """The last table that was made in Python, and what stands for it here: several tasks may share it."""

    def __del__(self) -> None:
        if getattr(self, "handle", None) is not None:
            self.taken_over = None
            self.library.ordered_free(self.handle)

    def sums(self) -> NativeSums:
        """Return all sums."""
        place = ctypes.c_void_p()
        length = check(self.library.ordered_sums(self.handle, ctypes.byref(place)))
        return NativeSums(ctypes.string_at(place, length) if length else b"")


class NativeFiles(FileRows):
    """The sums of paths, in the core until :func:`take_sums`."""

    def __init__(self, core: OrderedCore) -> None:
        super().__init__()
        self._core = core

    def _add(
        self, kind: int, path: bytes, name: str, size: int, errno: bytes | None, ns: int | None, line: int
    ) -> None:
        code = None if errno is None or errno == b"?" else errno
        check(
            self._core.library.ordered_use(
                self._core.handle, kind, path, len(path), name.encode(), len(name), code, len(code or b""),
                errno is None, size, self.pid, _told(ns), _told(None if ns is None else self.waiting_ns), line,
            )
        )  # fmt: skip

    def use(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> None:  # type: ignore[override]
        self._add(0, path, name, 0, errno, ns, line)

    def opened(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> None:
        self._add(1, path, name, 0, errno, ns, line)

    def transfer(
        self, path: bytes, name: str, size: int, out: bool, errno: bytes | None, ns: int | None, line: int
    ) -> None:
        self._add(3 if out else 2, path, name, size, errno, ns, line)

    def sync(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> None:
        self._add(4, path, name, 0, errno, ns, line)


class NativeLocks(LockWaits):
    """Waits for locks, in the core until :func:`take_sums`."""

    def __init__(self, core: OrderedCore) -> None:
        super().__init__()
        self._core = core

    def add(self, pid: int, what: bytes, ns: int | None, waiting_ns: int | None, line: int) -> None:
        library, handle = self._core.library, self._core.handle
        check(library.ordered_lock(handle, pid, what, len(what), _told(ns), _told(waiting_ns), line))


class NativeIdle(IdleCalls):
    """Polls for nothing, in the core until :func:`take_sums`."""

    def __init__(self, core: OrderedCore) -> None:
        super().__init__()
        self._core = core

    def add(self, pid: int, name: str, what: str, fd: int, ns: int | None, line: int) -> None:
        check(
            self._core.library.ordered_idle(
                self._core.handle, pid, name.encode(), len(name), what.encode(), len(what), fd, ns or 0, line
            )
        )


def _told(ns: int | None) -> int:
    return -1 if ns is None else ns


def path_stats(data: NativeSums, names: dict[int, str]) -> tuple[bytes, PathStats]:
    """Read one row of paths."""
    path, row = data.text(), PathStats(0)
    row.line, row.errors, row.opens, row.transfers, row.tiny, *rest = data.words(9)
    row.tiny_bytes, row.empty, row.syncs, row.untold = rest
    row.in_bytes, row.out_bytes, row.tiny_ns, row.sync_ns = (data.wide() for _ in range(4))
    row.tiny_waiting_ns, row.sync_waiting_ns = data.wide(), data.wide()
    for _ in range(data.word()):
        key = data.signed(), names[data.word()]
        row.by[key] = [data.word(), data.wide(), data.word(), data.wide()]
    codes = [(data.text(), data.word()) for _ in range(data.word())]
    row.errno = dict(codes) if codes else None
    return path, row
