"""perf and bpftrace look tracepoints up in tracefs, which is not mounted everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
WITH_IT = ("unshare", "--mount", "sh", "-c", f'mount -t tracefs none {PLACES[0]} && exec "$@"', "sh")
"""The words before a command that has it, and nobody else."""


def is_mounted() -> bool:
    """Whether those who look there find something."""
    return any(os.path.isdir(f"{place}/events") for place in PLACES)


def begin_with_it() -> None:
    """Begin this program anew, in a mount namespace that has it, unless it is mounted or cannot be."""
    if is_mounted() or shutil.which(WITH_IT[0]) is None:
        return
    if (
        subprocess.run([*WITH_IT, "test", "-d", f"{PLACES[0]}/events"], capture_output=True, check=False).returncode
        == 0
    ):
        os.execvp(WITH_IT[0], [*WITH_IT, *sys.orig_argv])
