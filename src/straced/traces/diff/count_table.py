"""The table that ``strace -c`` prints, as rows to compare."""

from __future__ import annotations

import re

from msgspec import Struct

HEAD = re.compile(rb"^% time +[^\n]*\bsyscall *$", re.M)
_NAME = re.compile(r"[a-z_?][\w?]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LINES = re.compile(rb"-{4,}[- ]*")


class CountedRow(Struct, frozen=True):
    """One system call. Its time is left out: nothing in the table tells CPU time from wall time (-w)."""

    name: str
    calls: int
    errors: int


def is_table(head: bytes) -> bool:
    """Whether a file that begins like this is such a table."""
    found = HEAD.search(head)
    return found is not None and b"(" not in head[: found.start()]


def rows_of(data: bytes) -> list[CountedRow]:
    """Return the rows of all tables in it (there is one for each ABI), without their totals."""
    columns: list[str] = []
    rows: list[CountedRow] = []
    for line in data.split(b"\n"):
        if HEAD.match(line):
            columns = line.decode("ascii", "replace").replace("% time", "%time").split()[:-1]
            continue
        words = line.decode("ascii", "replace").split()
        if not columns or len(words) < 2 or _LINES.fullmatch(line) or words[-1] == "total":
            continue
        numbers = words[:-1]
        shown = columns if len(numbers) == len(columns) else [each for each in columns if each != "errors"]
        if len(numbers) != len(shown) or not _NAME.fullmatch(words[-1]) or not all(map(_NUMBER.fullmatch, numbers)):
            continue
        figures = dict(zip(shown, numbers, strict=True))
        if "calls" in figures and figures["calls"].isdigit():
            rows.append(CountedRow(words[-1], int(figures["calls"]), int(figures.get("errors", "0"))))
    return rows
