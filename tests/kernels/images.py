"""An unpacked kernel, and the small first file system that mounts the real one and runs a job."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.kernels import packages
from tests.kernels.catalogue import Kernel

MODULES = ("virtio_pci", "9p", "9pnet_virtio", "overlay")
INIT = Path(__file__).with_name("init.sh")


class Image(NamedTuple):
    """What an emulator boots."""

    kernel: Path
    initramfs: Path
    release: str
    """As ``uname -r`` says it."""
    root: Path
    """The file system that the job sees."""


def image(kernel: Kernel) -> Image:
    """Have a kernel ready to boot; downloaded and unpacked once.

    Raises:
        packages.NotToBeHad: it cannot be had here.
    """
    with packages.locked(kernel.image) as base:
        folder = base / kernel.image
        if not _is_complete(folder):
            shutil.rmtree(folder, ignore_errors=True)
            packages.update(kernel.architecture)
            packages.download(kernel.architecture, _parts(kernel), folder)
            release = _modules(folder).name
            _run(["depmod", "-b", str(_depmod_root(folder)), release])
            _initramfs(kernel, folder, release)
            if kernel.userland:
                _userland(kernel, base / f"root-{kernel.userland}-{kernel.architecture}")
            (folder / "complete").write_text(INIT.read_text())
        release = _modules(folder).name
        boot = folder / "boot" / f"vmlinuz-{release}"
        root = base / f"root-{kernel.userland}-{kernel.architecture}" if kernel.userland else Path("/")
        return Image(boot if boot.exists() else _modules(folder) / "vmlinuz", folder / "initramfs", release, root)


def _is_complete(folder: Path) -> bool:
    """Whether it was made to its end, with the first process that we have now."""
    stamp = folder / "complete"
    return stamp.exists() and stamp.read_text() == INIT.read_text()


def _parts(kernel: Kernel) -> list[str]:
    """The packages that hold the image and its modules: from Linux 7 on they are two."""
    for package in packages.depends(kernel.architecture, kernel.package, kernel.suite):
        if package.startswith("linux-image-"):
            inner = packages.depends(kernel.architecture, package, kernel.suite)
            return [each for each in inner if each.startswith(("linux-binary-", "linux-modules-"))] or [package]
    raise packages.NotToBeHad(f"{kernel.suite} has no {kernel.package}")


def _modules(folder: Path) -> Path:
    return next(path for base in ("lib/modules", "usr/lib/modules") for path in (folder / base).glob("*"))


def _depmod_root(folder: Path) -> Path:
    return folder if (folder / "lib/modules").is_dir() else folder / "usr"


def _initramfs(kernel: Kernel, folder: Path, release: str) -> None:
    tree = folder / "tree"
    for name in ("bin", "mods", "proc", "sys", "dev", "host", "new", "rw"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    busybox = folder / "busybox"
    packages.download(kernel.architecture, [f"busybox-static/{kernel.suite.removesuffix('-backports')}"], busybox)
    shutil.copy2(next(path for path in busybox.rglob("bin/busybox") if path.is_file()), tree / "bin" / "busybox")
    for number, path in enumerate(_needed(folder, release), 100):
        target = tree / "mods" / f"{number}-{path.name.removesuffix('.xz')}"
        data = path.read_bytes()
        target.write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
    shutil.copy2(INIT, tree / "init")
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with open(folder / "initramfs", "wb") as file:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names.encode(), stdout=file, check=True)
    shutil.rmtree(tree)
    shutil.rmtree(busybox)


def _needed(folder: Path, release: str) -> list[Path]:
    """The modules in the order in which they are loaded. Some kernels have one or the other built in.

    Raises:
        packages.NotToBeHad: none of them is there.
    """
    found: dict[Path, None] = {}
    for module in MODULES:
        words = ["modprobe", "-d", str(_depmod_root(folder)), "-S", release, "--show-depends", module]
        for line in subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines():
            if line.startswith("insmod "):
                found[Path(line.split()[1])] = None
    if not found:
        raise packages.NotToBeHad(f"the packages of {release} hold no modules")
    return list(found)


def _userland(kernel: Kernel, root: Path) -> None:
    """Python, strace and libbpf of another machine, with straced's dependencies."""
    wanted = ["python3", "libbpf1", "strace", "bash", "coreutils", "util-linux", "mount", "iproute2", "procps"]
    wanted += ["libc6-dev", "libgcc-14-dev"]  # for the compiler that is outside, see suite.py
    packages.download_with_dependencies(kernel.architecture, wanted, kernel.userland, root)
    version = next(path.name.removeprefix("python") for path in (root / "usr/bin").glob("python3.[0-9]*"))
    machine = {"arm64": "aarch64"}[kernel.architecture]
    target = root / "usr/lib/python3/dist-packages"
    words = ["--target", str(target), "--only-binary=:all:", "--python-version", version, "--upgrade"]
    platforms = ["--platform", f"manylinux2014_{machine}", "--platform", f"manylinux_2_28_{machine}"]
    _run([*_pip(), "install", "--quiet", *words, *platforms, "click", "msgspec", "platformdirs", "rich", "pytest"])


def _pip() -> list[str]:
    import sys

    return [sys.executable, "-m", "pip"]


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise packages.NotToBeHad(f"{argv[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
