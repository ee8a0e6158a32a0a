"""Budgets of system calls, written down (test_saving_is_cheap) and recorded (syscalls.toml).

pytest --syscalls-record syscalls.toml writes the file anew; pytest --syscalls-check syscalls.toml is what CI runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import store


@pytest.mark.syscalls(max={"openat": 1, "write": 1}, none=["fsync", "rename"])
def test_saving_is_cheap(tmp_path: Path) -> None:
    store.save(tmp_path / "settings.json", {"colour": "blue"})


@pytest.mark.syscalls
def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    store.save(path, {"colour": "blue"})
    assert store.load(path) == {"colour": "blue"}
