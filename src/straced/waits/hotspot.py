"""What a Java virtual machine (HotSpot) says of deadlocks among its threads, which nobody else knows.

It is asked only where it listens already, on the socket of jcmd(1): no signal is sent and no file is made, so that
nothing can happen to a process that is none, or that was told not to listen. It stops its threads for the moment in
which it looks at them. The socket is its own, or it is not asked: another one would be told something in our name.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import time
from collections.abc import Iterator

from straced.linux import procfs

LIMIT_S = 5.0
MOST_BYTES = 16 << 20
_QUESTION = b"1\0threaddump\0-l\0\0\0"
"""Version 1 of the protocol; with the locks of java.util.concurrent (attachListener.cpp)."""
_ANSWERED = b"0\n"
_FOUND = re.compile(rb"^Found one Java-level deadlock:\n=+\n(.*?)\nJava stack information", re.M | re.S)
_WAITER = re.compile(
    rb'^"([^\n]*)":\n  waiting (?:to lock monitor \S+ \(object (0x[0-9a-f]+)|for ownable synchronizer (0x[0-9a-f]+))',
    re.M,
)
_THREAD = re.compile(rb'^"([^\n]*)" [^"\n]*\bnid=(0x[0-9a-f]+|\d+)[^\n]*\n((?:[ \t][^\n]*\n)*)', re.M)
_WAITS = re.compile(rb"- (?:waiting to lock|parking to wait for) +<(0x[0-9a-f]+)>")


def deadlocked(pid: int, root: str = procfs.ROOT) -> frozenset[int] | None:
    """The threads that are in a deadlock, or wait for one that is; ``None``: it is not asked, or does not answer."""
    try:
        numbers = _numbers(pid, root)
        dump = _ask(pid, numbers[pid], root)
    except (procfs.Gone, OSError, KeyError, ValueError):
        return None
    if not dump.startswith(_ANSWERED):
        return None
    theirs = threads_in_deadlock(dump)
    return frozenset(tid for tid, number in numbers.items() if number in theirs)


def threads_in_deadlock(dump: bytes) -> set[int]:
    """The numbers, as the machine knows them, of the threads that a thread dump has in a deadlock.

    Names are not unique, so a thread is one of them if it waits for what is said there, too.
    """
    stuck = {(name, monitor or lock) for part in _FOUND.findall(dump) for name, monitor, lock in _WAITER.findall(part)}
    return {
        int(number, 0)
        for name, number, stack in _THREAD.findall(dump)
        if any((name, address) in stuck for address in _WAITS.findall(stack))
    }


def _numbers(pid: int, root: str) -> dict[int, int]:
    """The threads of a process, and their numbers in its own pid namespace."""
    found = {}
    for tid in procfs.tasks(pid, root):
        with contextlib.suppress(procfs.Gone):
            found[tid] = int(procfs.status(f"{pid}/task/{tid}", root)["NSpid"].split()[-1])
    return found


def _ask(pid: int, number: int, root: str) -> bytes:
    effective = int(procfs.status(pid, root)["Uid"].split()[1])
    end = time.monotonic() + LIMIT_S
    with _held(f"{root}/{pid}/root/tmp/.java_pid{number}", effective) as path, socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(LIMIT_S)
        asked.connect(path)
        listens, _uid, _gid = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if listens != pid:
            raise ConnectionRefusedError
        asked.sendall(_QUESTION)
        return b"".join(_answer(asked, end))


@contextlib.contextmanager
def _held(path: str, owner: int) -> Iterator[str]:
    """A path of a socket that cannot become another's meanwhile; who may write there can put anything in its place."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != owner:
            raise ConnectionRefusedError
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _answer(asked: socket.socket, end: float) -> Iterator[bytes]:
    size = 0
    while True:
        asked.settimeout(max(0.001, end - time.monotonic()))  # TimeoutError is an OSError
        part = asked.recv(65536)
        if not part:
            return
        size += len(part)
        if size > MOST_BYTES:
            raise ValueError
        yield part
