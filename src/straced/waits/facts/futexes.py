"""Whose futex is it? The kernel knows no owner; the layouts of glibc do (nptl: struct_mutex.h, struct_rwlock.h).

A number in memory may be anything. It is believed only when all that surrounds it fits a glibc mutex, and the owner it
names is a live thread of a process that maps the page. Musl, Go and Rust have other layouts: no owner then.
"""

from __future__ import annotations

import struct

from msgspec import Struct

from straced.linux.procfs import Gone
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
    dead_owner: int | None = None
    """A TID that the mutex names and that no longer exists."""
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
    if tid and plain.private and look.proc.link(raw.pid, "ns/pid") == look.proc.link_self("ns/pid"):
        return Futex(kind="futex", address=plain.address, private=True, dead_owner=tid, timeout=plain.timeout)
    return plain


def _with(plain: Futex, kind: str, owner: tuple[int, int], certain: bool = False) -> Futex:
    return Futex(
        kind=kind,
        address=plain.address,
        private=plain.private,
        owner=owner,
        certain=certain,
        timeout=plain.timeout,
        absolute=plain.absolute,
        realtime=plain.realtime,
    )


def _thread(look: ProcSnapshot, raw: RawTask, tid: int, private: bool) -> tuple[int, int] | None:
    """The live thread that the target knows as ``tid``, in its own PID namespace, and that can see the page."""
    try:
        for outer in look.tasks(raw.pid):
            if inner_tid(look, raw.pid, outer) == tid:
                return raw.pid, outer
    except Gone:
        return None
    if private:
        return None
    if look.proc.link(raw.pid, "ns/pid") != look.proc.link_self("ns/pid"):
        return None  # their number, in a namespace whose numbers we cannot translate
    owner = int(look.proc.status(tid).get("Tgid", "0") or 0)
    page = mapping(look, raw.pid, raw.args[0])
    if owner and page is not None and page in shared_mappings(look, owner):
        return owner, tid
    return None


def inner_tid(look: ProcSnapshot, pid: int, tid: int) -> int:
    """What a thread is called in its own PID namespace."""
    if len(look.proc.status(pid).get("NSpid", "").split()) <= 1:
        return tid

    def make() -> int:
        for line in (look.proc.optional(pid, "status", tid) or b"").split(b"\n"):
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
        return tid

    return look.proc.cached("inner", tid, make)


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
