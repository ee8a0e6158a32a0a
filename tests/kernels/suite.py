"""What is run on a kernel, and the rows that come of it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.accuracy.truth import TRUTH
from tests.kernels.catalogue import Kernel
from tests.kernels.emulator import CHECKOUT, boot
from tests.kernels.images import Image, image
from tests.kernels.packages import NotToBeHad, cache
from tests.support import build

PREEMPTED = ("n-20000", "nthreads-8-2000", "nforks-8-2000", "nvfork-300", "nthrshort-300")
"""What is run beside the wakers, five times."""
FEW = ("n-20000", "nforks-8-2000", "nvfork-300", "errs-1000")
"""What is run in the slice that is part of the test suite."""
BY_STRACE = ("nvfork-300", "errs-1000", "nthrshort-300")
TOO_SLOW = ("errs-1000",)
"""For strace on an emulated arm64: it takes longer than a workload may."""
SLICE_CHECKS = ("doctor", "run", "parts")
CHECKS = (
    *("doctor", "run", "parts", "recorded", "records", "flight", "losses", "details", "restarts"),
    *("top", "why", "serve", "owner_killed", "wakes", "rings", "told", "of_user"),
)
BESIDE_WAKERS = ("recorded",)
IN_VENV = ("make_run", "lifecycle")
"""Checks of what is set up in the checkout, for the machine's own userland."""
CROSS = ("clang", "--target=aarch64-linux-gnu", "-fuse-ld=lld")
"""Of the packages of the machine, gcc for arm64 and gcc for i386 exclude each other."""
COMPAT = (
    *("clang", "--target=arm-linux-gnueabihf", "-march=armv7-a", "-marm", "-O1", "-fomit-frame-pointer"),
    *("-ffreestanding", "-nostdlib", "-static", "-fuse-ld=lld"),
)
SECONDS = 1200.0
SYSTEMD = Path("/lib/systemd/systemd")
BY_ITS_FIRST_PROCESS = "systemd"
"""The check that is made in a boot of its own."""
BY_SYSTEMD = Path(__file__).with_name("systemd-init.sh")


def measure(
    kernel: Kernel, *, small: bool = False, only: Sequence[str] = (), seconds: float = SECONDS
) -> dict[str, Any]:
    """Boot a kernel and run the workloads and checks in it.

    Args:
        kernel: which one.
        small: the slice: four workloads, ``doctor``, ``run``, and that all programs load.
        only: these checks, and no workload.
        seconds: the machine is killed after these.

    Returns:
        Its release, how long it took, and a row for each workload and check; all of it is JSON.

    Raises:
        NotToBeHad: the kernel or its emulator.
    """
    ready = image(kernel)
    rows: list[dict[str, Any]] = []
    took_s = 0.0
    inside = [name for name in only if name != BY_ITS_FIRST_PROCESS]
    if inside or not only:
        rows, took_s = _booted(kernel, ready, _job(kernel, small, inside), seconds)
    if kernel.systemd and not small and (not only or BY_ITS_FIRST_PROCESS in only):
        rows += by_systemd(kernel)
    return {
        "kernel": kernel.name,
        "release": ready.release,
        "architecture": kernel.architecture,
        "append": kernel.append,
        "wakers": kernel.wakers,
        "seconds": round(took_s),
        "rows": rows,
    }


def _booted(kernel: Kernel, ready: Image, job: str, seconds: float) -> tuple[list[dict[str, Any]], float]:
    """The rows that a job makes, and how long it took."""
    with tempfile.TemporaryDirectory(prefix="straced-kernel-") as name:
        out = Path(name)
        out.chmod(0o755)
        _compile_workloads(kernel, ready.root, out)
        _compile_wakers(kernel, out)
        ended = boot(kernel, ready, job, out, seconds=seconds)
        rows = [json.loads(line) for line in ended.log.splitlines() if line.startswith('{"')]
        kept = cache() / f"{kernel.name}.console"
        kept.write_text(ended.console + ended.log)
        if ended.status is None:
            rows.append({"check": "boot", "ok": False, "said": f"{ended.console[-400:]} (all of it: {kept.name})"})
        elif ended.status:
            rows.append({"check": "job", "ok": False, "said": ended.log[-400:]})
    return rows, ended.seconds


