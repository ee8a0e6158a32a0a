"""Whose futex is it? The kernel knows no owner; the layouts of glibc do (nptl: struct_mutex.h, struct_rwlock.h).

A number in memory may be anything. It is believed only when all that surrounds it fits a glibc mutex, and the owner it
names is a live thread of a process that maps the page. Musl, Go and Rust have other layouts: no owner then.
"""

from __future__ import annotations

import struct

from msgspec import Struct, structs

from straced.linux import procfs
from straced.waits.facts import pid_namespaces
from straced.waits.facts.memory import memory_is_safe, peek
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot

PRIVATE = 128
_CLOCK_REALTIME = 256
_WAIT, _LOCK_PI, _WAIT_BITSET, _LOCK_PI2 = 0, 6, 9, 13
_WAITERS, _TID_MASK = 0x80000000, 0x3FFFFFFF
_KNOWN_KIND_BITS = 0x3 | 0x10 | 0x20 | 0x40 | 0x80 | 0x300
"""Type, robust, PI, protect, process-shared, elision (nptl/pthreadP.h)."""


class Futex(Struct, frozen=True, kw_only=True):
    """What a futex wait is about."""

    kind: str
    """``mutex``, ``rwlock``, ``join``, or ``futex`` when it cannot be told."""
    address: int
    private: bool
    owner: tuple[int, int] | None = None
    """(pid, tid)."""
    certain: bool = False
    """The kernel keeps the owner (priority inheritance)."""
    owner_lost: str = ""
    """Why nobody can be named though the mutex names its owner: it has ended, or is a thread of another process."""
    for_ever: bool = False
    """Nobody can release it any more."""
    timeout: int = 0
    """Address of the timeout; 0 for none."""
    absolute: bool = False
    realtime: bool = False


def inspect(look: ProcSnapshot, raw: RawTask, name: str) -> Futex:
    """Explain a task that is in futex(2) or futex_wait(2)."""
    return look.proc.cached("futex", raw.tid, lambda: _inspect(look, raw, name))


def _inspect(look: ProcSnapshot, raw: RawTask, name: str) -> Futex:
    address, operation, expected, timeout = raw.args[0], raw.args[1], raw.args[2] & 0xFFFFFFFF, raw.args[3]
    if name != "futex":
        return Futex(kind="futex", address=address, private=False)
    command = operation & 0x7F
    plain = Futex(
        kind="futex",
        address=address,
        private=bool(operation & PRIVATE),
        timeout=timeout,
        absolute=command != _WAIT,
        realtime=bool(operation & _CLOCK_REALTIME) or command == _LOCK_PI,
    )
    block = peek(look.proc, raw.pid, address, 24) or (peek(look.proc, raw.pid, address, 4) or b"") + bytes(20)
    if not look.proc.is_native(raw.pid) or len(block) < 24:
        return plain
    word, count, owner, users, kind, _ = struct.unpack("<IIIIII", block)
    if command in (_LOCK_PI, _LOCK_PI2):
        return _owned(look, raw, plain, "mutex", word & _TID_MASK, certain=True)
    if command not in (_WAIT, _WAIT_BITSET) or word != expected:
        return plain
    is_mutex = kind & ~_KNOWN_KIND_BITS == 0 and 1 <= users <= 1 << 20 and count <= 1 << 20
    if word == 2 and is_mutex and not kind & 0x30 and owner:
        return _owned(look, raw, plain, "mutex", owner)
    if word & _WAITERS and is_mutex and kind & 0x10 and owner == word & _TID_MASK:
        return _owned(look, raw, plain, "mutex", owner)
    if not plain.private and command == _WAIT_BITSET and 0 < word <= 1 << 22:
        joined = _thread(look, raw, word, private=True)
        if joined is not None and joined[1] != raw.tid:
            return _with(plain, "join", joined)
    if word == 3:
        writer = _rwlock_writer(look, raw, plain)
        if writer is not None:
            return _with(plain, "rwlock", writer)
    return plain


