"""What libbpf has to say: it goes to the logger ``straced.libbpf``, never to stderr.

Below warnings, of which a load makes a thousand, it is off until somebody sets its level.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import threading
from collections.abc import Iterator
from ctypes import c_char_p, c_int, c_size_t, c_void_p

from straced.logs import logger

log = logger.getChild("libbpf")
if log.level == logging.NOTSET:
    log.setLevel(logging.WARNING)

PRINTER = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_VA_LIST_BYTES = 32
"""On arm64. On x86-64 it has 24, and what stands behind it is copied, too."""
_MOST_BYTES = 65536
"""What is logged of one message."""


def _print(level: int, text: bytes, arguments: int) -> int:
    severity = logging.DEBUG if getattr(_expecting, "refusal", False) else _LEVELS[min(level, 2)]
    if log.isEnabledFor(severity):
        log.log(severity, "%s", _message(text, arguments).decode("utf-8", "backslashreplace").rstrip())
    return 0


PRINT = PRINTER(_print)  # kept for as long as the library may call it


def _message(text: bytes, arguments: int) -> bytes:
    """Format it; a va_list crosses as a pointer on x86-64 and arm64 alike.

    What a verifier writes may have megabytes, and why it refuses stands at the end: of a long one both ends are kept.
    """
    measured = ctypes.create_string_buffer(ctypes.string_at(arguments, _VA_LIST_BYTES), _VA_LIST_BYTES)
    length = _vsnprintf()(None, 0, text, measured)  # which uses up the list that it is given
    buffer = ctypes.create_string_buffer(length + 1)
    _vsnprintf()(buffer, len(buffer), text, arguments)
    told = buffer.value
    half = _MOST_BYTES // 2
    return told if len(told) <= _MOST_BYTES else b"%b\n[...]\n%b" % (told[:half], told[-half:])


@functools.cache
def _vsnprintf() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None).vsnprintf
    function.argtypes = (c_void_p, c_size_t, c_char_p, c_void_p)
    return function


@contextlib.contextmanager
def expecting_refusal() -> Iterator[None]:
    """What libbpf complains of in this thread meanwhile is an answer, and nobody's trouble: it is said at debug."""
    _expecting.refusal = True
    try:
        yield
    finally:
        _expecting.refusal = False


_expecting = threading.local()
