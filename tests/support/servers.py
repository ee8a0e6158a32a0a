"""Where the programs of servers are: Debian keeps some outside an ordinary user's path, PostgreSQL's by version."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_OF_ROOT = "/usr/local/sbin:/usr/sbin:/sbin"


def server_program(name: str) -> str | None:
    """The path of a program; ``None`` when it is not installed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_OF_ROOT}")
    if found is not None:
        return found
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: path.parts[4].zfill(3))
    return str(versions[-1]) if versions else None
