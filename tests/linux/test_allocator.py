"""A block as large as the kernel's type information goes back to the kernel each time that it is freed, and what one
thread has freed is there for the next."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
START = """
import ctypes, sys
from straced.linux.allocator import return_large_blocks
if sys.argv[1] == "returned":
    return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.free.argtypes = (ctypes.c_void_p,)
"""
END = """
print(int(open("/proc/self/statm").read().split()[1]) * 4096)
"""
LARGE = """
for _ in range(3):  # the first one is mapped; what becomes of the next ones is the matter
    block = libc.malloc(6 << 20)
    ctypes.memset(block, 1, 6 << 20)
    libc.free(block)
"""
THREADS = """
import threading
def work(before, after):
    before.wait()
    blocks = [libc.malloc(3000) for _ in range(1000)]
    for block in blocks:
        ctypes.memset(block, 1, 3000)
    held = libc.malloc(3000)  # so that the end of the arena does not go back
    for block in blocks:
        libc.free(block)
    after.set()
    turns[-1].wait()
turns = [threading.Event() for _ in range(5)]
threads = [threading.Thread(target=work, args=turn) for turn in zip(turns, turns[1:])]
for thread in threads:
    thread.start()
turns[0].set()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("work", [LARGE, THREADS], ids=["large", "threads"])
def test_what_is_freed_is_not_kept(work: str) -> None:
    resident = {
        which: int(
            subprocess.run([sys.executable, "-c", START + work + END, which], capture_output=True, check=True).stdout
        )
        for which in ("kept", "returned")
    }
    assert resident["kept"] - resident["returned"] > 5 << 20, resident
