"""Tables of strace -c are compared as traces are, by calls and errors.

Of `traces/diff/count_table.py`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from straced.traces.diff.compare import compare
from straced.traces.diff.profile import load
from tests.support.pace import PACE
from tests.traces.recorded import ENVIRONMENT, calls_of, need, record, report

LS = ["ls", "/nope", "/etc"]


@pytest.mark.parametrize("flags", [("-c",), ("-c", "-w"), ("-c", "-f", "-S", "calls")])
def test_a_recorded_table(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = tmp_path / "table"
    subprocess.run(
        [need("strace"), *flags, "-o", str(path), *LS],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60 * PACE, check=False,
    )  # fmt: skip
    table = load(str(path))
    trace = calls_of(report(record(tmp_path, LS)))
    trace.pop("exit_group")  # -c drops what does not return
    assert {name: row.calls for name, row in table.syscalls.items()} == trace
    assert (table.kind, table.quality, table.total.wall_ns) == ("table", "partial", None)
    difference = compare([table], [load(str(tmp_path / "trace"))])
    new = difference.find("syscall", "exit_group")
    assert new is not None
    assert new.note == "new"


def test_two_tables(tmp_path: Path) -> None:
    text = "% time     seconds  usecs/call     calls    errors syscall\n------ ------- ---- ---- ---- -------\n{}"
    row = " 50.00    0.000010          10 {:>9} {:>9} openat\n"
    (tmp_path / "a").write_text(text.format(row.format(10, "")))
    (tmp_path / "b").write_text(text.format(row.format(25, 4)))
    (change,) = compare([load(str(tmp_path / "a"))], [load(str(tmp_path / "b"))]).changes
    assert (change.calls.delta, change.errors.after) == (15, 4)
