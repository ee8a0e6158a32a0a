"""Another user who may write where root writes, and who plants names there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.owner import python_of_nobody

NOBODY = 65534
SWAPS = """
import os, signal, sys
folder, victim, *names = sys.argv[1:]
swaps = 0
def told(*_):
    print(swaps, flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, told)
os.chdir(folder)
def away(name):
    try:
        os.unlink(name)
    except IsADirectoryError:
        try:
            os.rename(name, ".away%d" % swaps)
        except OSError:
            pass
    except OSError:
        pass
def directory(name):
    os.mkdir(name)
    os.chmod(name, 0o777)
ways = {
    "link": lambda name: os.symlink(victim, name),
    "dangling": lambda name: os.symlink(victim + ".new", name),
    "fifo": os.mkfifo,
    "file": lambda name: os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o666)),
    "directory": directory,
}
kinds = os.environ["KINDS"].split()
print("ready", flush=True)
while True:
    partial = [name for name in os.listdir(".") if name.startswith(".straced")] if "partial" in kinds else []
    for kind in kinds:
        for name in (*names, *partial):
            if kind in ways:
                away(name)
                try:
                    ways[kind](name)
                    swaps += 1
                except OSError:
                    pass
"""


def as_nobody(code: str, *words: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Run Python as nobody."""
    argv = [python_of_nobody(), "-I", "-S", "-c", code, *map(str, words)]
    return subprocess.Popen(
        argv, user=NOBODY, group=NOBODY, extra_groups=[], env=env or {}, cwd="/", stdout=subprocess.PIPE, text=True
    )


def plant(code: str, folder: Path) -> None:
    """Have nobody run some statements in a folder."""
    process = as_nobody(f"import os; os.chdir({str(folder)!r}); {code}")
    process.communicate(timeout=20)
    assert process.returncode == 0, code


@contextmanager
def swapping(folder: Path, victim: Path, *names: str, kinds: str) -> Iterator[None]:
    """While the block runs nobody exchanges what has these names, as fast as a machine can; it must have had a chance.

    Args:
        kinds: what takes turns under each name; ``partial``: under each temporary name too, as it comes.
    """
    process = as_nobody(SWAPS, folder, victim, *names, env={"KINDS": kinds})
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
        os.kill(process.pid, signal.SIGTERM)
        swaps = int(process.communicate(timeout=20)[0])
    finally:
        process.kill()
        process.communicate()
    assert swaps > 100, "the rival had a chance"


def within(seconds: float) -> Iterator[int]:
    """Count tries: a thousand, or as many as there is time for."""
    end = time.monotonic() + seconds
    for number in range(1000):
        if time.monotonic() > end:
            return
        yield number
