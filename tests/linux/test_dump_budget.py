"""Dumps in a directory are bounded in bytes and days. Of `linux/dump_budget.py`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from straced.errors import OutputError
from straced.linux.dump_budget import DumpFolder

DAY = 86400


def made(path: Path, size: int, when: float) -> Path:
    path.write_bytes(bytes(size))
    os.utime(path, (when, when))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> DumpFolder:
    return DumpFolder(tmp_path, 1000, 2.0, clock=lambda: 10.0 * DAY)


def test_the_oldest_go_for_a_new_one(folder: DumpFolder) -> None:
    old = made(folder.folder / "signal-1-20260101T000000.strc", 400, 9.0 * DAY)
    new = made(folder.folder / "signal-1-20260101T000001.strc", 400, 9.5 * DAY)
    path = folder.new("signal", 7, 300)
    assert (old.exists(), new.exists()) == (False, True)
    assert (path.parent, path.name, path.exists()) == (folder.folder, "signal-7-19700111T000000.strc", False)


def test_what_is_too_old_goes(folder: DumpFolder) -> None:
    old = made(folder.folder / "alert-1-20260101T000000.strc", 1, 7.0 * DAY)
    new = made(folder.folder / "alert-1-20260101T000001.strc", 1, 9.0 * DAY)
    assert folder.keep_within(1000) == [old]
    assert new.exists()


def test_other_files_are_left_alone(folder: DumpFolder, tmp_path: Path) -> None:
    others = [made(tmp_path / name, 5000, 1.0) for name in ("mine.strc", "signal-1.strc", "x-1-20260101T000000.txt")]
    (tmp_path / "signal-1-20260101T000000.strc").symlink_to(others[0])
    folder.new("signal", 7, 1000)
    assert all(path.exists() for path in others)
    assert (tmp_path / "signal-1-20260101T000000.strc").is_symlink()


def test_a_name_is_given_once(folder: DumpFolder) -> None:
    first = made(folder.new("signal", 7, 10), 10, 10.0 * DAY)
    second = folder.new("signal", 7, 10)
    assert (first.name, second.name) == ("signal-7-19700111T000000.strc", "signal-7-19700111T000000-1.strc")
    made(second, 10, 9.9 * DAY)
    assert folder.keep_within(10) == [second]


def test_what_is_larger_than_all_may_be_is_refused(folder: DumpFolder) -> None:
    kept = made(folder.folder / "signal-1-20260101T000000.strc", 900, 10.0 * DAY)
    with pytest.raises(OutputError, match="more than all dumps may be"):
        folder.new("signal", 7, 1001)
    assert kept.exists()


def test_no_directory_is_none_to_clear(tmp_path: Path) -> None:
    folder = DumpFolder(tmp_path / "none", 1000, 1.0)
    assert folder.keep_within(0) == []
    assert folder.new("signal", 1, 1).parent == tmp_path / "none"


def test_what_was_not_finished_when_its_process_was_killed(tmp_path: Path) -> None:
    """It goes where nobody else writes, and what is being written stays, whoever has the number of whom by now."""
    old = made(tmp_path / f".straced-{os.getpid()}-0123456789abcdef.partial", 5000, 9.0 * DAY)
    others = [made(tmp_path / name, 10, 1.0) for name in (".straced-1-0.partial", "mine.partial")]
    DumpFolder(tmp_path, 1000, 2.0, clock=lambda: 10.0 * DAY).new("signal", 7, 1000)
    assert old.exists()
    alone = DumpFolder(tmp_path, 1000, 2.0, clock=lambda: 10.0 * DAY, alone=True)
    now = made(tmp_path / ".straced-7-0123456789abcdef.partial", 10, 10.0 * DAY)
    assert alone.keep_within(1000) == [old]
    assert all(path.exists() for path in (now, *others))
