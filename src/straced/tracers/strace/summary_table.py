"""The summary tables of ``strace -c``, from strace 4.26 to 7.x, as values. Pure functions over bytes.

A table is a header, a divider, rows, a divider and a total; tables of other ABIs follow with a title of their
own. Columns stand in whatever order ``-U`` gave, so the header is read. Source: strace's ``call_summary_pers``.
The lines of a full trace are read by :mod:`straced.traces.parsing.line`.
"""

from __future__ import annotations

import re

from msgspec import Struct

from straced.syscalls import native_abi, number_of

_TITLE = re.compile(rb"System call usage summary for (\S+(?: bit)?) mode:")
_DASHES = re.compile(rb"-+(?: +-+)*")
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_DECIMAL = re.compile(rb"(\d+)(?:\.(\d+))?")
_FIELDS = {
    b"%time": "time_pct",
    b"seconds": "seconds_ns",
    b"usecs/call": "avg_ns",
    b"calls": "calls",
    b"errors": "errors",
    b"syscall": "name",
    b"shortest": "min_ns",
    b"longest": "max_ns",
    b"wall-total": "wall_ns",
    b"wall-min": "wall_min_ns",
    b"wall-max": "wall_max_ns",
    b"wall-avg": "wall_avg_ns",
}
_BLANK_IS_ZERO = "errors"
"""strace prints this column with ``%.0u``: an empty field means none."""


class SummaryRow(Struct, frozen=True, kw_only=True):
    """One line of a table. ``None``: the table has no such column. Microseconds are strace's finest here."""

    name: str
    nr: int | None = None
    """The number in the table's ABI; ``None`` for a name that straced does not know."""
    calls: int | None = None
    errors: int | None = None
    time_pct: float | None = None
    """Share of ``seconds_ns``, 0 to 100."""
    seconds_ns: int | None = None
    """Wall time with ``-w``, else CPU time in the kernel: the table does not say which."""
    avg_ns: int | None = None
    min_ns: int | None = None
    max_ns: int | None = None
    wall_ns: int | None = None
    """strace >= 7.1 with ``-U wall-total``: wall time beside CPU time."""
    wall_avg_ns: int | None = None
    wall_min_ns: int | None = None
    wall_max_ns: int | None = None


class SummaryTable(Struct, frozen=True, kw_only=True):
    """The calls of one ABI."""

    abi: str
    rows: tuple[SummaryRow, ...] = ()
    total: SummaryRow | None = None
    """strace's own sums; ``None`` when the table was cut before them."""
    unread: int = 0
    """Lines inside this table that are no row of it: foreign text, or a row that was cut."""
    duplicates: int = 0
    """Rows whose name stood in the table already (kept)."""

    @property
    def complete(self) -> bool:
        """Whether the total line was seen and agrees with the rows."""
        if self.total is None or self.unread:
            return False
        sums = [row.calls for row in self.rows if row.calls is not None]
        return self.total.calls is None or self.total.calls == sum(sums)


def parse_tables(data: bytes) -> list[SummaryTable]:
    """Read every table in ``data``; text before, between and after them is passed over.

    Args:
        data: what strace wrote, whole or cut anywhere; LF or CRLF; any bytes.

    Returns:
        One table an ABI in the order printed; none when strace saw no call (it prints nothing then).
    """
    native = native_abi()
    tables: list[SummaryTable] = []
    reader: _SummaryReader | None = None
    abi = native
    for line in data.split(b"\n"):
        text = line.rstrip(b"\r ")
        if title := _TITLE.search(text):
            if reader is not None:
                tables.append(reader.table())
                reader = None
            abi = _abi(title.group(1), native)
        elif (columns := _columns(text)) is not None:
            if reader is not None:
                tables.append(reader.table())
            reader, abi = _SummaryReader(abi, columns), native
        elif reader is not None:
            reader.feed(text)
            if reader.total is not None:
                tables.append(reader.table())
                reader = None
    if reader is not None:
        tables.append(reader.table())
    return tables


def _abi(mode: bytes, native: str) -> str:
    """strace's personality name -> ABI; ``32 bit`` is i386 on x86-64 and arm on arm64."""
    if mode == b"32 bit":
        return "arm" if native == "arm64" else "i386"
    return "x32" if mode == b"x32" else native


def _columns(text: bytes) -> list[str] | None:
    """The fields of a header line in their order, or ``None`` for any other line."""
    words = text.replace(b"% time", b"%time").split()
    if b"syscall" not in words or len(set(words)) != len(words) or any(word not in _FIELDS for word in words):
        return None
    return [_FIELDS[word] for word in words]


class _SummaryReader:
    """Collects the lines of one table; ``spans`` are the columns' places, as its divider shows them."""

    def __init__(self, abi: str, columns: list[str]) -> None:
        self.abi = abi
        self.columns = columns
        self.spans: list[tuple[int, int]] = []
        self.dividers = 0
        self.rows: list[SummaryRow] = []
        self.total: SummaryRow | None = None
        self.unread = 0

    def feed(self, text: bytes) -> None:
        if not text:
            return
        if _DASHES.fullmatch(text):
            self.dividers += 1
            self.spans = self.spans or [match.span() for match in re.finditer(rb"-+", text)]
            return
        row = self._row(text)
        if row is None:
            self.unread += 1
        elif self.dividers >= 2 and row.name == "total":
            self.total = row
        else:
            self.rows.append(row)

    def _row(self, text: bytes) -> SummaryRow | None:
        words = self._by_count(text.split()) or self._by_place(text)
        if words is None or not _NAME.fullmatch(words.get("name", b"")):
            return None
        name = words.pop("name").decode()
        values: dict[str, int | float | None] = {}
        for field, word in words.items():
            number = _number(field, word)
            if number is None:
                return None
            values[field] = number
        if _BLANK_IS_ZERO in self.columns:
            values.setdefault(_BLANK_IS_ZERO, 0)
        if "calls" in self.columns and "calls" not in values:
            return None
        return SummaryRow(name=name, nr=number_of(name, self.abi), **values)  # type: ignore[arg-type]

    def _by_count(self, words: list[bytes]) -> dict[str, bytes] | None:
        """A full row, whatever its widths: a wide figure moves what stands behind it in old versions."""
        return dict(zip(self.columns, words, strict=True)) if len(words) == len(self.columns) else None

    def _by_place(self, text: bytes) -> dict[str, bytes] | None:
        """A row with blank fields: each word belongs to the column that it overlaps."""
        found: dict[str, bytes] = {}
        if len(self.spans) != len(self.columns):
            return None
        for word in re.finditer(rb"\S+", text):
            for field, (start, end) in zip(self.columns, self.spans, strict=True):
                if word.start() < end and word.end() > start and field not in found:
                    found[field] = word.group()
                    break
            else:
                return None
        return found

    def table(self) -> SummaryTable:
        names = {row.name for row in self.rows}
        return SummaryTable(
            abi=self.abi,
            rows=tuple(self.rows),
            total=self.total,
            unread=self.unread,
            duplicates=len(self.rows) - len(names),
        )


def _number(field: str, word: bytes) -> int | float | None:
    """A figure in the unit of its field; ``None`` for what is no figure."""
    match = _DECIMAL.fullmatch(word)
    if match is None or len(word) > 30:
        return None
    if field == "time_pct":
        return float(word)
    whole, fraction = int(match.group(1)), match.group(2) or b""
    if field in ("calls", "errors"):
        return None if fraction else whole
    if field in ("avg_ns", "wall_avg_ns"):
        return whole * 1000
    return whole * 10**9 + int(fraction[:9].ljust(9, b"0"))
