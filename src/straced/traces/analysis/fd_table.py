"""What each descriptor of each process stands for, rebuilt from the calls when ``-y`` was off."""

from __future__ import annotations

import re

from straced.traces.parsing.strings import unescape

_PORT = re.compile(rb"sin6?_port=htons\((\d+)\)")
_ADDRESS = re.compile(rb'inet_(?:addr\(|pton\(AF_INET6, )"([^"]*)"')
_UNIX = re.compile(rb'sun_path=(@?"[^"]*")')
_FAMILY = re.compile(rb"(?:AF|PF)_(\w+)")


class DescriptorTable:
    """Descriptors and current folder of one process; its threads share it (CLONE_FILES, CLONE_FS)."""

    __slots__ = ("cloexec", "folder", "names", "origin")

    def __init__(
        self,
        names: dict[int, bytes] | None = None,
        cloexec: set[int] | None = None,
        *,
        origin: bytes = b"",
        folder: bytes = b"",
    ) -> None:
        self.names = names if names is not None else {}
        self.cloexec = cloexec if cloexec is not None else set()
        self.origin = origin
        """Whose descriptors were open before the trace, where several processes have such: `` of 4242``."""
        self.folder = folder
        """The folder that relative paths begin in; empty: not known, that of the first process."""

    def copy(self) -> DescriptorTable:
        """What a child gets at fork."""
        return DescriptorTable(dict(self.names), set(self.cloexec), origin=self.origin, folder=self.folder)

    def set(self, fd: int, name: bytes, cloexec: bool) -> None:
        """A call returned ``fd``."""
        self.names[fd] = name
        if cloexec:
            self.cloexec.add(fd)
        else:
            self.cloexec.discard(fd)

    def close(self, fd: int) -> None:
        self.names.pop(fd, None)
        self.cloexec.discard(fd)

    def close_range(self, first: int, last: int) -> None:
        for fd in [fd for fd in self.names if first <= fd <= last]:
            self.close(fd)

    def exec(self) -> None:
        """A successful execve closes what was marked close-on-exec."""
        for fd in self.cloexec:
            self.names.pop(fd, None)
        self.cloexec.clear()

    def name(self, fd: int) -> bytes:
        """The path or kind of a descriptor; a number alone when it was not seen to be opened."""
        return self.names.get(fd) or b"fd %d%s (opened before the trace)" % (fd, self.origin)

    def in_folder(self, path: bytes) -> bytes:
        """A relative path, from the folder of the process."""
        if path[:1] == b"/" or not self.folder:
            return path
        return self.folder.rstrip(b"/") + b"/" + path.removeprefix(b"./")

    def enter(self, path: bytes) -> None:
        """The process changed its folder."""
        self.folder = self.in_folder(path)


def split_fd(argument: bytes) -> tuple[int | None, bytes | None]:
    """``3`` -> (3, None); ``3</etc/passwd>`` (-y) -> (3, b"/etc/passwd"); ``AT_FDCWD`` -> (None, None)."""
    less = argument.find(b"<")
    number, path = argument, None
    if less >= 0:
        number, path = argument[:less], argument[less + 1 :].rstrip(b" )").removesuffix(b">")
        path = unescape(path.split(b"<", 1)[0])  # </dev/null<char 1:3>>
    try:
        return int(number), path
    except ValueError:
        return None, path


def address(argument: bytes) -> bytes | None:
    """The peer or own address in a sockaddr, for people: ``127.0.0.1:80``, ``unix:"/run/x"``."""
    unix = _UNIX.search(argument)
    if unix:
        return b"unix:" + unix.group(1)
    port, host = _PORT.search(argument), _ADDRESS.search(argument)
    if port is None:
        return None
    name = host.group(1) if host else b"?"
    return (b"[%s]:%s" if b":" in name else b"%s:%s") % (name, port.group(1))


def socket_name(argument: bytes) -> bytes:
    """``AF_INET, SOCK_STREAM...`` -> ``socket inet stream``."""
    family = _FAMILY.search(argument)
    kind = re.search(rb"SOCK_(STREAM|DGRAM|RAW|SEQPACKET|PACKET)", argument)
    words = [b"socket", family.group(1).lower() if family else b"", kind.group(1).lower() if kind else b""]
    return b" ".join(word for word in words if word)
