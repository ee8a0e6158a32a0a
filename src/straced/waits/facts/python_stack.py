"""The Python stack of a process, by py-spy when it is installed; read without stopping it (``--nonblocking``)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from straced.linux import procfs
from straced.text.sanitize import scrub_bytes

_TIMEOUT_S = 10
_MAX_LINES = 60


def _py_spy() -> Path | None:
    """py-spy on the path, or where pip put it: beside the interpreter that runs straced."""
    beside = Path(sys.executable).with_name("py-spy")
    return procfs.find_executable("py-spy") or (beside if os.access(beside, os.X_OK) else None)


def python_stack(pid: int) -> tuple[tuple[str, ...], str | None]:
    """(lines, why there are none): every thread's stack, innermost frame first."""
    program = _py_spy()
    if program is None:
        return (), f"the Python stack of {pid} (py-spy is not installed: pip install py-spy)"
    command = [str(program), "dump", "--nonblocking", "--pid", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), f"the Python stack of {pid} (py-spy: {type(error).__name__})"
    if done.returncode:
        words = scrub_bytes(done.stderr.strip().split(b"\n")[0], 160)
        return (), f"the Python stack of {pid} (py-spy: {words})"
    lines = [scrub_bytes(line, 200) for line in done.stdout.split(b"\n") if line.startswith((b"Thread", b"    "))]
    return tuple(lines[:_MAX_LINES]), None
