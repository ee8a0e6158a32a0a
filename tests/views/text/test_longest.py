"""The longest call and the 99.9th percentile stand where there is room, and where one sorts by them."""

from __future__ import annotations

from pathlib import Path

from straced.views.text.report import render
from straced.views.text.summary import first_screen, plain
from tests.traces.written import lines, report_of


def head(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(" syscall"))


def test_wide_and_sorted(tmp_path: Path) -> None:
    short = [f"read(3, 0x1, 9) = 0 <0.{number:06d}>" for number in range(1, 998)]
    calls = [*short, *["read(3, 0x1, 9) = 0 <0.050000>"] * 3, "fsync(3) = 0 <0.400000>"]
    made = report_of(tmp_path, lines(*calls))
    row = made.summary.syscalls["read"]
    assert row.p99_ns is not None
    assert row.p999_ns is not None
    assert row.max_ns == 50_000_000
    assert row.p99_ns < row.p999_ns <= row.max_ns
    assert "max" not in head(plain(render(made)))
    assert head(plain(render(made, width=130))).split()[-2:] == ["p99.9", "max"]
    narrow = head(plain(first_screen(made.summary, width=54)))
    assert ("p50" in narrow, "p99" in narrow, "max" in narrow) == (False, True, True)
    narrower = head(plain(first_screen(made.summary, width=46)))
    assert ("p99" in narrower, "max" in narrower) == (True, False)
    by_max = plain(render(made, sort="max"))
    assert head(by_max).split()[-1] == "max"
    assert by_max.index(" fsync") < by_max.index(" read")
