"""What a full trace begins with is bounded in sum, whatever a user has open.

Of `tracers/ebpf/record_facts.py` and `tracers/ebpf/open_descriptors.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from straced.linux import procfs, sockets
from straced.tracers.ebpf import open_descriptors, record_facts
from straced.tracers.ebpf.record_engine import RecordFilter

MOST_BYTES = 4 << 20
TREE = """
import os, signal, sys
directory = os.open(sys.argv[1], os.O_RDONLY)
for _ in range(14):
    os.mkdir("x" * 250, dir_fd=directory)
    directory = os.open("x" * 250, os.O_RDONLY, dir_fd=directory)
for _ in range(400):
    os.dup(directory)
children = []
for _ in range(12):
    if not (child := os.fork()):
        signal.pause()
    children.append(child)
print("ready", flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_many_descriptors_with_long_names(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TREE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        facts = record_facts.facts_of(procfs.target(process.pid), follow=True, wanted=RecordFilter())
        process.communicate()
    assert len(facts.processes) > 1
    assert len(msgspec.msgpack.encode(facts)) <= MOST_BYTES


SOCKETS = """
import os, signal, socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(20)]
children = []
for _ in range(60):
    if not (child := os.fork()):
        signal.pause()
    children.append(child)
print("ready", flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_the_tables_of_sockets_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the whole namespace: many processes with sockets made each trace of anybody wait."""
    asked: list[int] = []
    real = sockets.names

    def names(pid: int, inodes: set[int]) -> dict[int, tuple[str, str]]:
        asked.append(len(inodes))
        return real(pid, inodes)

    monkeypatch.setattr(sockets, "names", names)
    process = subprocess.Popen(
        [sys.executable, "-c", SOCKETS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        facts = record_facts.facts_of(procfs.target(process.pid), follow=True, wanted=RecordFilter())
        process.communicate()
    assert len(facts.processes) == 61
    assert len(asked) == 1
    for each in facts.processes:
        assert sum(opened.name.startswith("unix") for opened in each.descriptors.values()) == 20


def test_what_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_descriptors, "LOOK_S", -1.0)
    assert open_descriptors.descriptors_of([os.getpid()]) == {os.getpid(): {}}
