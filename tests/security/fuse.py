"""A FUSE mount of a user whose server answers everything but the flush of a file: closing one waits for ever.

Run as root: mounts on the folder given, becomes the user, says ``ready``, and serves until it is killed, which frees
whoever hangs. Arguments: FOLDER UID.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
import time

LOOKUP, FORGET, GETATTR, OPEN, RELEASE, FLUSH, INIT, OPENDIR = 1, 2, 3, 14, 18, 25, 26, 27
INTERRUPT, BATCH_FORGET = 36, 42
ENOSYS, ENOENT = 38, 2
MS_NOSUID, MS_NODEV = 2, 4


def attributes(node: int, uid: int) -> bytes:
    mode = 0o40755 if node == 1 else 0o100644
    return struct.pack("<QQQQQQIIIIIIIIII", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, uid, uid, 0, 4096, 0)


def answer(opcode: int, node: int, body: bytes, uid: int) -> bytes | int | None:
    """What is answered: bytes, an errno, or nothing at all."""
    if opcode == INIT:
        _major, minor, readahead = struct.unpack_from("<III", body)
        return struct.pack("<IIIIHHIIHHI28x", 7, min(minor, 31), readahead, 0, 16, 12, 65536, 1, 0, 0, 0)
    if opcode == LOOKUP:
        return struct.pack("<QQQQII", 2, 1, 60, 60, 0, 0) + attributes(2, uid) if body == b"file\0" else ENOENT
    if opcode == GETATTR:
        return struct.pack("<QII", 60, 0, 0) + attributes(node, uid)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("<QII", 1, 0, 0)
    if opcode in (FLUSH, FORGET, BATCH_FORGET, INTERRUPT):
        return None
    return b"" if opcode == RELEASE else ENOSYS


def serve(device: int, uid: int) -> None:
    while True:
        request = os.read(device, 1 << 20)
        _length, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        found = answer(opcode, node, request[40:], uid)
        if found is None:
            continue
        error, body = (-found, b"") if isinstance(found, int) else (0, found)
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def main(folder: str, uid: int) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={device},rootmode=40000,user_id={uid},group_id={uid},allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"straced-test", folder.encode(), b"fuse", MS_NOSUID | MS_NODEV, data):
        raise OSError(ctypes.get_errno(), "mount")
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    threading.Thread(target=serve, args=(device, uid), daemon=True).start()
    os.stat(folder)
    print("ready", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
