"""Error numbers to the names that strace prints."""

from __future__ import annotations

import errno
import functools

_PREFERRED = {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP"}
"""Where a number has two names, the one in the kernel's own tables (include/uapi/asm-generic/errno.h)."""


@functools.cache
def errno_name(code: int) -> str:
    """``ENOENT`` for 2; ``ERRNO_600`` for one that has no name."""
    return _PREFERRED.get(code) or errno.errorcode.get(code) or f"ERRNO_{code}"
