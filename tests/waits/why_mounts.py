"""A file system of its own for a stage: an ext4 image on a loop device, that can be frozen."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from why_require import need, need_root
from why_world import World

_KEEPER = 'read word; fsfreeze -u "$0" 2>/dev/null; umount "$0"'
"""Waits until the test is over, in whatever way, and leaves no frozen file system behind."""


class Mounted:
    """A mount that is thawed and gone when the stage is over, or when whoever runs the test dies."""

    def __init__(self, world: World) -> None:
        need_root()
        self.point = world.directory / "disk"
        self.point.mkdir()
        image = world.directory / "image"
        with image.open("wb") as file:
            file.truncate(8 << 20)
        made = _run("mkfs.ext4", "-q", "-F", str(image))
        made = made or _run("mount", "-o", "loop", str(image), str(self.point))
        need("loop", not made, made)
        command = ["sh", "-c", _KEEPER, str(self.point)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        world.cleanup(self._end)

    @property
    def device(self) -> str:
        """``7:0``."""
        number = os.stat(self.point).st_dev
        return f"{os.major(number)}:{os.minor(number)}"

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nobody can write to it; those who wait in a write can not even be killed, so it is thawed in any case."""
        subprocess.run(["fsfreeze", "-f", str(self.point)], check=True, timeout=30)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "-u", str(self.point)], check=True, timeout=30)

    def _end(self) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        assert self._keeper.wait(30) == 0, "the file system is still mounted"


def _run(*words: str) -> str:
    """What went wrong, ``""`` for nothing."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    return f"{words[0]}: {done.stderr.strip()}" if done.returncode else ""
