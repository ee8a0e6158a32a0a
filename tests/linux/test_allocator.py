"""A block as large as the kernel's type information goes back to the kernel each time that it is freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, sys
from straced.linux.allocator import return_large_blocks
if sys.argv[1] == "returned":
    return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.free.argtypes = (ctypes.c_void_p,)
for _ in range(3):  # the first one is mapped; what becomes of the next ones is the matter
    block = libc.malloc(6 << 20)
    ctypes.memset(block, 1, 6 << 20)
    libc.free(block)
print(int(open("/proc/self/statm").read().split()[1]) * 4096)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_large_blocks_are_returned() -> None:
    resident = {
        which: int(subprocess.run([sys.executable, "-c", SCRIPT, which], capture_output=True, check=True).stdout)
        for which in ("kept", "returned")
    }
    assert resident["kept"] - resident["returned"] > 5 << 20, resident
