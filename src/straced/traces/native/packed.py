"""Reads the sums that the native core gives: little-endian 64-bit words, and strings behind their lengths."""

from __future__ import annotations

import struct


class NativeSums:
    """A buffer, read from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def __bool__(self) -> bool:
        return self.place < len(self._data)

    def words(self, count: int) -> tuple[int, ...]:
        """The next words."""
        place = self.place
        self.place += 8 * count
        return struct.unpack_from(f"<{count}Q", self._data, place)

    def word(self) -> int:
        """The next word."""
        return self.words(1)[0]

    def signed(self) -> int:
        """The next word, below 0 or not."""
        number = self.word()
        return number - (1 << 64) if number >> 63 else number

    def wide(self) -> int:
        """The next number of two words."""
        low, high = self.words(2)
        return low | high << 64

    def text(self) -> bytes:
        """The next string."""
        length = self.word()
        place = self.place
        self.place += length
        return self._data[place : self.place]
