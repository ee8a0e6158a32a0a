"""A directory that root and another user write to, and what the other must not reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

TEXT = "precious"


class Shared(Struct):
    """``folder`` may be written to by everybody; ``private`` is root's, with ``victim`` in it."""

    folder: Path
    private: Path

    @property
    def victim(self) -> Path:
        return self.private / "victim"

    def assert_unharmed(self) -> None:
        """Nothing was written, made or changed where the other user wanted it."""
        found = self.victim.stat()
        assert self.victim.read_text() == TEXT
        assert (found.st_mode & 0o777, found.st_uid, found.st_size) == (0o600, os.geteuid(), len(TEXT))
        assert [path.name for path in self.private.iterdir()] == ["victim"]


@pytest.fixture(params=[0o1777, 0o777], ids=["sticky", "open"])
def shared(request: pytest.FixtureRequest, world: None) -> Iterator[Shared]:
    """Both kinds of directories that everybody may write to."""
    top = Path(tempfile.mkdtemp(prefix="straced-files-", dir="/tmp"))
    top.chmod(0o755)
    made = Shared(folder=top / "shared", private=top / "private")
    made.folder.mkdir()
    made.folder.chmod(request.param)
    made.private.mkdir(mode=0o700)
    made.victim.write_text(TEXT)
    made.victim.chmod(0o600)
    yield made
    shutil.rmtree(top)
