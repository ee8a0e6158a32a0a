"""Inside a booted kernel: what is recorded of programs, in words, beside strace's own lines of the same programs."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from straced.records.reader import RecordFile
from straced.records.values import CALLS
from straced.tracers.base import Rights
from straced.tracers.ebpf.record_session import RecorderOptions
from tests.kernels.checks import check
from tests.records.jobs import Job
from tests.records.oracle import ENVIRONMENT, strace_lines
from tests.records.test_text_beside_strace import OURS, compare_real
from tests.support.records import check_sums, recording

PROGRAMS = "/tmp/out/programs"
HOST = "127.77.1.2"
NOBODY = 65534
BOTH = "echo ready; exec >&2; read go; ./own opens; ./stronger opens; ./own files; true"
ONCE, FSYNCS = b"relative", 2
"""What a run of ``opens`` opens once; the calls of fsync of one of ``files``."""


@check
def told(refused: str) -> str:
    """Each line of each program is as strace has it: numbers of calls, registers, structures and constants.

    Descriptors are not named: strace asks the kernel of sockets by modules that are not loaded here.
    """
    if refused:
        return f"eBPF cannot serve: {refused}"
    with tempfile.TemporaryDirectory() as name:
        jobs = [Job([PROGRAMS, each, HOST], ENVIRONMENT, f"{name}/work") for each in OURS]
        theirs = [strace_lines(job, Path(name, "log"), names=False) for job in jobs]
        plain = [{pid: [_without_news(line) for line in lines] for pid, lines in tasks.items()} for tasks in theirs]
        found = asyncio.run(compare_real(jobs, plain, Path(name), names=False))
    for pair in [*itertools.chain(*found.different.values()), *found.alone]:
        print(pair, file=sys.stderr)
    assert not found.different, sorted(found.different)
    assert not found.alone, found.alone
    shown = f"{found.equal.total()} lines of {len(found.equal)} calls are strace's"
    return f"{shown}, {found.shortened.total()} shorter"


def _without_news(line: str) -> str:
    """A line of strace as 6.1 wrote it."""
    line = re.sub(r" /\* [\d.]+ s \*/", "", line)
    line = re.sub(r"(?<=, )TCSETS(?=,)", "SNDCTL_TMR_START or TCSETS", line)
    return re.sub(r"\bdata=(0x[0-9a-f]+)", _data, line)


def _data(found: re.Match[str]) -> str:
    own = int(found[1], 16)
    return f"data={{u32={own & 0xFFFFFFFF}, u64={own}}}"


@check
def of_user(refused: str) -> str:
    """A recording for one user has each call of theirs, and none of a program that runs with more rights."""
    if refused:
        return f"eBPF cannot serve: {refused}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "theirs")
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
        for parent in (Path(name), folder):
            parent.chmod(0o755)
        for program, mode in (("own", 0o755), ("stronger", 0o4755)):
            shutil.copyfile(PROGRAMS, folder / program)
            (folder / program).chmod(mode)
        words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c", BOTH]
        with subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as shell:
            assert shell.stdout is not None
            assert shell.stdout.readline() == b"ready\n"  # its name would be there before its execve has ended
            file = asyncio.run(_recorded_for_user(shell, Path(name, "t.strc")))
        counted = check_sums(file)
        opened = [each.pid for each in file if each.kind in CALLS for blob in each.blobs.values() if blob.data == ONCE]
    assert len(opened) == 1, opened
    assert counted["fsync"] == FSYNCS, counted
    return f"{counted.total()} calls of a user, none of what is root's"


async def _recorded_for_user(shell: subprocess.Popen[bytes], path: Path) -> RecordFile:
    assert shell.stdin is not None
    async with recording(shell.pid, path, RecorderOptions(user=Rights(NOBODY, NOBODY, 0))):
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        await asyncio.to_thread(shell.wait)
    return RecordFile(path)