def _rwlock_writer(look: ProcSnapshot, raw: RawTask, plain: Futex) -> tuple[int, int] | None:
    """The writer of a pthread_rwlock_t that is write-locked, from either of its two futexes (offsets 8 and 12)."""
    for offset in (8, 12):
        block = peek(look.proc, raw.pid, plain.address - offset, 32)
        if block is None:
            continue
        readers, _, phase, _, pad3, pad4, writer, shared = struct.unpack("<IIIIIIII", block)
        if readers & 3 == 3 and phase & 1 and shared in (0, 1) and pad3 == pad4 == 0 and writer:
            found = _thread(look, raw, writer, private=plain.private)
            if found is not None:
                return found
    return None


def _owned(look: ProcSnapshot, raw: RawTask, plain: Futex, kind: str, tid: int, certain: bool = False) -> Futex:
    found = _thread(look, raw, tid, private=plain.private)
    if found is not None:
        return _with(plain, kind, found, certain)
    if not tid:
        return plain
    if not plain.private:
        nested = pid_namespaces.is_nested(look, raw.pid)
        lost = f"its owner calls itself {tid} in its PID namespace, and cannot be found here" if nested else ""
        return structs.replace(plain, owner_lost=lost)
    return structs.replace(plain, owner_lost=_whose_it_was(look, raw, tid), for_ever=True)


def _whose_it_was(look: ProcSnapshot, raw: RawTask, tid: int) -> str:
    """What became of the owner of a private mutex that is no thread of its process.

    A fork copies the mutex in the state it is in, but only the thread that called fork(2): one that another thread
    held stays held in the child for ever.
    """
    for above in procfs.ancestors(raw.pid, look.proc.root):
        if pid_namespaces.thread_called(look, above, tid) is not None:
            own = "its parent" if above == raw.stat.ppid else "its ancestor"
            return f"thread {tid} of {own} {above} held it at the fork, and nobody can release this copy of it"
    return f"its owner, thread {tid}, has ended, or stayed behind in the process that this one was forked from"


def _with(plain: Futex, kind: str, owner: tuple[int, int], certain: bool = False) -> Futex:
    return structs.replace(plain, kind=kind, owner=owner, certain=certain)


def _thread(look: ProcSnapshot, raw: RawTask, tid: int, private: bool) -> tuple[int, int] | None:
    """The live thread that calls itself ``tid``, in its own PID namespace, and that can see the page."""
    own = pid_namespaces.thread_called(look, raw.pid, tid)
    nested = pid_namespaces.is_nested(look, raw.pid)
    if own is not None and (private or not nested):
        return raw.pid, own
    page = mapping(look, raw.pid, raw.args[0]) if not private else None
    if page is None:
        return None
    owner = 0 if nested else int(look.proc.status(tid).get("Tgid", "0") or 0)
    if owner and not pid_namespaces.is_nested(look, owner) and page in shared_mappings(look, owner):
        return owner, tid
    # The number is that of whoever took the lock, in a namespace that may be another one.
    sharing = [pid for pid in procfs.pids(look.proc.root) if page in shared_mappings(look, pid)]
    found = [(pid, task) for pid in sharing if (task := pid_namespaces.thread_called(look, pid, tid)) is not None]
    return found[0] if len(found) == 1 else None


Page = tuple[bytes, int]
"""(device, inode) of a shared mapping; anonymous shared memory has one too, as ``/dev/zero (deleted)``."""


def mapping(look: ProcSnapshot, pid: int, address: int) -> Page | None:
    """The shared mapping that an address of a process lies in."""
    for start, end, page in _maps(look, pid):
        if start <= address < end:
            return page
    return None


def shared_mappings(look: ProcSnapshot, pid: int) -> set[Page]:
    """All shared mappings of a process."""
    return {page for _, _, page in _maps(look, pid)}


def _maps(look: ProcSnapshot, pid: int) -> list[tuple[int, int, Page]]:
    def make() -> list[tuple[int, int, Page]]:
        found: list[tuple[int, int, Page]] = []
        if not memory_is_safe(look.proc, pid):
            return found
        for line in (look.proc.optional(pid, "maps") or b"").split(b"\n"):
            words = line.split(b" ", 5)
            if len(words) >= 5 and words[1].endswith(b"s") and words[4] != b"0":
                start, _, end = words[0].partition(b"-")
                found.append((int(start, 16), int(end, 16), (words[3], int(words[4].strip()))))
        return found

    return look.proc.cached("maps", pid, make)
