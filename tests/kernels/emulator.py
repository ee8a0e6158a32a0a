"""Boots an image in QEMU, by software emulation, and runs one job in it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from tests.kernels.catalogue import Kernel
from tests.kernels.images import Image
from tests.kernels.packages import NotToBeHad

CHECKOUT = Path(__file__).parent.parent.parent
_MACHINES = {
    "amd64": (
        # Not a thread for each CPU: before QEMU 8.1, a CPU may still run what another has patched, as every attach to a
        # tracepoint does; the kernel dies of it ("Oops: int3"). The two CPUs take turns, at any instruction.
        ("qemu-system-x86_64", "-accel", "tcg,thread=single", "-M", "pc", "-cpu", "max"),
        "console=ttyS0 tsc=reliable mitigations=off",
    ),
    "arm64": (
        # signed pointers by the prescribed cipher would take most of the time
        (
            "qemu-system-aarch64",
            "-accel",
            "tcg,thread=multi",
            "-M",
            "virt,gic-version=3",
            "-cpu",
            "max,pauth-impdef=on",
        ),
        "console=ttyAMA0",
    ),
}
"""The emulator, and words of the kernel's command line."""


class Ended(NamedTuple):
    """How a job ended."""

    status: int | None
    """Of the job; ``None`` if the machine did not come to its end."""
    log: str
    console: str
    seconds: float


def boot(kernel: Kernel, image: Image, job: str, out: Path, *, seconds: float, init: Path | None = None) -> Ended:
    """Boot, run a job as root, and wait for the end of the machine.

    Args:
        kernel: what is booted.
        image: its files.
        job: a bash script; it sees the checkout at its own path, and writes to ``/tmp/out``.
        out: an empty directory, ``/tmp/out`` of the job.
        seconds: the machine is killed after these.
        init: the first process, in place of the image's own; a script, which finds that as ``/init``.

    Raises:
        NotToBeHad: there is no such emulator.
    """
    emulator, append = _MACHINES[kernel.architecture]
    if shutil.which(emulator[0]) is None:
        raise NotToBeHad(f"no {emulator[0]}")
    (out / "job.sh").write_text(job)
    (out / "path").write_text(str(CHECKOUT))
    argv = [*emulator, "-smp", "2", "-m", "2G"]
    initramfs, first = (image.initramfs, "") if init is None else (_with(init, image, out), f" rdinit=/{init.name}")
    argv += ["-append", f"{append} quiet panic=-1{first} {kernel.append}".strip()]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{out / 'console'}"]
    argv += ["-kernel", str(image.kernel), "-initrd", str(initramfs)]
    for tag, path, mode in (
        ("root", image.root, ",readonly=on"),
        ("checkout", CHECKOUT, ",readonly=on"),
        ("out", out, ""),
    ):
        argv += ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{mode}"]
        argv += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    began = time.monotonic()
    machine = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, complaint = machine.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        complaint = f"killed after {seconds:.0f} s"
    finally:
        machine.kill()
        machine.wait()
    status = _text(out / "status").strip()
    console = _text(out / "console") + complaint
    return Ended(int(status) if status else None, _text(out / "log"), console, time.monotonic() - began)


def _with(init: Path, image: Image, out: Path) -> Path:
    """The image's first file system with one more file: the kernel unpacks archives one after the other."""
    more = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=init.parent,
        input=init.name.encode(),
        capture_output=True,
        check=True,
    )
    made = out / "initramfs"
    padding = b"\0" * (-image.initramfs.stat().st_size % 4)
    made.write_bytes(image.initramfs.read_bytes() + padding + more.stdout)
    return made


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
