"""Our lines of calls that programs make now and then beside strace's own.

Of `records/text/rarer_calls.py`, `records/text/operations.py`, `records/text/local_sets.py`,
`records/text/process_controls.py` and `records/text/tracing.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.records.text.calls import SIGNATURES
from straced.records.text.lines import LineOptions, TextLines
from straced.records.text.rarer_calls import RARER
from tests.records.jobs import Job
from tests.records.made import call, facts, path
from tests.records.oracle import ENVIRONMENT, Comparison, joined, record_all, strace_lines, text_of
from tests.support.build import compile_programs

PLAIN = LineOptions(stamp="", durations=False, pids=False)
STRUCTURES = {"execve", "name_to_handle_at", "open_by_handle_at"}
"""Calls with something that strace follows and records do not hold."""


@pytest.mark.needs("strace", "cc")
def test_rarer_calls_are_told_as_strace_tells_them(tmp_path: Path) -> None:
    job = Job([str(compile_programs(tmp_path, name="rarer"))], ENVIRONMENT, str(tmp_path / "work"))
    theirs = strace_lines(job, tmp_path / "log")
    (recorded,) = record_all([job], tmp_path)
    found = Comparison()
    found.add(joined(text_of(recorded)), theirs)
    assert found.different == {}
    assert found.alone == []
    assert set(found.shortened) <= STRUCTURES
    assert found.equal.total() > 120


def lines(*records: object) -> list[str]:
    text = TextLines(facts(), PLAIN)
    return b"".join([*map(text.feed, records), text.flush()]).decode().splitlines()  # type: ignore[arg-type]


def test_a_path_that_was_read_is_told_of_a_call_that_nothing_else_is_known_of() -> None:
    """Of new calls as well, for which there is no signature yet."""
    name = "fchmodat2"
    assert name not in SIGNATURES
    assert lines(call(name, 3, 0x7000, 0o644, 0, blobs={1: path(b"/etc/x")}, result=-2)) == [
        'fchmodat2(0x3, "/etc/x", 0x1a4, 0)      = -1 ENOENT (No such file or directory)'
    ]


def test_the_version_of_landlock_is_no_descriptor() -> None:
    opened = call("openat", (1 << 64) - 100, 1, 0, 0, blobs={1: path(b"/etc/x")}, result=7)
    asked = call("landlock_create_ruleset", 0, 0, 1, result=7, at=1.1)
    assert lines(opened, asked, call("fsync", 7, at=1.2))[1:] == [
        "landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) = 7",
        "fsync(7</etc/x>)                        = 0",
    ]


def test_none_of_them_is_among_the_frequent_ones() -> None:
    assert not {"read", "openat", "mmap"} & RARER.keys()
    assert RARER.items() <= SIGNATURES.items()
