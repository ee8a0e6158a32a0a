"""Kernels and userlands of other releases: the distribution's packages, unpacked beside the machine, never installed.

The mirror is the one that apt is set up for; a list of suites of our own is read from it. All of it is kept in a cache,
so that a second call downloads nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUITES = ("bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")


class NotToBeHad(Exception):
    """The packages cannot be had here; the message says why."""


def cache() -> Path:
    """The directory that everything is kept in: ``STRACED_KERNELS_CACHE``, else below the user's cache."""
    named = os.environ.get("STRACED_KERNELS_CACHE")
    base = (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "straced" / "kernels"
    )
    base.mkdir(parents=True, exist_ok=True)
    return base


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The cache, for one process at a time."""
    base = cache()
    with open(base / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield base


def mirror() -> str:
    """The address of the Debian mirror that apt uses."""
    files = [Path(SOURCES[0]), *sorted(Path(SOURCES[1]).glob("*"))] if Path(SOURCES[1]).is_dir() else [Path(SOURCES[0])]
    for path in files:
        if not path.is_file():
            continue
        for line in path.read_text().splitlines():
            found = re.match(r"(?:URIs:|deb(?: \[.*?\])?)\s+(https?://\S+/debian)/?(?:\s|$)", line)
            if found:
                return found[1]
    raise NotToBeHad("apt is set up for no mirror of Debian's main archive")


def _apt(architecture: str) -> list[str]:
    """Options of a private apt: its own lists of sources and packages, nothing of the machine's."""
    base = cache() / f"apt-{architecture}"
    for name in ("lists/partial", "archives/partial", "empty"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "status").touch()
    (base / "sources.list").write_text(
        "".join(f"deb [arch={architecture} signed-by={KEYRING}] {mirror()} {suite} main\n" for suite in SUITES)
    )
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Dir::Etc::sourcelist": base / "sources.list",
        "Dir::Etc::sourceparts": base / "empty",
        "Dir::State": base,
        "Dir::State::status": base / "status",
        "Dir::Cache": base,
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "15",
        "APT::Sandbox::User": "root",
        "APT::Get::AllowUnauthenticated": "false",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def update(architecture: str) -> None:
    """Read the lists of packages, once a cache.

    Raises:
        NotToBeHad: the mirror is out of reach, or there is no apt.
    """
    if shutil.which("apt-get") is None:
        raise NotToBeHad("there is no apt-get: the kernels are Debian's packages")
    stamp = cache() / f"apt-{architecture}" / "updated"
    if not stamp.exists():
        _run(["apt-get", *_apt(architecture), "update", "-qq"])
        stamp.touch()


def depends(architecture: str, package: str, suite: str) -> list[str]:
    """What the version of a package in a suite depends on, names only."""
    shown = _run(["apt-cache", *_apt(architecture), "show", f"{package}/{suite}"], check=False) or ""
    line = next((line for line in shown.splitlines() if line.startswith("Depends:")), "")
    return re.findall(r"(?:Depends:|,)\s*([a-z0-9.+-]+)", line)


def download(architecture: str, packages: list[str], into: Path) -> None:
    """Download packages as they are named, and unpack them.

    Args:
        architecture: Debian's name of it, ``amd64``.
        packages: ``name`` or ``name/suite``.
        into: the directory to unpack into.
    """
    into.mkdir(parents=True, exist_ok=True)
    for package in packages:
        with tempfile.TemporaryDirectory(
            prefix="download-", dir=cache()
        ) as name:  # of a run that was killed nothing is taken
            _run(["apt-get", *_apt(architecture), "download", "-qq", package], cwd=Path(name))
            for archive in Path(name).iterdir():
                _run(["dpkg-deb", "-x", str(archive), str(into)])


def download_with_dependencies(architecture: str, packages: list[str], suite: str, into: Path) -> None:
    """Download packages with all that they need, and unpack them: a userland that was never configured."""
    into.mkdir(parents=True, exist_ok=True)
    for link in ("bin", "sbin", "lib"):  # as a merged /usr has them
        (into / "usr" / link).mkdir(parents=True, exist_ok=True)
        if not (into / link).is_symlink():
            (into / link).symlink_to(f"usr/{link}")
    archives = cache() / f"apt-{architecture}" / "archives"
    options = ["-y", "-qq", "--no-install-recommends", "--download-only", "-t", suite]
    _run(["apt-get", *_apt(architecture), *options, "install", *packages])
    for archive in sorted(archives.glob("*.deb")):
        listing = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
        _run(["tar", "-x", "--keep-directory-symlink", "-C", str(into)], stdin=listing.stdout)
        listing.wait()
        archive.unlink()
    _configure(into)


def _configure(root: Path) -> None:
    """The little of what the packages' own scripts would have done that is needed."""
    (root / "etc").mkdir(exist_ok=True)
    for name in ("passwd", "group"):
        shutil.copy2(f"/etc/{name}", root / "etc" / name)
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("bash")
    for name in ("proc", "sys", "dev", "tmp", "run"):
        (root / name).mkdir(exist_ok=True)


def _run(argv: list[str], *, cwd: Path | None = None, check: bool = True, stdin: object = None) -> str | None:
    done = subprocess.run(
        argv,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        stdin=stdin or subprocess.DEVNULL,  # type: ignore[call-overload]
    )
    if done.returncode == 0:
        return str(done.stdout)
    if not check:
        return None
    last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    raise NotToBeHad(f"{argv[0]}: {last}")
