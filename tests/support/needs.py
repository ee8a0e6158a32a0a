"""What a test needs of the machine. Missing: the test is skipped with the reason, or fails under STRACED_REQUIRE."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.build import compiler
from tests.support.servers import server_program


def _program(name: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(name) else f"{name} is not installed"


def _server(name: str) -> Callable[[], str]:
    return lambda: "" if server_program(name) else f"{name} is not installed"


def _any_program(*names: str) -> Callable[[], str]:
    return lambda: "" if any(map(shutil.which, names)) else f"none of {', '.join(names)} is installed"


def _module(name: str) -> Callable[[], str]:
    def check() -> str:
        try:
            return "" if importlib.util.find_spec(name) else f"{name} is not installed"
        except ModuleNotFoundError:  # the package above it is not there either
            return f"{name} is not installed"

    return check


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def _ebpf() -> str:
    from straced.tracers.ebpf import probe

    error = probe.missing()
    return "" if error is None else error.reason


def _other_user() -> str:
    """Whether programs of another user can be started that import straced; `make test` sees to the second."""
    if not shutil.which("setpriv"):
        return "setpriv is not installed"
    import straced

    words = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", 'cat "$0"', straced.__file__)
    if os.geteuid() == 0 and subprocess.run(words, capture_output=True, timeout=20).returncode:
        return "another user cannot read this tree (scripts/readable runs a command in a copy)"
    return ""


def _works(*argv: str) -> Callable[[], str]:
    def check() -> str:
        try:
            result = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        except OSError as error:
            return f"{argv[0]}: {error.strerror}"
        return "" if result.returncode == 0 else f"{' '.join(argv[:3])}: {result.stderr.strip() or result.returncode}"

    return check


def _freezer() -> str:
    return "" if freezer_root() else "no writable freezer (cgroup v1) and no cgroup.freeze (v2)"


def _fuse() -> str:
    if os.geteuid() != 0:
        return "needs root"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    return ""


def freezer_root() -> Path | None:
    """A folder in which a cgroup that can be frozen can be made."""
    for path in (Path("/sys/fs/cgroup/freezer"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if path.is_dir() and os.access(path / "cgroup.procs", os.W_OK):
            return path
    return None


def _kernels() -> str:
    """The kernels themselves may still be out of reach: that is found by asking for one."""
    needed = ("qemu-system-x86_64", "cpio", "depmod", "modprobe", "apt-get", "dpkg-deb")
    lacking = [name for name in needed if not shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def _io_uring() -> str:
    """Whether programs may make rings: asked with nowhere to put the answer."""
    setup, no_entries = ctypes.c_long(425), ctypes.c_long(0)  # the same number on all machines
    ctypes.CDLL(None, use_errno=True).syscall(setup, no_entries, None)
    code = ctypes.get_errno()
    return "" if code in (errno.EFAULT, errno.EINVAL) else f"io_uring_setup: {os.strerror(code)}"


CHECKS: dict[str, Callable[[], str]] = {
    "root": _root,
    "ebpf": _ebpf,
    "chromium": _any_program("chromium", "chromium-browser", "google-chrome", "headless_shell"),
    "setpriv": _other_user,
    "cc": lambda: "" if compiler() else "no C compiler",
    "freezer": _freezer,
    "kernels": _kernels,
    "io_uring": _io_uring,
    "fuse": _fuse,
    "anyio": _module("anyio"),
    "uvloop": _module("uvloop"),
    "xdist": _module("xdist"),
    "victoriametrics": _program("victoria-metrics"),
    "postgres": _server("postgres"),
    "nginx": _server("nginx"),
    "haproxy": _server("haproxy"),
    "fastapi": _module("fastapi"),
    "gunicorn": _module("gunicorn"),
    "uvicorn": _module("uvicorn"),
    "prometheus_client": _module("prometheus_client"),
    "opentelemetry": _module("opentelemetry.proto"),
    "duckdb": _module("duckdb"),
    "pip": _module("pip"),
    "pidns": _works("unshare", "--pid", "--fork", "--mount-proc", "true"),
    "tmpfs": _works("unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"),
}
_answers: dict[str, str] = {}


def missing(name: str) -> str:
    """Why ``name`` is not to be had here, or ``""``; a name that is not in ``CHECKS`` is a program's."""
    if name not in _answers:
        _answers[name] = CHECKS.get(name, _program(name))()
    return _answers[name]


def require(*names: str) -> None:
    """Skip the running test unless all of ``names`` are here; fail when STRACED_REQUIRE has the name."""
    for name in names:
        if reason := missing(name):
            unavailable(name, reason)


def unavailable(name: str, reason: str) -> NoReturn:
    """Skip because of ``name``, or fail where the run was told that it must be there."""
    if name in os.environ.get("STRACED_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"required here, and missing: {name}: {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")
