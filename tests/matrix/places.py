"""The versions that straced is run beside, and how a command is run among them.

What is foreign to the machine is unpacked beside it: a whole userland, in which commands run by chroot(2) in a mount
namespace of their own, or a single program that is put first on ``PATH``.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.kernels import packages

ROOT = Path(__file__).parent.parent.parent
PARTS = (
    "python3", "libpython3-stdlib", "libbpf1", "strace", "bash", "coreutils", "util-linux", "mount", "procps",
    "gcc", "libc6-dev", "findutils", "grep", "sed",
)  # fmt: skip
LIBRARIES = (
    "click", "msgspec", "platformdirs", "rich", "pytest", "pytest-asyncio", "hypothesis", "psutil", "anyio", "uvloop",
)  # fmt: skip
BINDS = """set -e
for name in proc sys dev; do mount --rbind /$name {root}/$name; done
mount -t tmpfs -o mode=1777 tmp {root}/tmp
mkdir -p {root}{checkout}
mount --bind {checkout} {root}{checkout}
exec chroot {root} /usr/bin/env -C {checkout} "$@"
"""


@dataclass(frozen=True)
class Place:
    """One set of versions."""

    name: str
    python: str = ""
    """Of the machine: ``3.12``; ``""``: the one that runs this, or the userland's."""
    strace: str = ""
    """The suite whose strace is put first on PATH."""
    userland: str = ""
    """The suite whose userland all of it is."""


PLACES = (
    Place("strace 5.10", strace="bullseye"),
    Place("Python 3.12", python="3.12"),
    Place("Python 3.13", python="3.13"),
    Place("sid", userland="sid"),
)
BY_NAME = {place.name: place for place in PLACES}


def command(place: Place) -> tuple[list[str], dict[str, str]]:
    """Have the place ready; what comes before the arguments of Python there, and the environment to run it in.

    Raises:
        packages.NotToBeHad: one of its versions cannot be had here.
    """
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environ = {"PYTHONPATH": f"{ROOT}/src", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8", "HOME": "/root"}
    with packages.locked(f"place-{place.name.replace(' ', '-')}") as base:
        if place.userland:
            root = _userland(base / f"root-{place.userland}-amd64", place.userland)
            script = BINDS.format(root=shlex.quote(str(root)), checkout=shlex.quote(str(ROOT)))
            environ["PYTHONPATH"] += ":/opt/site"
            return ["unshare", "-m", "sh", "-c", script, "sh", "/usr/bin/python3"], {**environ, "PATH": path}
        if place.strace:
            path = f"{_strace(base / f'strace-{place.strace}', place.strace)}:{path}"
            return [sys.executable], {**environ, "PATH": path}
        python = _python(place.python)
        environ["PYTHONPATH"] += f":{_site(base / f'site-{place.python}', python)}"
        return [python], {**environ, "PATH": path}


def _userland(root: Path, suite: str) -> Path:
    if not (root / "complete").exists():
        packages.update("amd64")
        packages.download_with_dependencies("amd64", list(PARTS), suite, root)
        version = next(path.name.removeprefix("python") for path in (root / "usr/bin").glob("python3.[0-9]*"))
        platforms = ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"]
        _pip(root / "opt" / "site", "--only-binary=:all:", "--python-version", version, *platforms)
        (root / "complete").touch()
    return root


def _strace(folder: Path, suite: str) -> Path:
    if not folder.exists():
        packages.update("amd64")
        packages.download("amd64", [f"strace/{suite}"], folder)
    return folder / "usr/bin"


def _python(version: str) -> str:
    for name in (f"python{version}", *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    raise packages.NotToBeHad(f"there is no python{version} on this machine")


def _site(folder: Path, python: str) -> Path:
    if not folder.exists():
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
        platforms = ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"]
        _pip(folder, "--only-binary=:all:", "--python-version", ".".join(version.split(".")[:2]), *platforms)
    return folder


def _pip(target: Path, *options: str) -> None:
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(target), *options]
    done = subprocess.run([*argv, *LIBRARIES], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise packages.NotToBeHad(f"pip: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
