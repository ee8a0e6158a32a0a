"""The processes of a recording, and which of them share descriptors and a working directory."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from straced.records.text.descriptors import DescriptorNames, DirectoryHolder
from straced.records.text.initial import descriptor_at_attach
from straced.records.values import RecordedProcess

CLONE_FS, CLONE_FILES = 0x200, 0x400


class Process(Struct):
    """What a task has in common with others."""

    files: DescriptorNames
    directory: DirectoryHolder


class Processes:
    """All tasks of a recording by tid; threads that nothing was said of have what their process has."""

    def __init__(self, processes: Iterable[RecordedProcess] = ()) -> None:
        self._numbers = 0
        self._tasks: dict[int, Process] = {}
        self._undecided: dict[int, tuple[Process, Process]] = {}
        for each in processes:
            files = {number: descriptor_at_attach(one) for number, one in each.descriptors.items()}
            found = Process(DescriptorNames(files), DirectoryHolder())
            found.directory.move(each.cwd)
            self._tasks |= dict.fromkeys([each.pid, *each.threads], found)

    def number(self) -> str:
        """A number in place of an inode that no record tells: each pipe and each socket has one of its own."""
        self._numbers += 1
        return f"?{self._numbers}"

    def of(self, tid: int, pid: int) -> Process:
        """The process of a task; a new one of which nothing is known where none of its threads was met before."""
        found = self._tasks.get(tid)
        if found is None:
            undecided = self._undecided.pop(tid, None)
            if undecided is not None:
                found = undecided[0] if tid != pid else undecided[1]
            else:
                found = self._tasks.get(pid)
            if found is None:
                found = self._tasks[pid] = Process(DescriptorNames(), DirectoryHolder())
            self._tasks[tid] = found
        return found

    def assign(self, tid: int, process: Process) -> None:
        """A task has left what it shared with others."""
        self._tasks[tid] = process

    def fork(self, parent: Process, child: int, flags: int | None) -> None:
        """A task has made another by clone(2).

        Args:
            parent: what the one that made it has.
            child: the other by tid.
            flags: of the call; ``None`` where they are unknown. Then a thread of the process shares everything, and a
                process of its own nothing, which is seen from its first record.
        """
        if flags is None:
            copied = replace(parent.directory)
            self._undecided[child] = parent, Process(parent.files.copy(), copied)
            return
        self._tasks[child] = Process(
            parent.files if flags & CLONE_FILES else parent.files.copy(),
            parent.directory if flags & CLONE_FS else replace(parent.directory),
        )

    def execute(self, tid: int, pid: int) -> None:
        """A process has become another program: what it shared is its own now, less what the execve closed."""
        before = self.of(tid, pid)
        directory = replace(before.directory)
        self._tasks[pid] = Process(before.files.copy(executed=True), directory)
        if tid != pid:
            del self._tasks[tid]

    def forget(self) -> None:
        """Calls were lost: no descriptor and no working directory is known until it is told anew."""
        for each in self._tasks.values():
            each.files.forget()
            each.directory.move(b"")
        self._undecided.clear()

    def end(self, tid: int) -> None:
        """A task is gone, and its number may be given to another."""
        self._tasks.pop(tid, None)
        self._undecided.pop(tid, None)
