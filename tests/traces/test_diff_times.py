"""Times of two single runs: what a busy machine does to them is not taken for what the program does.

Of `traces/diff/times.py`.
"""

from __future__ import annotations

from pathlib import Path

from straced.traces.diff.compare import compare
from straced.traces.diff.profile import load
from straced.traces.diff.values import Difference
from straced.views.text.diff import render

NAMES = ("openat", "read", "write", "lseek", "fstat", "mmap")
USUAL_US = 50


def side(
    path: Path, *, times: dict[str, int] | None = None, all_us: int = USUAL_US, stall: str = "", more: str = ""
) -> str:
    """A trace of 40 calls of each name; ``stall`` is a call of which one takes 400 ms."""
    lines = ['1     1790000000.000000 execve("/bin/x", ["x"], 0x1 /* 1 var */) = 0 <0.000100>']
    for turn in range(40):
        for name in NAMES:
            each = (times or {}).get(name, all_us) * (1 + turn % 3 / 10)
            each = 400_000 if name == stall and turn == 20 else each
            lines.append(f"1     1790000000.{turn * 1000:06d} {name}(0x{turn:x}) = 3 <{each / 1e6:.6f}>")
    path.write_text("\n".join([*lines, *filter(None, [more])]) + "\n")
    return str(path)


def between(before: str, after: str) -> Difference:
    return compare([load(before)], [load(after)])


def test_one_long_call_does_not_hide_a_new_path(tmp_path: Path) -> None:
    missing = (
        '1     1790000001.000000 openat(AT_FDCWD, "/etc/gone.conf", O_RDONLY)'
        " = -1 ENOENT (No such file or directory) <0.000050>"
    )
    for stall in ("openat", "read", ""):
        found = between(side(tmp_path / "a"), side(tmp_path / "b", stall=stall, more=missing))
        assert (found.changes[0].kind, found.changes[0].name) == ("path", "/etc/gone.conf")


def test_a_call_that_got_slower_is_on_top(tmp_path: Path) -> None:
    found = between(side(tmp_path / "a"), side(tmp_path / "b", times={"write": 5 * USUAL_US}))
    assert [change.name for change in found.changes] == ["write"]
    assert found.notes == ()


def test_a_slower_machine_is_a_note(tmp_path: Path) -> None:
    found = between(side(tmp_path / "a"), side(tmp_path / "b", all_us=4 * USUAL_US))
    assert found.changes == ()
    assert "4.0 times as long" in found.notes[0]
    both = between(side(tmp_path / "a"), side(tmp_path / "b", all_us=4 * USUAL_US, times={"read": 40 * USUAL_US}))
    assert [change.name for change in both.changes] == ["read"]


def test_what_is_left_of_much_is_not_nothing(tmp_path: Path) -> None:
    """16.5 s before and 449 us after are no -100 %."""
    found = between(side(tmp_path / "a", times={"read": 400_000}), side(tmp_path / "b", all_us=1))
    said = "".join(span.text for line in render(found) for span in line)
    assert "-99.9 %" in said
    assert "took less than 0.1 times as long" in said
