"""Which processes belong to this test run, and whether a test left the world as it found it (faults.md, section 5).

Others run straces on the same machine, so nothing is looked for by name. All processes of the run are found by a
cgroup, where one can be made (root): it holds those too that changed their session, lost their parent, or were
started with a clean environment. Elsewhere: by descent and by a marker in the environment.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
import uuid
from pathlib import Path

from tests.support import proc
from tests.support.pace import PACE

MARKER = "STRACED_TEST_SESSION"
PATIENCE_S = float(os.environ.get("STRACED_TEST_PATIENCE", "3")) * PACE
"""How long what a test started may take to go after the test."""
ASIDE = "aside"
"""The cgroup, in that of the run, of what works beside the tests."""
BELOW = "STRACED_TEST_CGROUP"
"""The cgroup in which a run beside another one makes its own."""
CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd")
CPU = "/sys/fs/cgroup/cpu"


class World:
    """The processes of one test run."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.marker = f"{MARKER}={self.name}"
        self.cgroup = ""
        self.idle = f"{CPU}/straced-test-{self.name[:12]}"
        """A cgroup of the kind that divides CPU time, for what has only the time that others leave; when it is made."""
        self.own: set[int] = set()

    def make_cgroup(self) -> str:
        """Make the cgroup of this run; ``""`` where that is not allowed."""
        for root in (os.environ[BELOW],) if BELOW in os.environ else CGROUPS:
            path = f"{root}/straced-test-{self.name[:12]}"
            if os.path.exists(f"{root}/cgroup.procs") and os.access(f"{root}/cgroup.procs", os.W_OK):
                with contextlib.suppress(OSError):
                    os.mkdir(path)
                    self.cgroup = path
                    break
        return self.cgroup

    def enter(self, watchdog: int) -> None:
        """Put the runner into the cgroup and the marker into its environment; the watchdog stays outside."""
        os.environ[MARKER] = self.name
        self.own = {os.getpid(), watchdog}
        if self.cgroup:
            try:
                Path(self.cgroup, "cgroup.procs").write_text(str(os.getpid()))
            except OSError:
                os.rmdir(self.cgroup)
                self.cgroup = ""

    def step_aside(self) -> None:
        """Take the calling process, a new one, out of every test's world; the watchdog still knows it as of the run."""
        if self.cgroup:
            Path(self.aside(), "cgroup.procs").write_text(str(os.getpid()))

    def aside(self) -> str:
        """The cgroup of what works beside the tests."""
        group = Path(self.cgroup, ASIDE)
        group.mkdir(exist_ok=True)
        return str(group)

    def step_back(self) -> None:
        """The same, and leave the calling process only the CPU time that others do not want."""
        self.step_aside()
        try:
            os.mkdir(self.idle)
            Path(self.idle, "cpu.idle").write_text("1")
            Path(self.idle, "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            with contextlib.suppress(OSError):  # where each session has its share, also that of the session
                Path("/proc/self/autogroup").write_text("19")

    def step_forward(self) -> None:
        """Let what stepped back have its share: the tests wait for it, but others may have work on this machine."""
        with contextlib.suppress(OSError):
            Path(self.idle, "cpu.idle").write_text("0")

    def processes(self) -> set[int]:
        """All living processes of the run but the runner itself."""
        if self.cgroup:
            found = {int(line) for line in Path(self.cgroup, "cgroup.procs").read_text().split()}
        else:
            found = set(proc.descendants(os.getpid()))
            found |= {pid for pid in proc.pids() if proc.environ_has(pid, self.marker)}
        return {pid for pid in found - self.own if proc.alive(pid)}

    def zombies(self) -> set[int]:
        """Ended processes of the run that their parent did not wait for; what pid 1 inherited, it reaps in its time."""
        below = {child for parent in (os.getpid(), *self.processes()) for child in proc.offspring(parent)}
        return {pid for pid in below if proc.state(pid) == "Z" and pid not in self.own}


WORLD = World()


def describe(pid: int) -> str:
    """One process for the message of a failed check."""
    words = " ".join(proc.cmdline(pid))[:150]
    return f"{pid} [{proc.state(pid)}] tracer {proc.tracer(pid)} ppid {proc.parent(pid)}: {words}"


class Snapshot:
    """The world before a test."""

    def __init__(self) -> None:
        self.processes = WORLD.processes()
        self.zombies = WORLD.zombies()
        self.fds = proc.fds()
        self.pins = _pins()
        self.blocked = _blocked()

    def trouble(self, temporary: Path) -> list[str]:
        """What is left of the test now; empty when the world is clean."""
        found = [f"left running: {describe(pid)}" for pid in sorted(WORLD.processes() - self.processes)]
        found += [f"left as a zombie: {describe(pid)}" for pid in sorted(WORLD.zombies() - self.zombies)]
        found += [f"left open: fd {fd} {what}" for fd, what in sorted(self._opened().items())]
        found += [f"left in TMPDIR: {path}" for path in sorted(temporary.rglob("*"))]
        found += [f"left pinned: {path}" for path in sorted(_pins() - self.pins)]
        found += [f"left blocked: {number!r}" for number in sorted(_blocked() - self.blocked)]
        return found

    def _opened(self) -> dict[int, str]:
        """Descriptors that were not there before; BPF objects live as long as these, so they are covered too."""
        now = proc.fds()
        return {fd: what for fd, what in now.items() if self.fds.get(fd) != what and not what.endswith("/fd")}


def _blocked() -> set[int]:
    """Signals that no child of this thread would receive."""
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _pins() -> set[str]:
    try:
        return {name for name in os.listdir("/sys/fs/bpf") if "straced" in name}
    except OSError:
        return set()


def assert_world_clean(before: Snapshot, temporary: Path) -> None:
    """Fail, naming what is left when the patience is over."""
    started = time.monotonic()
    while trouble := before.trouble(temporary):
        gc.collect()  # what only a cycle of objects still holds is not left behind; only then, for it takes 100 ms
        if time.monotonic() - started > PATIENCE_S:
            for pid in WORLD.processes() - before.processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            signal.pthread_sigmask(signal.SIG_SETMASK, before.blocked)
            raise AssertionError("the world is not clean:\n  " + "\n  ".join(trouble))
        time.sleep(0.01)
