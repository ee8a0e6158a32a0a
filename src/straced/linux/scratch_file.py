"""Files without a name, in the directory for temporary files, for what is needed twice and can be had once."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from straced.linux.output_refusals import refused

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def scratch_file() -> BinaryIO:
    """Open an empty one, which is gone when it is closed.

    Raises:
        OutputError: there is no directory for it.
    """
    with scratch_errors():
        return cast(BinaryIO, tempfile.TemporaryFile())


def give_back(fd: int, start: int, end: int) -> None:
    """Free the room of a part that nobody reads again, where the file system can; positions stay what they are.

    Args:
        fd: the file.
        start, end: in bytes.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    free = getattr(libc, "fallocate64", None) or libc.fallocate
    free(fd, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(end - start))


@contextlib.contextmanager
def scratch_errors() -> Iterator[None]:
    """Name the directory in what a full disk raises while such a file is written.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise refused(Path("TMPDIR"), error, "used") from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise refused(Path(tempfile.gettempdir()), error) from error
