"""Small questions about a whole block, asked of the native core."""

from __future__ import annotations

import ctypes

from straced.traces.analysis.clocks import InOrder
from straced.traces.native.library import NativeLibrary, flags_of
from straced.traces.parsing.line_format import Form


def in_order(library: NativeLibrary | None, form: Form) -> InOrder | None:
    """Return what tells whether the clocks of a block are in order; ``None`` without the core."""
    if library is None:
        return None
    flags = (ctypes.c_int32 * 6)(*flags_of(form))
    ends = (ctypes.c_int64 * 2)()

    def ask(block: bytes) -> tuple[int, int] | None:
        return (ends[0], ends[1]) if library.clocks(flags, block, len(block), ends) else None

    return ask
