"""The reader of ``strace -c``: hand-made tables of every version's form, and real strace runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from straced.syscalls import native_abi
from straced.tracers.strace.summary_table import parse_tables
from tests.traces.recorded import MIXED, record

OLD = b"""% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.99   12.345678          12   1000000       112 read
  0.01    0.000002           2         1           restart_syscall
  0.00    0.000000           0         3         1 syscall_0x1ce
------ ----------- ----------- --------- --------- ----------------
100.00   12.345680               1000004       113 total
System call usage summary for 32 bit mode:
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
  0.00    0.000000           0         7           _llseek
------ ----------- ----------- --------- --------- ----------------
100.00    0.000000                     7           total
"""

WALL_COLUMNS = b"""wall-total  wall-avg wall-min wall-max     calls syscall
----------- ----------- -------- -------- --------- ----------------
   1.000005      500002 0.000005 1.000000         2 clock_nanosleep
----------- ----------- -------- -------- --------- ----------------
   1.000005      500002 0.000005 1.000000         2 total
"""


def test_old_table_and_a_second_abi() -> None:
    native, compat = parse_tables(OLD)
    assert (native.abi, compat.abi) == (native_abi(), "i386")
    read, restart, unknown = native.rows
    assert (read.calls, read.errors, read.seconds_ns, read.avg_ns, read.time_pct) == (
        1_000_000,
        112,
        12_345_678_000,
        12_000,
        99.99,
    )
    assert (restart.name, restart.calls, restart.errors) == ("restart_syscall", 1, 0)
    assert (unknown.name, unknown.nr, unknown.errors) == ("syscall_0x1ce", 0x1CE, 1)
    assert native.total is not None
    assert (native.total.calls, native.total.errors, native.total.avg_ns) == (1_000_004, 113, None)
    assert (compat.rows[0].name, compat.rows[0].nr) == ("_llseek", 140)
    assert compat.total is not None
    assert (compat.total.calls, compat.total.errors) == (7, 0)
    assert native.complete
    assert compat.complete


def test_crlf_and_text_around() -> None:
    noisy = b"hello\nstrace: Process 7 attached\n" + OLD.replace(b"\n", b"\r\n") + b"bye\n"
    assert parse_tables(noisy) == parse_tables(OLD)


def test_x32_title() -> None:
    assert parse_tables(OLD.replace(b"32 bit", b"x32"))[1].abi == "x32"


def test_wall_columns_of_strace_7() -> None:
    (table,) = parse_tables(WALL_COLUMNS)
    (row,) = table.rows
    assert (row.wall_ns, row.wall_avg_ns, row.wall_min_ns, row.wall_max_ns, row.calls) == (
        1_000_005_000,
        500_002_000,
        5_000,
        1_000_000_000,
        2,
    )
    assert row.seconds_ns is None
    assert row.errors is None
    assert table.complete


def test_figures_wider_than_their_column() -> None:
    wide = OLD.replace(b"   1000000       112 read", b"   123456789012  12345678901 read")
    row = parse_tables(wide)[0].rows[0]
    assert (row.calls, row.errors) == (123456789012, 12345678901)


def test_no_row_and_no_table() -> None:
    head, dashes = OLD.split(b"\n")[:2]
    empty = b"\n".join([head, dashes, dashes, b"100.00    0.000000                     0           total", b""])
    (table,) = parse_tables(empty)
    assert table.rows == ()
    assert table.complete
    assert parse_tables(b"") == []


def test_foreign_line_is_counted() -> None:
    (table, _) = parse_tables(OLD.replace(b"  0.01 ", b"Segmentation fault, says the target\n  0.01 "))
    assert (len(table.rows), table.unread, table.complete) == (3, 1, False)


def test_every_prefix_of_a_table_reads() -> None:
    whole = [row for table in parse_tables(OLD) for row in table.rows]
    for cut in range(len(OLD)):
        tables = parse_tables(OLD[:cut])
        rows = [row for table in tables for row in table.rows]
        for row, right in zip(rows[:-1], whole, strict=False):
            assert row == right
        assert len(tables) < 2 or tables[0].complete
        assert not (cut < OLD.index(b"total") and any(table.complete for table in tables))


@given(st.binary(max_size=2000))
def test_no_bytes_raise(data: bytes) -> None:
    parse_tables(data)


@settings(max_examples=300)
@given(st.integers(0, len(OLD) - 1), st.binary(max_size=12), st.integers(0, 40))
def test_damaged_tables_do_not_raise(place: int, junk: bytes, gone: int) -> None:
    parse_tables(OLD[:place] + junk + OLD[place + gone :])


@pytest.mark.parametrize("flags", [[], ["-w"], ["-U", "name,max-time,errors,min-time,avg-time,calls,total-time"]])
def test_real_tables(tmp_path: Path, flags: list[str]) -> None:
    data = record(tmp_path, MIXED, ("-f", "-c", *flags)).read_bytes()
    (table,) = parse_tables(data)
    rows = {row.name: row for row in table.rows}
    stat = rows.get("newfstatat") or rows["stat"]
    assert table.complete
    assert table.abi == native_abi()
    assert stat.errors is not None
    assert stat.errors >= 17
    assert rows["execve"].calls is not None
    assert rows["execve"].calls >= 2
    assert table.total is not None
    assert table.total.errors == sum(row.errors or 0 for row in table.rows)
    if "-U" in flags:
        assert stat.min_ns is not None
        assert stat.max_ns is not None
        assert stat.avg_ns is not None
        assert stat.min_ns <= stat.avg_ns + 1000
        assert stat.avg_ns <= stat.max_ns
        assert stat.time_pct is None
