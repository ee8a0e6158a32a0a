"""What the kernel refuses of an output, as the one typed error that is shown."""

from __future__ import annotations

import stat
from pathlib import Path

from straced.errors import OutputError, OutputExists, remedy
from straced.linux.opened_directory import OpenedDirectory
from straced.text.sanitize import scrub


def refused(path: Path, error: OSError | ValueError, what: str = "written") -> OutputError:
    """The error of an output that cannot be ``written``, or ``made``."""
    shown = scrub(str(path))
    if isinstance(error, FileExistsError):
        return OutputExists(f"{shown} exists", hint="choose another name, or overwrite=True")
    hint = remedy(error.errno) if isinstance(error, OSError) else ""
    return OutputError(f"{shown} cannot be {what}: {getattr(error, 'strerror', None) or error}", hint=hint)


def occupied(path: Path, mode: int) -> OutputError:
    """The error of a name that a directory, link, FIFO or device has."""
    shown = scrub(str(path))
    if stat.S_ISDIR(mode):
        return OutputError(f"{shown} is a directory", hint="name a file in it")
    kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISCHR, "a device"))
    kind = next((name for is_one, name in kinds if is_one(mode)), "not a regular file")
    return OutputError(f"{shown} is {kind}", hint="choose a regular file, or a new name")


def directory_of(path: Path, *, make: bool = False, what: str = "written") -> OpenedDirectory:
    """Open the directory that ``path`` is to be in.

    Raises:
        OutputError: there is none, and it names what is missing; or it cannot be used.
    """
    shown = scrub(str(path))
    try:
        return OpenedDirectory(path.parent, make=make)
    except FileNotFoundError as error:
        import shlex  # only here, for it takes start-up time

        raise OutputError(
            f"{shown} cannot be {what}: there is no directory {scrub(str(error.filename))}",
            hint=f"mkdir -p {shlex.quote(scrub(str(path.parent)))}",
        ) from error
    except NotADirectoryError as error:
        raise OutputError(f"{shown} cannot be {what}: {scrub(str(error.filename))} is no directory") from error
    except (OSError, ValueError) as error:
        raise refused(path, error, what) from error
