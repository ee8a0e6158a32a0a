"""Tasks and descriptor tables that the native core keeps, as the Python reader's code sees them."""

from __future__ import annotations

import ctypes
from typing import Any

from straced.traces.analysis.fd_table import DescriptorTable
from straced.traces.analysis.process_tree import ProcessTree
from straced.traces.analysis.tasks import TaskTable, TracedTask
from straced.traces.native.core import OrderedCore
from straced.traces.native.library import check

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_ORIGIN, _FOLDER = 1, 2


class NativeNames:
    """The names of descriptors in one table."""

    def __init__(self, table: NativeTable) -> None:
        self._table = table

    def get(self, fd: int, default: bytes | None = None) -> bytes | None:
        name = self._table.text(0, fd)
        return default if name is None else name

    def __setitem__(self, fd: int, name: bytes) -> None:
        self._table.put(fd, name, -1)


class NativeTable(DescriptorTable):
    """A table in the core; as long as this lives, so does that."""

    __slots__ = ("_core", "handle")

    def __init__(self, core: OrderedCore, handle: int) -> None:
        self._core = core
        self.handle = handle

    def __del__(self) -> None:
        self._core.library.table_drop(self._core.handle, self.handle)

    @classmethod
    def of(cls, core: OrderedCore, other: DescriptorTable) -> NativeTable:
        """What stands for a table in the core."""
        if isinstance(other, NativeTable):
            return other
        known = core.taken_over
        if known is not None and known[0] is other and isinstance(known[1], NativeTable):
            return known[1]
        handle = core.library.table_new(core.handle, other.origin, len(other.origin), other.folder, len(other.folder))
        table = cls(core, _present(handle))
        for fd, name in other.names.items():
            table.put(fd, name, fd in other.cloexec)
        core.taken_over = other, table
        return table

    @property
    def names(self) -> Any:  # type: ignore[override]
        return NativeNames(self)

    @property
    def origin(self) -> bytes:  # type: ignore[override]
        return self.text(_ORIGIN) or b""

    @property
    def folder(self) -> bytes:
        return self.text(_FOLDER) or b""

    @folder.setter
    def folder(self, path: bytes) -> None:
        check(self._core.library.table_folder(self._core.handle, self.handle, path, len(path)))

    def text(self, which: int, fd: int = 0) -> bytes | None:
        """One of the texts of the table."""
        length = ctypes.c_size_t()
        place = self._core.library.table_text(self.handle, which, fd, ctypes.byref(length))
        return None if place is None else ctypes.string_at(place, length.value)

    def put(self, fd: int, name: bytes, cloexec: int) -> None:
        """Name a descriptor; ``cloexec`` below 0: as it was."""
        check(self._core.library.table_set(self._core.handle, self.handle, fd, name, len(name), cloexec))

    def copy(self) -> DescriptorTable:
        return NativeTable(self._core, _present(self._core.library.table_copy(self.handle)))

    def set(self, fd: int, name: bytes, cloexec: bool) -> None:
        self.put(fd, name, cloexec)

    def close(self, fd: int) -> None:
        self._close(fd, fd, False)

    def close_range(self, first: int, last: int) -> None:
        if first <= last:
            self._close(first, last, False)

    def exec(self) -> None:
        self._close(_LEAST, _MOST, True)

    def _close(self, first: int, last: int, marked: bool) -> None:
        check(self._core.library.table_close(self._core.handle, self.handle, first, last, marked))


class NativeTask(TracedTask):
    """A task in the core."""

    __slots__ = ("_core", "handle")

    def __init__(self, core: OrderedCore, tid: int, pid: int) -> None:
        self._core = core
        self.tid = tid
        self.handle = _present(core.library.task_new(core.handle, tid, pid))

    @property
    def pid(self) -> int:
        return int(self._core.library.task_pid(self.handle))

    @pid.setter
    def pid(self, pid: int) -> None:
        self._core.library.task_join(self.handle, pid)

    @property
    def busy(self) -> bool:
        return bool(self._core.library.task_busy(self.handle))

    @property
    def table(self) -> DescriptorTable | None:
        handle = self._core.library.task_table(self.handle)
        return None if handle is None else NativeTable(self._core, handle)

    @table.setter
    def table(self, table: DescriptorTable | None) -> None:
        assert table is not None
        native = NativeTable.of(self._core, table)
        self._core.library.task_share(self._core.handle, self.handle, native.handle)

    @property
    def entered(self) -> tuple[bytes, bytes, int] | None:
        name, args, told = ctypes.c_void_p(), ctypes.c_void_p(), (ctypes.c_uint64 * 3)()
        if not self._core.library.task_entered(self.handle, ctypes.byref(name), ctypes.byref(args), told):
            return None
        text = ctypes.string_at(args, told[1]) if told[1] else b""
        return ctypes.string_at(name, told[0]) + b"(", text, told[2]

    @entered.setter
    def entered(self, entered: tuple[bytes, bytes, int] | None) -> None:
        head, args, line = entered or (None, b"", 0)
        name = None if head is None else head[:-1]
        check(
            self._core.library.task_enter(self._core.handle, self.handle, name, len(name or b""), args, len(args), line)
        )

    def release(self) -> None:
        """The task is gone: nothing of it is used from here on."""
        self._core.library.task_end(self._core.handle, self.handle)


class NativeTaskTable(TaskTable):
    """The tasks of a trace, each in the core."""

    def __init__(self, tree: ProcessTree, core: OrderedCore) -> None:
        super().__init__(tree)
        self._core = core

    def made(self, tid: int, pid: int) -> TracedTask:
        return NativeTask(self._core, tid, pid)

    def dropped(self, task: TracedTask) -> None:
        assert isinstance(task, NativeTask)
        task.release()


def _present(handle: int | None) -> int:
    if handle is None:
        raise MemoryError("the reader of the trace ran out of memory")
    return handle
