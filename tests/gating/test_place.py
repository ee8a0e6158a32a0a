"""Where the gate stands: whoever the program is started as can execute it, and nobody else can have written it."""

from __future__ import annotations

import asyncio
import contextlib
import filecmp
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from straced import Profiler, StracedError, gate, gating
from straced.errors import CommandNotFound
from straced.gating import helper, protocol

NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in a folder that only its owner may enter."""
    folder = tmp_path / "private" / "gating"
    shutil.copytree(helper.FOLDER, folder)
    folder.parent.chmod(0o700)
    monkeypatch.setattr(helper, "FOLDER", folder)
    return folder


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one folder for copies: everybody may write to it, as to /tmp."""
    folder = Path("/var/tmp") / f"straced-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(helper, "FOLDERS", (str(folder),))
    yield folder
    shutil.rmtree(folder)


async def ran(argv: list[str], **options: Any) -> tuple[bytes, int]:
    """What a program that is attached to as soon as it is started prints, and its status."""
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, **options)
    async with Profiler() as profiler:
        with contextlib.suppress(StracedError):  # it runs all the same
            await profiler.attach(process.pid)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return out, process.returncode


def mode(path: str) -> tuple[int, int]:
    """Who owns it, and the mode."""
    facts = os.stat(path)
    return facts.st_uid, facts.st_mode & 0o7777


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (12 << 20, 12 << 20))


async def test_a_program_with_little_memory_runs() -> None:
    assert await ran(gate(["/bin/echo", "ran"]), preexec_fn=little_memory) == (b"ran\n", 0)


@pytest.mark.needs("root")
@pytest.mark.usefixtures("hidden")
async def test_a_user_who_cannot_enter_the_installation_runs_it(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "WRITERS_S", 3600.0)  # there is none, and nothing is waited for
    argv = gate(["/bin/echo", "ran"])
    assert argv[0].startswith(f"{public}/straced-gate-0-")
    assert await ran(argv, **NOBODY) == (b"ran\n", 0)
    made = os.stat(argv[0])
    assert gate(["true"])[0] == argv[0]
    assert os.stat(argv[0]).st_ino == made.st_ino, "made once"
    assert len(os.listdir(public)) == 1


def test_an_owner_who_stays_the_same_user_needs_no_copy(
    hidden: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "_may_become_others", lambda: False)
    assert gate(["true"])[0] == f"{hidden}/gate.{os.uname().machine}"
    assert os.listdir(public) == []


def planted(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\necho planted\n")
    path.chmod(0o755)


def owned_by_another(folder: Path) -> None:
    planted(folder / "gate")
    os.chown(folder, 65534, 65534)


def written_by_another(folder: Path) -> None:
    os.chown(folder / "gate", 65534, 65534)


def writable(folder: Path) -> None:
    folder.chmod(0o777)


def a_link(folder: Path) -> None:
    planted(folder.parent / "elsewhere")
    (folder / "gate").unlink()
    (folder / "gate").symlink_to(folder.parent / "elsewhere")


def a_linked_folder(folder: Path) -> None:
    folder.rename(folder.parent / "moved")
    folder.symlink_to(folder.parent / "moved")


def other_content(folder: Path) -> None:
    planted(folder / "gate")


def a_fifo(folder: Path) -> None:
    (folder / "gate").unlink()
    os.mkfifo(folder / "gate", 0o755)


@pytest.mark.needs("root")
@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize(
    "spoil", [owned_by_another, written_by_another, writable, a_link, a_linked_folder, other_content, a_fifo]
)
def test_a_copy_that_another_had_his_hands_on_is_not_run(public: Path, spoil: Callable[[Path], None]) -> None:
    first = gate(["true"])[0]
    spoil(Path(first).parent)
    second = gate(["/bin/echo", "ran"])[0]
    assert second != first
    assert filecmp.cmp(second, helper.FOLDER / f"gate.{os.uname().machine}", shallow=False)
    assert mode(second) == mode(os.path.dirname(second)) == (0, 0o755)
    done = subprocess.run(gate(["/bin/echo", "ran"], patience_s=0), capture_output=True, **NOBODY)
    assert done.stdout == b"ran\n"
    assert gate(["true"])[0] == second, "one for this process"


@pytest.mark.needs("root")
@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize("bits", [0o777, 0o1700], ids=["not-sticky", "closed"])
async def test_a_folder_that_is_not_fit_is_not_used(public: Path, bits: int) -> None:
    """And with no other, a shell looks whether the user can execute the gate; if not, he gets the program at once."""
    os.chmod(public, bits)
    argv = gate(["/bin/echo", "ran", "a  b", ""])
    assert os.listdir(public) == []
    assert tuple(argv[:4]) == protocol.SHELL
    assert await ran(argv, **NOBODY) == (b"ran a  b \n", 0)
    assert await ran(argv) == (b"ran a  b \n", 0)


@pytest.mark.needs("root", "strace")
@pytest.mark.usefixtures("hidden")
async def test_behind_a_shell_it_is_a_gate_all_the_same(public: Path) -> None:
    os.chmod(public, 0o700)
    argv = gate(["/bin/true"])
    assert tuple(argv[:4]) == protocol.SHELL
    counts = []
    for words in (argv, argv[4:]):
        process = await asyncio.create_subprocess_exec(*words, env={})
        async with Profiler("strace") as profiler:
            session = await profiler.attach(process.pid)
            assert session.target.cmdline == ("/bin/true",)
            counts.append({row.name: row.calls for row in (await session.result()).rows})
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert counts[0] == counts[1]
    assert counts[0]["execve"] == 1


@pytest.mark.needs("root")
@pytest.mark.usefixtures("hidden")
def test_a_copy_is_not_handed_out_while_a_forked_child_can_write_it(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads start programs at any moment: a child has our descriptors until its execve."""
    children: list[subprocess.Popen[bytes]] = []
    chmod = os.fchmod

    def fork_meanwhile(fd: int, bits: int) -> None:
        chmod(fd, bits)
        children.append(subprocess.Popen(["sleep", "0.2"], pass_fds=[fd]))

    monkeypatch.setattr(os, "fchmod", fork_meanwhile)
    path = gate(["/bin/echo", "ran"])[0]
    assert len(children) == 1
    assert path.startswith(str(public))
    assert subprocess.run(gate(["/bin/true"], patience_s=0)).returncode == 0
    assert children[0].wait(10) == 0


def test_a_machine_without_a_gate_starts_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(helper, "FOLDER", tmp_path)
    assert gate(["/bin/echo", "ran"]) == ["/bin/echo", "ran"]


@pytest.mark.needs("root")
def test_a_root_in_which_it_does_not_stand_is_a_clear_error(tmp_path: Path) -> None:
    argv = gate(["/bin/echo", "ran"])
    with pytest.raises(FileNotFoundError) as caught:
        subprocess.run(argv, preexec_fn=lambda: os.chroot(tmp_path))
    assert caught.value.filename == argv[0]
    assert os.path.basename(argv[0]).startswith("gate")


def test_a_program_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the path that execvp(3) takes then; but one that is empty finds nothing."""
    monkeypatch.delenv("PATH")
    assert gate(["true"])[-2:] in (["/bin/true", "true"], ["/usr/bin/true", "true"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CommandNotFound):
        gate(["true"])


def test_the_gate_that_is_handed_out_is_the_one_of_this_machine() -> None:
    place = helper.find()
    assert place is not None
    assert Path(place.path).read_bytes() == (Path(gating.__file__).parent / f"gate.{os.uname().machine}").read_bytes()
