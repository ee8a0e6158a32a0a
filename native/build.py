"""Builds the native core of the reader of traces: ``python native/build.py [--sanitize] OUT``, unless it is there.

Used by the build hook of the wheel, by scripts/bootstrap and by the tests. Without a C compiler there is no core, and
the Python reader serves.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
FLAGS = ("-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
FAST = ("-O3",)
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def digest() -> str:
    """What tells these sources from others."""
    sources = sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def compiler() -> list[str] | None:
    """The C compiler: ``CC``, or the first of cc, gcc and clang; ``None``: there is none."""
    if chosen := shlex.split(os.environ.get("CC", "")):
        return chosen
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return None if found is None else [found]


def build(out: Path, *, sanitize: bool = False) -> bool:
    """Build the library, unless it is there and of these sources; whether it is there now."""
    mark = digest().encode()
    if out.exists() and mark in out.read_bytes():
        return True
    command = compiler()
    if command is None:
        return False
    made = out.with_name(f"{out.name}.{os.getpid()}")
    flags = [*FLAGS, *(SANITIZED if sanitize else FAST), f'-DSTRACED_SOURCES="{mark.decode()}"']
    done = subprocess.run(
        [*command, *flags, str(FOLDER / "reader.c"), "-o", str(made)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        made.unlink(missing_ok=True)
        print(f"the native reader of traces was not built:\n{done.stderr[-2000:]}", file=sys.stderr)
        return False
    made.replace(out)
    return True


if __name__ == "__main__":
    arguments = [each for each in sys.argv[1:] if each != "--sanitize"]
    sys.exit(not build(Path(arguments[0]), sanitize="--sanitize" in sys.argv))
