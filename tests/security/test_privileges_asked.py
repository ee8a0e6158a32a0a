"""Who asks, and who is asked about: capabilities of a namespace of one's own, dropped rights, and traces by strace."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.linux import credentials
from straced.linux.exec_rights import began_secure
from straced.model.owner import Owner
from tests.security import rights
from tests.security.rights import USER, asking, children, go_on, heard, started, strong, told
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import folder_of_nobody, public_folder


@pytest.fixture(scope="module")
def plain() -> Iterator[Path]:
    """The workload, where another user can run it."""
    with public_folder() as folder:
        yield rights.build(folder)


@pytest.fixture
def daemon(world: None) -> Iterator[Daemon]:
    """A service that watches nothing."""
    with public_folder() as folder, serving(folder) as made:
        yield made


@needs_root
@needs_ebpf
@pytest.mark.needs("unshare")
def test_capabilities_of_a_namespace_of_ones_own_are_worth_nothing(daemon: Daemon, plain: Path) -> None:
    """Whoever makes a user namespace holds all of them there; a process that holds one outside is not theirs for it."""
    ambient = ("--inh-caps=+net_raw", "--ambient-caps=+net_raw")
    prefix = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *ambient)
    with started(plain, "say", "ready", prefix=prefix) as process:
        with asking(daemon, rights.ATTACH, process.pid, inside="unshare -Ur") as client:
            assert told(client) == {"attach": "uid"}
        with started(plain, "say", "ready") as own, asking(daemon, rights.ATTACH, own.pid) as client:
            assert told(client) == {"attach": "fine"}


@needs_root
@pytest.mark.parametrize("kind", rights.KINDS)
def test_a_program_that_dropped_its_rights_is_roots(plain: Path, kind: str) -> None:
    """It looks like any other of the user's but for what the kernel noted down for the dynamic linker."""
    with started(strong(plain, kind), "drop", "say", "dropped") as process:
        assert began_secure(process.pid)
        assert credentials.owner_of(process.pid).private
    with started(plain, "drop", "say", "plain") as process:
        assert not began_secure(process.pid)
        assert credentials.owner_of(process.pid) == Owner(USER, USER, private=False)


@pytest.mark.parametrize("word", ["Q", "I"])
def test_entries_of_either_size_are_understood(tmp_path: Path, word: str) -> None:
    (tmp_path / "7").mkdir()
    for secure in (0, 1):
        entries = (33, 2**31 + 23, 6, 23, 1, 4096, 23, secure, 25, 2**31 + 1, 0, 0)
        (tmp_path / "7" / "auxv").write_bytes(struct.pack(f"={len(entries)}{word}", *entries))
        assert began_secure(7, str(tmp_path)) is bool(secure)


@needs_root
@pytest.mark.needs("strace")
def test_strace_runs_as_the_user_and_the_kernel_gives_what_it_traces_no_rights(plain: Path, daemon: Daemon) -> None:
    """So a full trace need not end at the execve: the program runs with the user's rights (ptrace(2), execve(2))."""
    more = strong(plain, "set-user-ID")
    words = ("say", "ready", *children("exec", more, "ids", "theirs", 7), "say", "done")
    with public_folder() as folder:
        output = folder_of_nobody(folder) / "trace.txt"
        with started(plain, *words) as process:
            with asking(daemon, rights.TRACE, process.pid, output, "strace") as client:
                go_on(process)
                assert heard(process) == f"{USER} {USER}"
                assert heard(process) == "done"
                told(client)
            assert output.read_text().count("umask(022)") == 7
        with started(plain, *words) as process:
            go_on(process)
            assert heard(process) == f"0 {USER}"
