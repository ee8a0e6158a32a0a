"""Streams into an output, whose failures are typed where they happen: one error, however deep the writer is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, BinaryIO

from straced.linux.output_refusals import refused


class _Raw(io.FileIO):
    def __init__(self, fd: int, path: Path) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._path = path

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            raise refused(self._path, error) from error


def binary_stream(fd: int, path: Path) -> BinaryIO:
    """A buffered stream of bytes into ``fd``, which stays open; ``path`` is what its errors name."""
    return io.BufferedWriter(_Raw(fd, path))


def text_stream(fd: int, path: Path) -> IO[str]:
    """The same for text, as UTF-8; what UTF-8 cannot hold is escaped."""
    return io.TextIOWrapper(io.BufferedWriter(_Raw(fd, path)), encoding="utf-8", errors="backslashreplace")
