"""Programs that are run to compare what is recorded of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec


class Job(msgspec.Struct):
    """A program to be recorded."""

    argv: list[str]
    environment: dict[str, str]
    folder: str


def fresh(folder: str) -> None:
    """Make a folder anew, with one file in it: what a program finds is the same each time."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir()
    (Path(folder) / "a").write_text("a")
