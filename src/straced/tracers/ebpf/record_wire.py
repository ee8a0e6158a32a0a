"""The layout of what the recording programs share with Python: ``bpf/record_*.h``, verified as :mod:`.wire` is."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_uint8, c_uint16, c_uint32, c_uint64

from straced.records.values import NUMBERS
from straced.tracers.ebpf import wire

PART = 1 << 16
"""A sub-buffer of a ring."""
SLACK = 32768
PARTS_MAX = 1024
RING_MOST = PART * PARTS_MAX
PLACES = 6 * NUMBERS
PLAN_WANTED, PLAN_EXEC, PLAN_GIVEN = 1, 2, 4
KEEP_ALL, KEEP_FROM, KEEP_NOTHING = 0, 1, 2
NOT_YET = (1 << 64) - 1
CAPTURES = 3
STRUCTURE_BYTES = 144
GIVEN_BYTES = 16


class Ring(ctypes.Structure):
    """The positions of one CPU's ring."""

    _fields_ = (
        ("head", c_uint64),
        ("tail", c_uint64),
        ("ready", c_uint64),
        ("untold", c_uint64),
        ("gone", c_uint64),
        ("limit", c_uint64),
        ("done", c_uint64 * PARTS_MAX),
    )


class WireFate(ctypes.Structure):
    """What became of the calls of a number without a record."""

    _fields_ = (("filtered", c_uint64), ("lost", c_uint64))


class Tally(ctypes.Structure):
    """Records by place."""

    _fields_ = (("records", c_uint64 * PLACES),)


class RecordingConfig(ctypes.Structure):
    """Set before the load."""

    _fields_ = (
        ("ring_bytes", c_uint32),
        ("failed_only", c_uint32),
        ("slower_ns", c_uint64),
        ("overwrite", c_uint32),
        ("reserve", c_uint32),
    )


class RecordingState(ctypes.Structure):
    """Whether it is closed, and began with a gate; what ``count`` is to do."""

    _fields_ = (
        ("closed", c_uint32),
        ("table", c_uint32),
        ("before_ns", c_uint64),
        ("gated", c_uint32),
        ("unused", c_uint32),
    )


class WireCapture(ctypes.Structure):
    """What is read of one argument."""

    _fields_ = (("argument", c_uint8), ("kind", c_uint8), ("bytes", c_uint8), ("sized", c_uint8))


class WirePlan(ctypes.Structure):
    """What is written of one call."""

    _fields_ = (
        ("nargs", c_uint8),
        ("flags", c_uint8),
        ("unused", c_uint16),
        ("captures", WireCapture * CAPTURES),
    )


class WireRecord(ctypes.Structure):
    """A record with all arguments that there may be."""

    _fields_ = (
        ("size", c_uint16),
        ("kind", c_uint8),
        ("nargs", c_uint8),
        ("tid", c_uint32),
        ("pid", c_uint32),
        ("key", c_uint32),
        ("end_ns", c_uint64),
        ("duration_ns", c_uint64),
        ("waiting_ns", c_uint64),
        ("result", c_int64),
        ("args", c_uint64 * 6),
    )


class WireBlob(ctypes.Structure):
    """What stands before the bytes of a blob."""

    _fields_ = (("bytes", c_uint16), ("argument", c_uint8), ("kind", c_uint8), ("unused", c_uint32))


LAYOUTS: dict[str, type[ctypes.Structure]] = {
    **wire.LAYOUTS,
    "ring": Ring,
    "fate": WireFate,
    "tally": Tally,
    "recording_config": RecordingConfig,
    "recording_state": RecordingState,
    "capture": WireCapture,
    "plan": WirePlan,
    "record": WireRecord,
    "blob": WireBlob,
}


def place_of(key: int) -> int:
    """Where plan and fate of a key stand: numbers from 2,047 on share one."""
    return (key >> wire.KEY_NR_BITS) * NUMBERS + min(key & wire.KEY_NR_MASK, NUMBERS - 1)
