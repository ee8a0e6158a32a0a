"""What the descriptors of a process stand for, at each moment of a recording.

Other threads change a table while a call is inside. Each entry therefore says since when it holds, and what is older
than that is not told by it: the text has the bare number then.
"""

from __future__ import annotations

from msgspec import Struct

from straced.records.text.quoting import in_angles
from straced.records.text.socket_names import SocketName

DIRECTORY = -100
"""AT_FDCWD."""
_DEVICES = {
    b"/dev/null": "1:3", b"/dev/zero": "1:5", b"/dev/full": "1:7", b"/dev/random": "1:8", b"/dev/urandom": "1:9",
    b"/dev/kmsg": "1:11", b"/dev/tty": "5:0", b"/dev/console": "5:1", b"/dev/ptmx": "5:2",
}  # fmt: skip
"""Numbers that are assigned for good (Documentation/admin-guide/devices.txt of the kernel)."""


class Descriptor(Struct):
    """What one number stands for."""

    name: str
    """As it stands between the angle brackets."""
    since_ns: int = 0
    cloexec: bool = False
    socket: SocketName | None = None
    deleted: bool = False
    path: bytes = b""
    """Of a file: what relative paths begin with where it is a directory."""


def _text(number: int, entry: Descriptor) -> str:
    return f"{number}<{entry.name}>{'(deleted)' if entry.deleted else ''}"


class DescriptorNames:
    """The descriptors that threads share, by number."""

    __slots__ = ("_texts", "entries")

    def __init__(self, entries: dict[int, Descriptor] | None = None) -> None:
        self.entries = entries if entries is not None else {}
        self._texts = {number: (_text(number, each), each.since_ns) for number, each in self.entries.items()}

    def text(self, number: int, at_ns: int) -> str:
        """A descriptor with its name, if it had that name at a moment."""
        found = self._texts.get(number)
        return found[0] if found is not None and found[1] <= at_ns else str(number)

    def known(self, number: int, at_ns: int) -> Descriptor | None:
        """What a number stood for at a moment."""
        found = self.entries.get(number)
        return found if found is not None and found.since_ns <= at_ns else None

    def bind(self, number: int, entry: Descriptor) -> None:
        """A number stands for this from now on."""
        self.entries[number] = entry
        self._texts[number] = _text(number, entry), entry.since_ns

    def drop(self, number: int, at_ns: int) -> None:
        """A number was closed by a call that began at this moment, unless it was given out again since."""
        if self.known(number, at_ns) is not None:
            del self.entries[number]
            del self._texts[number]

    def forget(self) -> None:
        """Nothing is known of any number any more: what has happened to it was not recorded."""
        self.entries.clear()
        self._texts.clear()

    def copy(self, *, executed: bool = False) -> DescriptorNames:
        """A table of its own, as after a fork; after an execve without what is closed by it."""
        return DescriptorNames({n: each for n, each in self.entries.items() if not (executed and each.cloexec)})


class DirectoryHolder(Struct):
    """The working directory that threads share; empty where it is unknown."""

    path: bytes = b""
    text: str = "AT_FDCWD"
    rooted: bool = True
    """Whether paths from the root on are those of the attach."""

    def move(self, path: bytes) -> None:
        """It is this one from now on."""
        self.path = path
        self.text = f"AT_FDCWD<{in_angles(path)}>" if path else "AT_FDCWD"


def file(path: bytes, since_ns: int = 0, *, cloexec: bool = False) -> Descriptor:
    """A descriptor of a file, by the path it was opened by."""
    device = _DEVICES.get(path)
    if device is None and path.startswith(b"/dev/pts/") and path[9:].isdigit():
        device = f"136:{int(path[9:])}"
    name = in_angles(path) + (f"<char {device}>" if device is not None else "")
    return Descriptor(name, since_ns, cloexec, path=path)


def deleted(path: bytes, since_ns: int = 0, *, cloexec: bool = False) -> Descriptor:
    """A descriptor of a file that has no name any more."""
    return Descriptor(in_angles(path), since_ns, cloexec, deleted=True)
