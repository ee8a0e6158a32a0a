"""The layout of what the programs for io_uring share with Python: ``bpf/uring.bpf.c``, verified as :mod:`.wire` is."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_uint32, c_uint64

from straced.model import histogram

OPERATIONS = 256
PLACES = 4096


class WireUringRow(ctypes.Structure):
    """Sums of one operation."""

    _fields_ = (
        ("submitted", c_uint64),
        ("completed", c_uint64),
        ("errors", c_uint64),
        ("silent", c_uint64),
        ("unseen", c_uint64),
        ("untracked", c_uint64),
        ("more", c_uint64),
        ("wall_ns", c_uint64),
        ("max_ns", c_uint64),
        ("error", c_uint64),
        ("histogram", c_uint64 * histogram.SIZE),
    )


class WireUringRequest(ctypes.Structure):
    """A request in flight."""

    _fields_ = (
        ("address", c_uint64),
        ("start_ns", c_uint64),
        ("ring", c_uint64),
        ("user_data", c_uint64),
        ("operation", c_uint32),
        ("silent", c_uint32),
    )


class WireUringState(ctypes.Structure):
    """Whose requests are counted, and what is missing."""

    _fields_ = (
        ("session", c_uint32),
        ("shots", c_uint32),
        ("overflowed", c_uint64),
        ("unplaced", c_uint64),
        ("spilled", c_uint64),
        ("places", WireUringRequest * PLACES),
    )


LAYOUTS: Mapping[str, type[ctypes.Structure]] = {
    "uring_row": WireUringRow,
    "request": WireUringRequest,
    "uring_state": WireUringState,
}
