"""A process in a user namespace that root made is no process of the user whose number it has, as ptrace(2) has it.

Of `tracers/ebpf/recorder.py` and `linux/exec_rights.py`.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.linux import credentials
from straced.model.owner import Owner
from tests.security import rights
from tests.security.rights import USER, asking, told
from tests.service.daemon import Daemon
from tests.service.needs import needs_root
from tests.service.processes import as_nobody, end, folder_of_nobody

pytestmark = [needs_root, pytest.mark.needs("ebpf", "unshare")]
DROP = "setpriv --reuid=65534 --regid=65534 --clear-groups"
ROOTS = f'echo mapped; read line; exec {DROP} sh -c "echo ready; read line"'
NESTED = f'echo mapped; read line; exec {DROP} unshare --user sh -c "echo ready; read line"'
"""The user made the inner one of two, and root the outer one."""
TRACE = """
from pathlib import Path
try:
    await (await client.trace(pid, Path(sys.argv[2]), tracer=sys.argv[3])).stop()
    told["trace"] = "fine"
except StracedError as error:
    told["trace"] = error.code
print("asked", flush=True)
await line()
"""


@contextlib.contextmanager
def inside(*argv: str) -> Iterator[int]:
    """A process in a new user namespace, in which root gives it numbers if it asks for them; it waits."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if line == "mapped\n":
            for kind in ("uid", "gid"):
                Path(f"/proc/{process.pid}/{kind}_map").write_text("0 0 70000\n")
            process.stdin.write("\n")
            line = process.stdout.readline()
        assert line == "ready\n"
        yield process.pid
    finally:
        end(process)


@pytest.mark.parametrize("tracer", ["ebpf", "strace"])
def test_a_full_trace_is_refused(tracer: str, public: Path, daemon: Daemon) -> None:
    with (
        inside("unshare", "--user", "sh", "-c", ROOTS) as pid,
        asking(daemon, TRACE, pid, folder_of_nobody(public) / "trace.txt", tracer) as client,
    ):
        assert str(told(client)["trace"]) == "uid"


@pytest.mark.parametrize("words", [ROOTS, NESTED], ids=["root's", "nested"])
def test_counting_is_refused(words: str, daemon: Daemon) -> None:
    with inside("unshare", "--user", "sh", "-c", words) as pid:
        assert credentials.owner_of(pid) == Owner(USER, USER, private=True)
        with asking(daemon, rights.ATTACH, pid) as client:
            assert told(client) == {"attach": "uid"}


@pytest.mark.parametrize("times", [1, 2])
def test_what_the_user_made_is_theirs(times: int, daemon: Daemon) -> None:
    nested = ("unshare", "--user", "--map-current-user") * times
    with inside(*as_nobody(), *nested, "sh", "-c", "echo ready; read line") as pid:
        assert credentials.owner_of(pid) == Owner(USER, USER, private=False)
        with asking(daemon, rights.ATTACH, pid) as client:
            assert told(client) == {"attach": "fine"}
