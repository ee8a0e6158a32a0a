"""The parent of one browser. Run as a script, standard library only: ``chromium_keeper.py READ WRITE COMMAND...``

All that the browser starts stays below this process (it is their subreaper). When the browser ends, or on SIGTERM, or
when the test runner dies, the rest is killed; this process ends last, after it has waited for every one of them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def children() -> list[int]:
    """Direct children, zombies included. None of these pids can be used again before this process waits for it."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(word) for word in file.read().split()]


def end_all() -> None:
    """Kill and wait until there is no child: those of a killed child become ours."""
    try:
        while True:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def start(read: int, write: int, command: list[str]) -> int:
    """Start the browser: it reads commands from descriptor 3 and writes answers to 4."""
    child = os.fork()
    if child == 0:
        try:
            high = [os.dup(read), os.dup(write)]
            while min(high) < 5:
                high = [os.dup(fd) for fd in high]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            os.closerange(5, 256)
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    os.close(read)
    os.close(write)
    return child


def main() -> None:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    browser = start(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    while signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGCHLD:
        ended = -1
        try:
            while ended != browser and (ended := os.waitpid(-1, os.WNOHANG)[0]):
                pass
        except ChildProcessError:
            break
        if ended == browser:
            break
    end_all()


if __name__ == "__main__":
    main()
