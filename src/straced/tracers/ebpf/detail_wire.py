"""The layout of what the programs with details share with Python: ``bpf/details*.h``, verified as :mod:`.wire` is."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_uint8, c_uint16, c_uint32, c_uint64

from straced.tracers.ebpf import wire
from straced.tracers.ebpf.record_wire import WireBlob, WireCapture, WirePlan, WireRecord

WAITS, FROM_HERE, ENDS = 1, 2, 4
"""Flags of a plan."""
NO_LIMIT = (1 << 64) - 1


class WireDetailPlan(ctypes.Structure):
    """What is told of a call besides what its plan says."""

    _fields_ = (("descriptors", c_uint8), ("flags", c_uint8), ("unused", c_uint8 * 6))


class WireSlowLimit(ctypes.Structure):
    """The limit of a session, and what became of the calls over it."""

    _fields_ = (
        ("slower_ns", c_uint64),
        ("seen", c_uint64),
        ("told", c_uint64),
        ("untold", c_uint64),
        ("lost", c_uint64),
        ("waits", c_uint64),
        ("second", c_uint64),
        ("used", c_uint32),
        ("rate", c_uint32),
        ("with_waits", c_uint32),
        ("unused", c_uint32),
    )


class WireSlowHead(ctypes.Structure):
    """What stands before the record of a slow call."""

    _fields_ = (("session", c_uint32), ("peeked", c_uint32), ("comm", c_char * 16))


class WireSlowCall(ctypes.Structure):
    """A slow call without what its arguments point to."""

    _fields_ = (("head", WireSlowHead), ("record", WireRecord))


class DetailsState(ctypes.Structure):
    """The lowest limit of all sessions."""

    _fields_ = (("least_ns", c_uint64),)


class WireFileName(ctypes.Structure):
    """What stands before the pieces of a path."""

    _fields_ = (
        ("mode", c_uint32),
        ("flags", c_uint32),
        ("inode", c_uint64),
        ("magic", c_uint64),
        ("device", c_uint32),
        ("pieces", c_uint32),
    )


class WireSocketName(ctypes.Structure):
    """What stands before the name of a socket of AF_UNIX."""

    _fields_ = (
        ("family", c_uint16),
        ("type", c_uint16),
        ("protocol", c_uint16),
        ("state", c_uint16),
        ("local_port", c_uint16),
        ("peer_port", c_uint16),
        ("of_peer", c_uint32),
        ("inode", c_uint64),
        ("local", c_uint8 * 16),
        ("peer", c_uint8 * 16),
    )


LAYOUTS: dict[str, type[ctypes.Structure]] = {
    **wire.LAYOUTS,
    "capture": WireCapture,
    "plan": WirePlan,
    "record": WireRecord,
    "blob": WireBlob,
    "detail_plan": WireDetailPlan,
    "slow_limit": WireSlowLimit,
    "slow_head": WireSlowHead,
    "slow_call": WireSlowCall,
    "details_state": DetailsState,
    "file_name": WireFileName,
    "socket_name": WireSocketName,
}
HEAD_BYTES = ctypes.sizeof(WireSlowHead)
