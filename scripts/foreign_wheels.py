"""Import the wheel of another platform than this one, and have its native core read a trace.

``python -m scripts.foreign_wheels`` at the root of a checkout, with the wheels in dist/ (``scripts/wheels``), tries the
one for arm64 in Debian's Python for arm64, unpacked, by qemu-aarch64; ``--musl PYTHON`` the one for musl, in a Python
that is linked to musl's libc (Alpine's, or one that was built with ``CC=musl-gcc``). The report by the native core must
be, byte for byte, the one by the Python reader.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kernels import packages

ROOT = Path(__file__).parents[1]
SUITE = "trixie"
CHECK = """\
import os, platform, sys
from pathlib import Path

import msgspec

from straced.traces.analysis.reader import read
from straced.traces.native import choice, library
from straced.traces.parsing.source import TraceSource
from straced.traces.report.build import build

def report():
    source = TraceSource(sys.argv[1])
    source._stream = open(sys.argv[1], "rb")
    return build(read(source, detail=True, jobs=1))

loaded = library.library()
assert loaded is not None, "the native core is not loaded"
by_core = report()
os.environ[choice.CHOICE] = "python"
assert library.library() is None, "the core would read twice"
assert msgspec.json.encode(by_core) == msgspec.json.encode(report()), "the readers differ"
libc = {line.split()[-1] for line in open("/proc/self/maps") if "/libc.so" in line or "/ld-musl" in line}
print(platform.machine(), "Python", platform.python_version(), *sorted(libc))
print(f"  core {loaded.sources} of {choice.PATH.parents[2]}: {by_core.summary.total.calls} calls,")
print("  the same report, byte for byte, by the Python reader")
"""


def unpack(wheel: Path, platforms: list[str], version: str, into: Path) -> None:
    """What a wheel and all that it depends on hold, for that platform and Python."""
    words = [word for each in platforms for word in ("--platform", each)]
    get = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(into), "--no-compile", *words]
    subprocess.run([*get, "--only-binary=:all:", "--python-version", version, str(wheel)], check=True)


def check(python: list[str], site: Path, log: Path) -> None:
    """Load the core, and compare both readers, in one process: under emulation most of the time goes into its start."""
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONNOUSERSITE": "1"}
    subprocess.run([*python, "-c", CHECK, str(log)], env=environment, timeout=900, check=True)


def arm64(folder: Path, log: Path) -> None:
    """In Debian's Python for arm64, emulated."""
    root = folder / "arm64"
    packages.update("arm64")
    packages.download_with_dependencies("arm64", ["python3"], SUITE, root)
    version = next(path.name.removeprefix("python") for path in (root / "usr/bin").glob("python3.[0-9]*"))
    site = folder / "site-arm64"
    unpack(one("manylinux2014_aarch64"), ["manylinux2014_aarch64", "manylinux_2_28_aarch64"], version, site)
    check(["qemu-aarch64", "-L", str(root), str(root / f"usr/bin/python{version}")], site, log)


def musl(python: Path, folder: Path, log: Path) -> None:
    """In a Python of musl's."""
    code = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_config_var('EXT_SUFFIX'))"
    shown = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    version, suffix = shown.split()
    site = folder / "site-musl"
    unpack(one("musllinux_1_1_x86_64"), ["musllinux_1_1_x86_64", "musllinux_1_2_x86_64"], version, site)
    for path in site.rglob("*-linux-musl.so"):  # a Python that was built on Debian looks for Debian's name of it
        path.rename(path.with_name(path.name.partition(".")[0] + suffix))
    check([str(python)], site, log)


def main() -> int:
    """Check what can be checked here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--musl", type=Path, metavar="PYTHON", help="try the wheel for musl, by this Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, packages.locked("foreign"):
        folder = Path(name)
        log = folder / "log"
        command = ["sh", "-c", "ls -l /etc | sort | wc; cat /none"]
        subprocess.run(
            ["strace", "-f", "-ttt", "-T", "-yy", "-o", log, *command], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if options.musl is not None:
            musl(options.musl, folder, log)
        else:
            arm64(folder, log)
    return 0


def one(platform: str) -> Path:
    """The newest wheel of a platform."""
    found = sorted((ROOT / "dist").glob(f"*{platform}.whl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(f"there is no wheel for {platform} in dist/: scripts/wheels")
    return found[-1]


if __name__ == "__main__":
    sys.exit(main())
