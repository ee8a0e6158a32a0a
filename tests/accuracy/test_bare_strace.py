"""The workloads keep their promise: a second tool, bare ``strace -f -c``, counts what each says it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy.truth import TRUTH, Truth
from tests.support.needs import unavailable
from tests.support.rival import rival_strace
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
def test_strace_counts_what_the_workload_does(truth: Truth, start: Starter, tmp_path: Path) -> None:
    if truth.i386 and start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    workload = start(*truth.argv, binary=start.gt32 if truth.i386 else None)
    table = tmp_path / "table"
    with rival_strace(workload.pid, table):
        workload.finish(60)
        if truth.ends:
            workload.let_end()
    rows = parse(table.read_text())
    for name, (calls, errors) in truth.by_strace.items():
        # strace 7.2 counts calls that it has no name for, too; 5.10 and 6.1 do not
        right = (None, truth.calls[name]) if calls is None else ((calls, errors),)
        assert rows.get(name) in right, name


def parse(table: str) -> dict[str, tuple[int, int]]:
    """Calls and errors by name; enough for this tool's own format, two tables added up."""
    rows: dict[str, tuple[int, int]] = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) in (5, 6) and words[0].replace(".", "").isdigit() and words[-1] != "total":
            calls, errors = rows.get(words[-1], (0, 0))
            rows[words[-1]] = (calls + int(words[3]), errors + (int(words[4]) if len(words) == 6 else 0))
    return rows
