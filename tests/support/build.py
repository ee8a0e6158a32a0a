"""Compile the workloads, and straced itself, once a session."""

from __future__ import annotations

import compileall
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "workloads"
RECORDED = Path(__file__).parent.parent / "records"


def compile_package() -> None:
    """Compile straced as an installer does: hundreds of its processes are started, and may write no bytecode."""
    import straced

    compileall.compile_dir(str(Path(straced.__file__).parent), quiet=2)


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


def compile_gt(folder: Path, cross: Sequence[str] = ()) -> Path:
    """Build ``gt`` for this machine, or by a cross compiler for another; the error is the error of the test run."""
    return _compile(folder / "gt", [*cross[1:], "-static"] if cross else [], cross[0] if cross else compiler())


def compile_programs(folder: Path, cross: Sequence[str] = (), name: str = "programs") -> Path:
    """Build the programs whose lines are compared with strace's, as :func:`compile_gt` does."""
    flags = [*cross[1:], "-w", "-static"]  # some of their calls are wrong on purpose
    return _compile(folder / name, flags, cross[0] if cross else compiler(), [RECORDED / f"{name}.c"])


def compile_gt32(folder: Path) -> Path | None:
    """Build ``gt`` for i386, or return None where the compiler has no 32-bit C library."""
    try:
        return _compile(folder / "gt32", ["-m32"], compiler())
    except RuntimeError:
        return None


def _compile(binary: Path, flags: list[str], command: str | None, sources: Sequence[Path] = ()) -> Path:
    if command is None:
        raise RuntimeError("no C compiler: the workloads cannot be built (apt-get install gcc libc6-dev)")
    argv = [command, *flags, "-O1", "-Wall", "-pthread", "-o", str(binary)]
    argv += map(str, sources or sorted(SOURCES.glob("*.c")))
    result = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    if result.returncode:
        raise RuntimeError(f"the workloads do not compile:\n{result.stderr}")
    binary.chmod(0o755)
    return binary
