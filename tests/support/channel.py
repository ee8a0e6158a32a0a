"""The line to a program under test: it says lines, the test answers with single bytes."""

from __future__ import annotations

import socket
import time


class Silent(AssertionError):
    """The program did not say what was waited for."""


class Channel:
    """The test's end of a socket pair; ``child`` is the end that the program inherits."""

    def __init__(self) -> None:
        self._socket, self.child = socket.socketpair()
        self._buffer = b""
        self.heard: list[str] = []

    def started(self) -> None:
        """Close the program's end on this side."""
        self.child.close()

    def expect(self, prefix: str, seconds: float = 10.0) -> str:
        """Read lines until one begins with ``prefix``, and return what follows; the others are kept in ``heard``."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                text = line.decode("utf-8", "replace")
                if text.startswith(prefix):
                    return text[len(prefix) :].strip()
                self.heard.append(text)
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                raise Silent(f"no {prefix!r} within {seconds} s; heard {self.heard[-5:]}") from None
            if not chunk:
                raise Silent(f"ended without {prefix!r}; heard {self.heard[-5:]}")
            self._buffer += chunk

    def numbers(self, prefix: str) -> list[int]:
        """The numbers of all lines ``PREFIX n`` heard so far."""
        return [int(line.split()[1]) for line in self.heard if line.startswith(prefix + " ")]

    def tell(self, byte: bytes = b"g") -> None:
        """Send one byte."""
        self._socket.sendall(byte)

    def close(self) -> None:
        """Close both ends."""
        self._socket.close()
        self.child.close()
