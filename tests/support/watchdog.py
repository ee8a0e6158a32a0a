"""A process of its own session that ends a test run whose test froze it. Run as a script, standard library only.

Reads lines from stdin: ``start SECONDS NAME``, ``stop``, ``bye``. When a test is over its time, or the runner died
without a goodbye, all processes of the run are killed: those in its cgroup and those that carry its marker.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time


def groups(cgroups: list[str]) -> list[str]:
    """The cgroups of the run and those in them, the innermost first."""
    return [path for each in cgroups for path, _folders, _files in os.walk(each, topdown=False)]


def members(cgroups: list[str], marker: str) -> set[int]:
    """All processes of the run, this one not included."""
    found: set[int] = set()
    for group in groups(cgroups):
        try:
            with open(f"{group}/cgroup.procs") as file:
                found.update(int(line) for line in file if int(line) > 0)
        except OSError:
            pass
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/environ", "rb") as environ:
                    if marker.encode() in environ.read().split(b"\0"):
                        found.add(int(name))
            except OSError:
                continue
    return found - {os.getpid(), 1}


def sweep(cgroups: list[str], marker: str) -> None:
    """Kill all members, until there are none (five seconds at most)."""
    deadline = time.monotonic() + 5
    while (left := members(cgroups, marker)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def remove(cgroups: list[str]) -> None:
    """Remove the cgroups once they are empty."""
    deadline = time.monotonic() + 5
    while (left := groups(cgroups)) and time.monotonic() < deadline:
        try:
            for group in left:
                os.rmdir(group)
        except OSError:
            time.sleep(0.05)


def main() -> None:
    """Follow the run until it says goodbye, freezes, or dies."""
    runner, marker, cgroups = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    pidfd = os.pidfd_open(runner)
    deadline, name, buffer = None, "", b""
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([0], [], [], wait)
        if not readable:
            os.write(2, f"\n*** hard limit: {name} froze the run; killing it ***\n".encode())
            if os.getpgid(runner) == runner:
                os.killpg(runner, signal.SIGKILL)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            break
        chunk = os.read(0, 65536)
        if not chunk:
            break
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "start":
                seconds, _, name = rest.partition(" ")
                deadline = time.monotonic() + float(seconds)
            elif word == "stop":
                deadline = None
            elif word == "bye":
                select.select([pidfd], [], [], 20)
                return remove(cgroups)
    sweep(cgroups, marker)
    remove(cgroups)


if __name__ == "__main__":
    main()
