"""What processes have open at the attach, by number and name: bounded in sum, whatever anybody has open.

Of many processes at once, since a socket's name stands only in a table of its network namespace, which may be long.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable

from straced.linux import sockets
from straced.records.values import OpenDescriptor

MOST_DESCRIPTORS = 500
MOST_BYTES = 1 << 20
"""Of the names of all."""
LOOK_S = 1.0
"""What is not read by then is left out: whoever asked waits for it."""
_SOCKET = re.compile(rb"socket:\[(\d+)\]")


def descriptors_of(pids: Iterable[int]) -> dict[int, dict[int, OpenDescriptor]]:
    """Return what each process has open, by number; what has no room or no time is left out.

    Args:
        pids: the processes, in the order of their worth.
    """
    until_s = time.monotonic() + LOOK_S
    links: dict[int, dict[int, bytes]] = {}
    room = MOST_BYTES
    for pid in pids:
        links[pid] = {}
        for number in _numbers(pid):
            if room <= 0 or time.monotonic() > until_s:
                break
            if link := link_of(f"/proc/{pid}/fd/{number}"):
                room -= len(link)
                links[pid][number] = link
    names = _socket_names(links, until_s)
    return {
        pid: {number: OpenDescriptor(link, names.get(_socket_of(link), "")) for number, link in found.items()}
        for pid, found in links.items()
    }


def link_of(path: str) -> bytes:
    """Where a link of /proc points to; nothing where there is none, or it may not be read."""
    try:
        return os.readlink(os.fsencode(path))
    except OSError:
        return b""


def _numbers(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))[:MOST_DESCRIPTORS]
    except OSError:
        return []


def _socket_of(link: bytes) -> int:
    match = _SOCKET.fullmatch(link)
    return int(match[1]) if match else -1


def _socket_names(links: dict[int, dict[int, bytes]], until_s: float) -> dict[int, str]:
    """Of all sockets among them, each namespace's tables being read once."""
    wanted: dict[int, tuple[int, set[int]]] = {}
    for pid, found in links.items():
        inodes = {inode for link in found.values() if (inode := _socket_of(link)) >= 0}
        try:
            namespace = os.stat(f"/proc/{pid}/ns/net").st_ino if inodes else 0
        except OSError:
            continue  # it has ended
        if inodes:
            wanted.setdefault(namespace, (pid, set()))[1].update(inodes)
    names = {}
    for pid, inodes in wanted.values():
        if time.monotonic() > until_s:
            break
        names.update({inode: f"{kind} {name}".strip() for inode, (kind, name) in sockets.names(pid, inodes).items()})
    return names
