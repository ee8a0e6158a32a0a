"""A thousand writes while another user exchanges what they meet."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from straced.errors import OutputError
from straced.linux.output_file import OutputFile
from straced.service.metrics.openmetrics import Totals
from tests.files.conftest import Shared
from tests.files.rival import swapping, within

pytestmark = pytest.mark.needs("root", "setpriv")
SECONDS = 20.0


def write(path: Path, number: int) -> int:
    """One write, by one of the ways there are; returns whether it was done."""
    if number % 2:
        Totals(10).write_textfile(str(path))
        return 0
    with contextlib.suppress(OutputError), OutputFile(path, overwrite=number % 4 == 0) as file:
        file.text.write("new")
    return 1


def test_the_names_of_a_file_are_exchanged(shared: Shared) -> None:
    names = ("out", ".out.new")
    tries = 0
    with swapping(shared.folder, shared.victim, *names, kinds="link dangling fifo file partial"):
        for number in within(SECONDS):
            write(shared.folder / "out", number)
            tries += 1
    assert tries >= 100
    shared.assert_unharmed()


def test_the_directory_is_exchanged_for_a_link(shared: Shared) -> None:
    tries = 0
    with swapping(shared.folder, shared.private, "way", kinds="link directory"):
        for number in within(SECONDS):
            write(shared.folder / "way" / "out", number)
            tries += 1
    assert tries >= 100
    shared.assert_unharmed()
