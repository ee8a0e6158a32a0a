"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess


def facts() -> dict[str, str]:
    """Processor, kernel, strace, Python and how busy the machine was."""
    version = subprocess.run(["strace", "-V"], capture_output=True, text=True).stdout.split("\n")[0].split()[-1]
    return {
        "CPUs": f"{len(os.sched_getaffinity(0))} x {_model()}",
        "kernel": platform.release(),
        "strace": version,
        "Python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _model() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