def by_systemd(kernel: Kernel, seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Boot it with systemd as the first process, and try the unit of the service.

    Args:
        kernel: which one.
        seconds: the machine is killed after these.

    Returns:
        The row of the check.
    """
    if not SYSTEMD.exists():
        return [{"check": "systemd", "ok": True, "said": "not tried: the machine has no systemd"}]
    with tempfile.TemporaryDirectory(prefix="straced-kernel-") as name:
        out = Path(name)
        out.chmod(0o755)
        lines = [f"cd {CHECKOUT}", f"export PYTHONPATH={CHECKOUT}/src PYTHONDONTWRITEBYTECODE=1"]
        lines.append(f"{sys.executable} -m tests.kernels.guest '' {BY_ITS_FIRST_PROCESS}")
        ended = boot(kernel, image(kernel), "\n".join(lines) + "\n", out, seconds=seconds, init=BY_SYSTEMD)
        rows = [json.loads(line) for line in ended.log.splitlines() if line.startswith('{"')]
        return rows or [{"check": "systemd", "ok": False, "said": f"{ended.log[-200:]} {ended.console[-400:]}"}]


def good(row: dict[str, Any]) -> bool:
    """Whether a row is as it must be."""
    if "workload" in row:
        exact = row.get("quality") == "exact" or row["tracer"] == "strace"
        return bool(row["equal"] and exact and row["lost"] == 0 and not row["harm"])
    return bool(row["ok"])


def _job(kernel: Kernel, small: bool, only: Sequence[str]) -> str:
    names = FEW if small else PREEMPTED if kernel.wakers else [truth.name for truth in TRUTH if not truth.i386]
    if kernel.architecture != "amd64":
        names = [name for name in names if not name.startswith("int80")]
    checks = SLICE_CHECKS if small else (*CHECKS, "compat") if kernel.userland else (*CHECKS, *IN_VENV)
    runs = 5 if kernel.wakers else 1
    python = "/usr/bin/python3" if kernel.userland else sys.executable
    checkout = CHECKOUT
    guest = f"{python} -m tests.kernels.guest {shlex.quote(kernel.refused)}"
    compiled = "PYTHONPYCACHEPREFIX=/tmp/compiled" if kernel.userland else "PYTHONDONTWRITEBYTECODE=1"
    lines = [f"cd {checkout}", f"export PYTHONPATH={checkout}/src {compiled}"]
    lines.append("cp /tmp/out/gt /tmp/gt")  # programs are started from memory, not through the share
    if only:
        return "\n".join([*lines, f"{guest} {' '.join(only)}"]) + "\n"
    if kernel.wakers:
        lines.append("cp /tmp/out/wakers /tmp/wakers; /tmp/wakers & wakers=$!")
    if kernel.ebpf:
        lines.append(f"{python} -m tests.kernels.accuracy /tmp/gt ebpf {runs} {' '.join(names)}")
    if kernel.wakers:
        lines.append(f"{guest} {' '.join(BESIDE_WAKERS)}")
        lines.append("kill $wakers || exit 9")  # they were there all the time
        checks = tuple(name for name in checks if name not in BESIDE_WAKERS)
    elif not small:
        slow = kernel.architecture != "amd64"
        few = [name for name in BY_STRACE if not (slow and name in TOO_SLOW)]
        lines.append(f"{python} -m tests.kernels.accuracy /tmp/gt strace 1 {' '.join(few)}")
    lines.append(f"{guest} {' '.join(checks)}")
    return "\n".join(lines) + "\n"


def _compile_workloads(kernel: Kernel, root: Path, out: Path) -> None:
    """For arm64 with the libraries of its own userland."""
    cross = (*CROSS, f"--sysroot={root}") if kernel.architecture == "arm64" else ()
    if cross and not (shutil.which(CROSS[0]) and shutil.which("ld.lld")):
        raise NotToBeHad("no clang, or no lld")
    build.compile_gt(out, cross)
    build.compile_programs(out, cross)
    if cross:
        source = Path(__file__).with_name("compat.c")
        subprocess.run([*COMPAT, "-o", str(out / "compat"), str(source)], check=True, timeout=60)


def _compile_wakers(kernel: Kernel, out: Path) -> None:
    if kernel.wakers:
        source = Path(__file__).with_name("wakers.c")
        command = build.compiler()
        if command is None:
            raise NotToBeHad("no C compiler")
        subprocess.run([command, "-O2", "-pthread", "-o", str(out / "wakers"), str(source)], check=True, timeout=60)
