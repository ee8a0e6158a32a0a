"""Files without a name, in the directory for temporary files, for what is needed twice and can be had once."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from straced.linux.output_refusals import refused

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def scratch_file() -> BinaryIO:
    """Open an empty one, which is gone when it is closed.

    Raises:
        OutputError: there is no directory for it.
    """
    with scratch_errors():
        return cast(BinaryIO, tempfile.TemporaryFile())


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
