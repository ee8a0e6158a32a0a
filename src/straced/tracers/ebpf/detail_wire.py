"""The layout of what the programs with details share with Python: ``bpf/details*.h``, verified as :mod:`.wire` is."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_uint8, c_uint16, c_uint32, c_uint64

from straced.model import histogram
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.record_wire import WireBlob, WireCapture, WirePlan, WireRecord

WAITS, FROM_HERE, ENDS, BYTES, OPENS = 1, 2, 4, 8, 16
"""Flags of a plan."""
NO_LIMIT = (1 << 64) - 1
FILE_ROWS = 16384
TURNS = 4096
"""Sockets of which it is kept when something was last sent."""
BY_OTHERS, BY_UNIX, BY_UNIX_OWN, BY_FAMILY = 3, 4, 5, 8
BY_PEER, BY_PEER_6, BY_CLIENT, BY_CLIENT_6, BY_OWN, BY_OWN_6 = 16, 17, 18, 19, 20, 21
"""What rows of files are told apart by; also by inode and by path. Those of the Internet have the protocol above."""
PROTOCOL_SHIFT = 8
SLOW_NAME = 2
"""What stands in the ring is the name of such a row, and no call."""


class WireDetailPlan(ctypes.Structure):
    """What is told of a call besides what its plan says."""

    _fields_ = (
        ("descriptors", c_uint8),
        ("flags", c_uint8),
        ("address", c_uint8),
        ("turn", c_uint8),
        ("unused", c_uint8 * 4),
    )


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
        ("files", c_uint32),
        ("unplaced", c_uint64),
    )


class WireSlowHead(ctypes.Structure):
    """What stands before the record of a slow call."""

    _fields_ = (("session", c_uint32), ("peeked", c_uint32), ("comm", c_char * 16))


class WireSlowCall(ctypes.Structure):
    """A slow call without what its arguments point to."""

    _fields_ = (("head", WireSlowHead), ("record", WireRecord))


class DetailsState(ctypes.Structure):
    """The lowest limit of all sessions, and how many want sums by file."""

    _fields_ = (("least_ns", c_uint64), ("files", c_uint32), ("unused", c_uint32))


class WireFileKey(ctypes.Structure):
    """What tells a row of files from others."""

    _fields_ = (
        ("session", c_uint32),
        ("kind", c_uint16),
        ("port", c_uint16),
        ("one", c_uint64),
        ("two", c_uint64),
    )


class WireFileRow(ctypes.Structure):
    """Sums of a file, a path or a peer."""

    _fields_ = (
        ("calls", c_uint64),
        ("errors", c_uint64),
        ("bytes", c_uint64),
        ("wall_ns", c_uint64),
        ("waiting_ns", c_uint64),
        ("max_ns", c_uint64),
        ("replies", c_uint64),
        ("reply_ns", c_uint64),
        ("reply_max_ns", c_uint64),
        ("syncs", c_uint64),
        ("sync_ns", c_uint64),
        ("named", c_uint32),
        ("error", c_uint32),
        ("histogram", c_uint32 * histogram.SIZE),
    )


class WireFileTold(ctypes.Structure):
    """What stands before the name of a row of files."""

    _fields_ = (("head", WireSlowHead), ("key", WireFileKey))


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
    "file_key": WireFileKey,
    "file_row": WireFileRow,
    "file_told": WireFileTold,
}
HEAD_BYTES = ctypes.sizeof(WireSlowHead)
