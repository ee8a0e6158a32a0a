"""A FUSE mount whose files answer a read after a while; it says ``ready``, and serves until it is killed.

Arguments: FOLDER MILLISECONDS. Files are called by a number, hold one byte, and are there for whoever asks.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time

LOOKUP, GETATTR, OPEN, READ, RELEASE, INIT, OPENDIR = 1, 3, 14, 15, 18, 26, 27
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
ENOSYS, ENOENT = 38, 2
DIRECT_IO = 1
FIRST = 2
"""The node of file 0."""


def attributes(node: int) -> bytes:
    mode, size = (0o40755, 4096) if node == 1 else (0o100644, 1)
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode: int, node: int, body: bytes, seconds: float) -> bytes | int | None:
    """What is answered: bytes, an errno, or nothing at all."""
    if opcode == INIT:
        _major, minor, readahead = struct.unpack_from("<III", body)
        return struct.pack("<IIIIHHIIHHI28x", 7, min(minor, 31), readahead, 0, 16, 12, 65536, 1, 0, 0, 0)
    if opcode == LOOKUP:
        name = body.rstrip(b"\0")
        if not name.isdigit():
            return ENOENT
        found = FIRST + int(name)
        return struct.pack("<QQQQII", found, 1, 60, 60, 0, 0) + attributes(found)
    if opcode == GETATTR:
        return struct.pack("<QII", 60, 0, 0) + attributes(node)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("<QII", 1, DIRECT_IO, 0)
    if opcode == READ:
        time.sleep(seconds)
        return b"x"
    if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
        return None
    return b"" if opcode == RELEASE else ENOSYS


def serve(device: int, seconds: float) -> None:
    while True:
        request = os.read(device, 1 << 20)
        _length, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        found = answer(opcode, node, request[40:], seconds)
        if found is None:
            continue
        error, body = (-found, b"") if isinstance(found, int) else (0, found)
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def main(folder: str, milliseconds: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"straced-slow", folder.encode(), b"fuse", 6, data):
        raise OSError(ctypes.get_errno(), "mount")
    print("ready", flush=True)
    serve(device, float(milliseconds) / 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
