"""The open descriptors of one process by name: files, pipes, and sockets with their addresses.

Reading them touches no file system: links of /proc/PID/fd, fdinfo, and the socket tables of its network namespace.
"""

from __future__ import annotations

import contextlib
import os
import re

from straced.linux import procfs, sockets
from straced.model.frame import DescriptorRow
from straced.text.sanitize import scrub_bytes

MOST = 500
"""Descriptors that are looked at, the lowest ones."""
_NUMBERED = re.compile(rb"(pipe|socket):\[(\d+)\]")
_MODES = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}


def look(pid: int, root: str = procfs.ROOT) -> tuple[tuple[DescriptorRow, ...], int]:
    """The descriptors of a process, and how many more there are.

    Raises:
        procfs.Gone: the process has ended.
        PermissionError: another user's process.
    """
    try:
        numbers = sorted(int(name) for name in os.listdir(f"{root}/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError) as error:
        raise procfs.Gone(str(pid)) from error
    links = {}
    for number in numbers[:MOST]:
        with contextlib.suppress(OSError):  # closed meanwhile
            links[number] = os.readlink(os.fsencode(f"{root}/{pid}/fd/{number}"))
    inodes = {
        int(match[2]) for link in links.values() if (match := _NUMBERED.fullmatch(link)) and match[1] == b"socket"
    }
    names = sockets.names(pid, inodes, root) if inodes else {}
    rows = tuple(_row(pid, number, link, names, root) for number, link in links.items())
    return rows, max(0, len(numbers) - MOST)


def _row(pid: int, number: int, link: bytes, names: dict[int, tuple[str, str]], root: str) -> DescriptorRow:
    mode, position = _info(pid, number, root)
    kind, name = _describe(link, names)
    if kind == "file":
        kind = _kind_of_file(link)
    return DescriptorRow(fd=number, kind=kind, name=name, mode=mode, position=position if kind == "file" else None)


def _describe(link: bytes, names: dict[int, tuple[str, str]]) -> tuple[str, str]:
    match = _NUMBERED.fullmatch(link)
    if match is not None and match[1] == b"socket":
        return names.get(int(match[2]), ("socket", link.decode()))
    if match is not None:
        return "pipe", link.decode()
    if link.startswith(b"anon_inode:"):
        return scrub_bytes(link[11:].strip(b"[]"), 40), ""
    return "file", scrub_bytes(link)


def _kind_of_file(link: bytes) -> str:
    if link.startswith((b"/dev/", b"/proc/")):
        return link[1:5].rstrip(b"/").decode()
    return "file"


def _info(pid: int, number: int, root: str) -> tuple[str, int | None]:
    try:
        lines = procfs.read(f"{pid}/fdinfo/{number}", root).split(b"\n")
        fields = dict(line.split(b":", 1) for line in lines if b":" in line)
        flags = int(fields[b"flags"], 8)
        mode = "path" if flags & os.O_PATH else _MODES.get(flags & os.O_ACCMODE, "")
        return mode + (" dir" if flags & os.O_DIRECTORY else ""), int(fields[b"pos"])
    except (procfs.Gone, OSError, KeyError, ValueError):
        return "", None
