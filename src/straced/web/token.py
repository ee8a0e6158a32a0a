"""The secret that lets a browser in: random, in a file of the service's owner alone, kept over restarts.

It goes to the browser as the fragment of a URL, which browsers send to nobody.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path

from straced.config.schema import ConfigError
from straced.errors import OutputError
from straced.linux.output_file import OutputFile

_TOKEN = re.compile(r"http://[^\s#]+/#([A-Za-z0-9_-]{43})\n")
BITS = 256


class TokenFile:
    """The file with the URL that opens the page; removing it makes the next start take another token.

    Args:
        path: in a directory that is the owner's alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = self._read() or secrets.token_urlsafe(BITS // 8)

    def write(self, authority: str) -> str:
        """Write the URL of the page at ``authority`` (``127.0.0.1:8321``) and return it.

        Raises:
            ConfigError: it cannot be written.
        """
        url = f"http://{authority}/#{self.token}"
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(self.path.lstat().st_mode):
                self.path.unlink()  # in our own directory, and not ours: it makes way
        try:
            with OutputFile(self.path, overwrite=True) as file:
                file.text.write(f"{url}\n")
        except OutputError as error:
            raise ConfigError(error.reason, hint="choose another state directory") from error
        return url

    def _read(self) -> str | None:
        """The token of an earlier start; ``None`` when somebody else could know or have made it."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = os.fstat(fd)
            private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
            text = os.read(fd, 4096).decode("latin-1") if private else ""
        finally:
            os.close(fd)
        match = _TOKEN.fullmatch(text)
        return None if match is None else match[1]
