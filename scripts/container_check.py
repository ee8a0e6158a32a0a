"""Do what packaging/Containerfile says, without an engine: unpack Debian's packages, install the wheel, and run it.

``python -m scripts.container_check`` as root, at the root of the checkout, with a wheel in dist/ (``scripts/wheels
pure``). The packages are those that the file names, of the suite that it names.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kernels import packages

ROOT = Path(__file__).parents[1]
TOOLS = ("bash", "coreutils", "grep", "sed", "libc-bin")
"""What Debian's slim image has besides."""
ENTER = """set -e
for name in proc sys dev; do mount --rbind /$name "$0/$name"; done
mount -t tmpfs -o mode=1777 tmp "$0/tmp"
exec chroot "$0" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 "$@"
"""


def parts(text: str) -> tuple[str, list[str]]:
    """The suite and the packages of a container file."""
    suite = re.search(r"^ARG DEBIAN=(\w+)-slim$", text, re.MULTILINE)
    assert suite is not None
    joined = text.replace("\\\n", " ")
    named = re.findall(r"--no-install-recommends ([^&\n]+)", joined)
    return suite[1], sorted({word for each in named for word in each.split()})


def run(root: Path, *argv: str) -> str:
    """Run a command in the unpacked system, in a mount namespace of its own."""
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", ENTER, str(root), *argv], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def main() -> int:
    """Build it, and run some verbs there."""
    suite, named = parts((ROOT / "packaging" / "Containerfile").read_text())
    wheel = next(iter(sorted((ROOT / "dist").glob("*-none-any.whl"))), None)
    if wheel is None:
        raise SystemExit("there is no wheel in dist/: scripts/wheels pure")
    with tempfile.TemporaryDirectory() as name, packages.locked("container"):
        root = Path(name)
        packages.update("amd64")
        packages.download_with_dependencies("amd64", [*named, *TOOLS], suite, root)
        version = next(path.name.removeprefix("python") for path in (root / "usr/bin").glob("python3.[0-9]*"))
        platforms = ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"]
        get = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(root / "wheels"), *platforms]
        get += ["--only-binary=:all:", "--python-version", version, f"{wheel}[tui]"]
        subprocess.run(get, check=True)
        shutil.copy(wheel, root / "wheels")
        certificates = Path("etc/ssl/certs/ca-certificates.crt")  # which a script of its package makes
        (root / certificates).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/" / certificates, root / certificates)
        run(root, "python3", "-m", "venv", "/opt/straced")
        install = ["/opt/straced/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/wheels"]
        run(root, *install, "--no-deps", "straced")
        run(root, *install, "straced[tui]")
        (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
        (root / "usr/local/bin/straced").symlink_to("/opt/straced/bin/straced")
        for words in (["--version"], ["doctor"], ["run", "-n", "3", "--", "ls", "/"]):
            print(run(root, "straced", *words))
    return 0


if __name__ == "__main__":
    sys.exit(main())
