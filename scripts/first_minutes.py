"""What a newcomer meets, and how long it takes: from nothing to the first table, the first ``why``, a failing budget.

``python -m scripts.first_minutes`` at the root of a checkout. A clone of its last commit in an empty directory, and its
wheel in an empty environment; as root and as an ordinary user who owns no more than a directory, or as whoever runs it.
Each is done twice: with an empty cache of pip, which downloads, and again from nothing with what that has cached. The
second must be there within a minute. Packages of the system (strace, libbpf) are taken to be installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT_S = 60.0
PATIENCE_S = 600.0
NOBODY = 65534
PASSED_ON = ("PIP_", "SSL_", "REQUESTS_", "HTTP", "http", "no_proxy", "NO_PROXY")
"""What an environment says of the way to a package index."""

WHY = "sleep 60 & straced why $!; status=$?; kill $!; exit $status"
BUDGET = "straced run --max fsync=0 -- dd if=/dev/zero of=saved count=1 conv=fsync"
TEST = """\
cat >test_saving.py <<END
import os, pytest

@pytest.mark.syscalls(none=["fsync"])
def test_saving():
    with open("saved", "w") as file:
        os.fsync(file.fileno())
END
pip install --quiet pytest && python -m pytest -q test_saving.py"""


@dataclass(frozen=True)
class Step:
    """What is typed, and what must come of it."""

    name: str
    line: str
    shows: str = ""
    status: int = 0


ENTER = ". {}.venv/bin/activate\n"


def ways(bundle: Path, wheel: Path) -> dict[str, list[Step]]:
    """The steps from nothing, by the way that is taken."""
    return {
        "clone": [
            Step("clone", f"git clone --quiet {bundle} straced"),
            Step("first table", "cd straced && make run", "· 0 lost"),
            *use(ENTER.format("straced/")),
        ],
        "wheel": [
            Step("install", f"python3 -m venv .venv && .venv/bin/pip install --quiet {wheel}"),
            Step("first table", ENTER.format("") + "straced run -- ls /usr", "· 0 lost"),
            *use(ENTER.format("")),
        ],
    }


def use(enter: str) -> list[Step]:
    """What is tried next."""
    return [
        Step("first why", enter + WHY, "is idle: it sleeps"),
        Step("failing budget", enter + BUDGET, "system call budget broken", 1),
        Step("failing test", enter + TEST, "system call budget broken", 1),
    ]


def environment(home: Path) -> dict[str, str]:
    """That of a user who has just logged in."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return {**kept, "HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8"}


def walk(steps: list[Step], home: Path, become: list[str], show: bool) -> list[tuple[str, float, float]]:
    """Take the steps in an empty directory; for each, the seconds since the beginning when it was done, and of CPU."""
    place = Path(tempfile.mkdtemp(dir=home))
    if become:
        os.chown(place, NOBODY, NOBODY)
    begun, worked = time.monotonic(), cpu()
    done = []
    for step in steps:
        status, shown = typed([*become, "sh", "-c", step.line], place, home)
        done.append((step.name, time.monotonic() - begun, cpu() - worked))
        if show:
            print(f"$ {step.line}\n{shown}", flush=True)
        if status != step.status or step.shows not in shown:
            raise SystemExit(f"{step.name}: status {status}, expected {step.status}\n{step.line}\n{shown}")
    return done


def typed(argv: list[str], place: Path, home: Path) -> tuple[int, str]:
    """Run a line as a shell would, and return its status and all that it printed."""
    process = subprocess.Popen(
        argv, cwd=place, env=environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        shown, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise SystemExit(f"{argv[-1]}: no end after {PATIENCE_S:.0f} s\n{process.communicate()[0]}") from None
    return process.returncode, shown


def cpu() -> float:
    """CPU seconds of all that was waited for: they say more than a clock on a machine that others use."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Walk all ways, print how long each took, and fail if one took too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wheel", type=Path, help="that wheel, instead of one built here")
    parser.add_argument("--show", action="store_true", help="print all that a newcomer sees")
    parser.add_argument("--way", choices=("clone", "wheel"), help="only that one")
    options = parser.parse_args()
    late = []
    with tempfile.TemporaryDirectory(prefix="straced-first-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        bundle = folder / "straced.bundle"
        subprocess.run(["git", "-C", ROOT, "bundle", "create", "--quiet", bundle, "HEAD"], check=True)
        wheel = options.wheel or build(folder)
        for user in ("root", "ordinary user") if os.geteuid() == 0 else ("ordinary user",):
            home = folder / user.replace(" ", "-")
            home.mkdir()
            become = []
            if os.geteuid() == 0 and user != "root":
                os.chown(home, NOBODY, NOBODY)
                become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
            for way, steps in ways(bundle, wheel.resolve()).items():
                if options.way not in (None, way):
                    continue
                os.environ["PIP_CACHE_DIR"] = str(home / f"cache-of-{way}")
                for cache in ("empty", "warm"):
                    done = walk(steps, home, become, options.show and cache == "warm")
                    times = ", ".join(f"{step} {seconds:.1f} s" for step, seconds, _ in done)
                    print(f"{way}, {user}, {cache} cache: {times} ({done[-1][-1]:.1f} s of CPU)", flush=True)
                    late += [(way, user, step) for step, seconds, _ in done if cache == "warm" and seconds > LIMIT_S]
    for way, user, step in late:
        print(f"later than {LIMIT_S:.0f} s: {step} ({way}, {user})")
    return bool(late)


def build(folder: Path) -> Path:
    """The wheel of this machine, from the checkout: what an index would have."""
    python = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder / "dist"),
        str(ROOT),
    ]
    subprocess.run(python, check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    wheel.parent.chmod(0o755)
    return wheel


if __name__ == "__main__":
    sys.exit(main())
