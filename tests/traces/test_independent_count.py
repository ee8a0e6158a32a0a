"""An independent counter agrees, call by call and errno by errno, in every form that a strace here writes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from straced.traces.values import TraceReport
from tests.support.pace import PACE
from tests.traces.independent_count import Counted, count
from tests.traces.recorded import ENVIRONMENT, need, report
from tests.traces.test_damage import mutate

PROGRAM = """
import os, subprocess, threading
for name in ('/nope', '/nope/x', 'a) = -1 EPERM (x)', 'b <0.5>', '<unfinished ...>', '\\x1b[1m'):
    try: os.stat(name)
    except OSError: pass
    try: os.close(os.open(name, os.O_RDONLY))
    except OSError: pass
t = [threading.Thread(target=os.getppid) for _ in range(3)]
[x.start() for x in t]; [x.join() for x in t]
r, w = os.pipe(); os.write(w, b'hello'); os.read(r, 9)
subprocess.run(['sh', '-c', 'ls /nope; exit 3'], stderr=subprocess.DEVNULL)
"""
CLOCKS = ("", "-t", "-tt", "-ttt", "-r", "-r -tt")
MORE = (
    "",
    "-T",
    "-T -y",
    "-yy -s 64",
    "-T -i -n",
    "-Y -y",
    "-X raw",
    "-X verbose -T",
    "-x",
    "-xx -T",
    "-v -T",
    "-C -T",
    "-k",
)
NEWER = ("-N", "-N -T -yy", "--color=always -T", "--always-show-pid", "-N --color=always")
"""Of strace 6.9 to 7.2."""


def record_with(strace: str, flags: str, path: Path, *, terminal: bool) -> Path:
    """Trace the program into a file, or into what would be a terminal."""
    argv = [*strace.split(), "-f", *flags.split(), *([] if terminal else ["-o", str(path)])]
    with path.open("wb") if terminal else open(os.devnull, "wb") as stderr:
        subprocess.run(
            [*argv, sys.executable, "-I", "-S", "-c", PROGRAM],
            env=ENVIRONMENT, stderr=stderr, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60 * PACE,
            check=True,
        )  # fmt: skip
    return path


def of_report(made: TraceReport) -> Counted:
    """The same of a report: what was entered again is a call of its own there."""
    calls = Counter({row.name: (row.calls or 0) + (row.restarts or 0) for row in made.summary.rows})
    errors = Counter({(row.name, errno): n for row in made.summary.rows for errno, n in (row.errno or {}).items()})
    return Counted(+calls, +errors)


def agree(path: Path, *, damaged: bool = False) -> None:
    made, counted = report(path), count(path)
    found = of_report(made)
    assert found.calls == counted.calls
    assert found.errors == counted.errors
    assert of_report(report(path, counts=True)) == found
    if not damaged:
        assert sum(counted.calls.values()) > 200
        assert (made.unread, made.summary.quality.kind) == (0, "exact"), made.unread_lines[:3]


@pytest.mark.parametrize(("number", "more"), list(enumerate(MORE)), ids=str)
def test_every_form(tmp_path: Path, number: int, more: str) -> None:
    flags = f"{CLOCKS[number % len(CLOCKS)]} {more}"
    agree(record_with(need("strace"), flags, tmp_path / "log", terminal=number % 2 == 0))


@pytest.mark.parametrize("flags", NEWER)
def test_forms_of_newer_straces(tmp_path: Path, flags: str) -> None:
    """With the strace that is installed, or the one that STRACED_NEWER_STRACE names (a command)."""
    strace = os.environ.get("STRACED_NEWER_STRACE") or shutil.which("strace") or ""
    known = subprocess.run(
        [*strace.split(), *flags.split(), "true"], capture_output=True, timeout=60 * PACE, check=False
    )
    if known.returncode:
        pytest.skip(f"strace {flags} is not known here: STRACED_NEWER_STRACE='...' names a newer one")
    agree(record_with(strace, flags, tmp_path / "log", terminal=True))


def test_damage_before_a_call(tmp_path: Path) -> None:
    """A number that is damaged is no reason to leave the call out; a field that is none of strace's is."""
    lead = "27025 17:33:57.382418 (+     0.000018) [ 257] [00007f2ce6311bc4] "
    call = "getppid() = 1 <0.000003>"
    damaged = (
        ".188103 (+     0.000016) [ 334] [00007f2ce6b83f59] ",
        "27025 17:38 (+ 0.0000:19) [ 257] [0000] ",
        "27025 17:33:57.2 (+     0.000\x1b) [ 257] [0000] ",
        "27025 17:33:57.2 (+ 0.1) [ 257] [00 = -1 E (x)] ",
    )
    path = tmp_path / "log"
    path.write_text("".join(f"{each}{call}\n" for each in (*[lead] * 9, *damaged)))
    agree(path, damaged=True)
    assert report(path).summary.total.calls == 11
    torn = "17:33:52.989335 newfstatat(3, {st_size=5, ...}, A\n17:33:52.98934tl(3, TCGETS) = -1 ENOTTY (Not a tty)\n"
    torn += '17:39:44.0 openat(AT_FDCWD, "/r\n17:3>:44 openat(AT_FDCWD, "/s", O_RDONLY) = -1 ENOENT (No such file)\n'
    torn += '17:39:44.1 read(3, "a\n44.481032 (+     0.000011) dup2(5, 2) = 2\n'
    path.write_text(torn + f"17:33:53.000000 {call}\n" * 3)
    agree(path, damaged=True)


BASE = (
    'openat(AT_FDCWD, "/etc/a) = -1 EPERM (x)", O_RDONLY) = -1 ENOENT (No such file or directory){}',
    'read(3, "\\177ELF\\2\\1 = 5", 832) = 832{}',
    "futex(0x7f00, FUTEX_WAKE_PRIVATE, 1) = -1 EAGAIN (Resource temporarily unavailable){}",
    "futex(0x7f00, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>",
    "<... futex resumed>) = -1 ETIMEDOUT (Connection timed out){}",
    "close(3) = 0{}",
    "getppid() = 1{}",
)


TERMINAL = "10:00:00.{:06d} (+     0.000011) [ 257] [00007f2ce6311bc4] "


@pytest.mark.parametrize("clock", ["1790000000.{:06d} ", "10:00:00.{:06d} ", "", TERMINAL])
@pytest.mark.parametrize("duration", [" <0.000012>", ""])
def test_mutated_logs(tmp_path: Path, clock: str, duration: str) -> None:
    """Written, and damaged by fixed dice: what a damaged line says is not the same in every recording."""
    pid = "[pid    {}] " if clock is TERMINAL else "{}    "
    lines = [
        (pid.format(70 + number % 3) + clock.format(number) + BASE[number % len(BASE)].format(duration)).encode()
        for number in range(700)
    ]
    dice = random.Random(7)
    for number in range(6):
        path = tmp_path / f"mutated{number}"
        path.write_bytes(b"\n".join(mutate(line, dice) if dice.random() < 0.2 else line for line in lines) + b"\n")
        agree(path, damaged=True)
