"""ctypes signatures of the native core (``native/`` in the sources), and no policy but whether it is used.

The core has no Python in it. Calls that read a block let other threads run; the small ones do not, for that costs more
than they do.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from straced.traces.native import choice
from straced.traces.parsing.line_format import Form

OUT_OF_MEMORY = -1
_TEXT = (c_char_p, c_size_t)

_LONG: dict[str, tuple[object, tuple[object, ...]]] = {
    "straced_tally_feed": (c_int64, (c_void_p, c_char_p, c_size_t, c_uint64, POINTER(c_uint64))),
    "straced_clocks": (c_int, (POINTER(c_int32), c_char_p, c_size_t, POINTER(c_int64))),
    "straced_ordered_feed": (c_int64, (c_void_p, c_char_p, c_size_t, c_size_t, c_uint64, POINTER(c_uint64))),
    "straced_count": (c_size_t, (c_char_p, c_size_t)),
    "straced_contains": (c_int, (c_char_p, c_size_t, c_char_p, c_size_t)),
}
_SHORT: dict[str, tuple[object, tuple[object, ...]]] = {
    "straced_tally_new": (c_void_p, (POINTER(c_int32), c_uint64, c_uint64)),
    "straced_tally_free": (None, (c_void_p,)),
    "straced_tally_others": (c_void_p, (c_void_p,)),
    "straced_tally_births": (c_void_p, (c_void_p,)),
    "straced_tally_ticks": (c_int64, (c_void_p, POINTER(c_void_p))),
    "straced_tally_rows": (c_int64, (c_void_p, POINTER(c_void_p))),
    "straced_tally_bursts": (c_int64, (c_void_p, POINTER(c_void_p))),
    "straced_ordered_new": (c_void_p, (POINTER(c_int32), POINTER(c_uint64), c_uint64)),
    "straced_ordered_events": (c_void_p, (c_void_p,)),
    "straced_ordered_free": (None, (c_void_p,)),
    "straced_ordered_role": (c_int, (c_void_p, *_TEXT, c_int)),
    "straced_ordered_floor": (None, (c_void_p, *_TEXT, c_int64)),
    "straced_ordered_use": (
        c_int, (c_void_p, c_int, *_TEXT, *_TEXT, *_TEXT, c_int, c_uint64, c_int64, c_int64, c_int64, c_uint64),
    ),
    "straced_ordered_lock": (c_int, (c_void_p, c_int64, *_TEXT, c_int64, c_int64, c_uint64)),
    "straced_ordered_idle": (c_int, (c_void_p, c_int64, *_TEXT, *_TEXT, c_int64, c_int64, c_uint64)),
    "straced_ordered_sums": (c_int64, (c_void_p, POINTER(c_void_p))),
    "straced_task_new": (c_void_p, (c_void_p, c_int64, c_int64)),
    "straced_task_end": (None, (c_void_p, c_void_p)),
    "straced_task_pid": (c_int64, (c_void_p,)),
    "straced_task_busy": (c_int, (c_void_p,)),
    "straced_task_join": (None, (c_void_p, c_int64)),
    "straced_task_table": (c_void_p, (c_void_p,)),
    "straced_task_share": (None, (c_void_p, c_void_p, c_void_p)),
    "straced_task_entered": (c_int, (c_void_p, POINTER(c_void_p), POINTER(c_void_p), POINTER(c_uint64))),
    "straced_task_enter": (c_int, (c_void_p, c_void_p, *_TEXT, *_TEXT, c_uint64)),
    "straced_table_new": (c_void_p, (c_void_p, *_TEXT, *_TEXT)),
    "straced_table_copy": (c_void_p, (c_void_p,)),
    "straced_table_drop": (None, (c_void_p, c_void_p)),
    "straced_table_text": (c_void_p, (c_void_p, c_int, c_int64, POINTER(c_size_t))),
    "straced_table_set": (c_int, (c_void_p, c_void_p, c_int64, *_TEXT, c_int)),
    "straced_table_folder": (c_int, (c_void_p, c_void_p, *_TEXT)),
    "straced_table_close": (c_int, (c_void_p, c_void_p, c_int64, c_int64, c_int)),
}  # fmt: skip


class NativeLibrary:
    """The functions of the core, by name without ``straced_``."""

    def __init__(self, path: Path) -> None:
        for kind, signatures in ((ctypes.CDLL, _LONG), (ctypes.PyDLL, _SHORT)):
            library = kind(str(path))
            for name, (result, arguments) in signatures.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name.removeprefix("straced_"), function)
        self.sources = (ctypes.c_char * 16).in_dll(library, "straced_sources").value.decode()
        """The digest of the sources that it was built from."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@functools.cache
def _loaded(path: Path) -> NativeLibrary | None:
    try:
        return NativeLibrary(path)
    except (OSError, AttributeError, ValueError):
        return None


def library() -> NativeLibrary | None:
    """Return the core; ``None`` where it was not built, or is not wanted."""
    return _loaded(choice.PATH) if choice.is_wanted() else None


def flags_of(form: Form) -> tuple[int, ...]:
    """What the core has to know of the form of cleaned lines."""
    return (form.comm, form.clock is not None, form.relative_too, form.brackets, form.durations, form.paths)


def check(result: int) -> int:
    """Return a result of the core.

    Raises:
        MemoryError: there was not enough for it.
    """
    if result == OUT_OF_MEMORY:
        raise MemoryError("the reader of the trace ran out of memory")
    return result
