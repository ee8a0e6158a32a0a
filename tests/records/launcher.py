"""Run programs one after the other, once told to on stdin:  python -m tests.records.launcher JOBS"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from tests.records.jobs import Job, fresh


def main(jobs: str) -> None:
    """Run them all, and say their numbers on stdout."""
    wanted = msgspec.msgpack.decode(Path(jobs).read_bytes(), type=list[Job])
    null = os.open("/dev/null", os.O_RDWR)
    print("ready", flush=True)
    sys.stdin.readline()
    for job in wanted:
        fresh(job.folder)
        pid = os.fork()
        if not pid:
            try:
                become(job, null)
            finally:
                os._exit(127)
        os.waitpid(pid, 0)
        print(pid, flush=True)
    sys.stdin.readline()


def become(job: Job, null: int) -> None:
    """Be the program of a job, with nothing open but /dev/null."""
    os.chdir(job.folder)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.closerange(3, 64)
    os.execve(job.argv[0], job.argv, job.environment)


if __name__ == "__main__":
    main(sys.argv[1])
