"""Calls as lines: NDJSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

import msgspec

from straced.traces.analysis.calls import Call

COLUMNS = Call.__struct_fields__
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class NdjsonWriter:
    """One JSON object a line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._encoder = msgspec.json.Encoder()

    def write(self, call: Call) -> None:
        self._stream.write(self._encoder.encode(call) + b"\n")

    def close(self) -> None:
        """All is written already."""


class CsvWriter:
    """One row a call, RFC 4180, UTF-8. Text that a spreadsheet would run gets a ``'`` in front (S16)."""

    def __init__(self, stream: BinaryIO, *, safe: bool = True) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)
        self._writer = csv.writer(self._text)
        self._safe = safe
        self._writer.writerow(COLUMNS)

    def write(self, call: Call) -> None:
        row = [getattr(call, name) for name in COLUMNS]
        self._writer.writerow([safe_cell(cell) for cell in row] if self._safe else row)

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


def safe_cell(cell: object) -> object:
    """Text that begins like a formula, with a quote before it; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
