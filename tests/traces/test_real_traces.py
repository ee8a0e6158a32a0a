"""Twenty real programs: counts and errors equal an independent count of the same file, to the last call."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.traces.recorded import OURS, record, report

PYTHON = (sys.executable, "-I", "-S", "-c")
SERVER = """
import socket, threading
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
def serve():
    for _ in range(20):
        c, _ = s.accept(); c.sendall(c.recv(100)); c.close()
t = threading.Thread(target=serve); t.start()
def ask():
    for _ in range(5):
        with socket.create_connection(s.getsockname()) as c: c.sendall(b"x" * 50); c.recv(100)
ts = [threading.Thread(target=ask) for _ in range(4)]
[x.start() for x in ts]; [x.join() for x in ts]; t.join()
"""
SQLITE = """
import sqlite3
d = sqlite3.connect("test.db")
d.execute("create table t(a)")
for i in range(20):
    with d: d.execute("insert into t values (?)", (i,))
"""
SIGNALS = """
import os, signal, time
signal.signal(signal.SIGUSR1, lambda *a: None)
for _ in range(10):
    if os.fork() == 0:
        time.sleep(0.002); os.kill(os.getppid(), signal.SIGUSR1); os._exit(1)
    os.wait()
"""
STRINGS = """
import os
for n in ['a) = -1 EPERM (x', 'b <0.5>', 'c = 3', '<unfinished ...>', '\\x1b[1m']:
    os.close(os.open(n, os.O_CREAT | os.O_RDWR)); os.stat(n); os.write(2, n.encode())
"""
CONFIGURE = """
for name in stdio stdlib nope1 nope2; do
  echo "#include <$name.h>" > conf.c; test -r /usr/include/$name.h && echo yes >> log || echo no >> log
  for d in /a /b /c; do test -x $d/$name; done; cat conf.c | sed s/a/b/ > /dev/null; expr 1 + 2 > /dev/null; rm conf.c
done
"""
MAKEFILE = "all: a b c d\na b c d:\n\t@sleep 0.01; echo $@ > $@.out\n"
PROGRAMS: dict[str, tuple[str, ...]] = {
    "true": ("true",),
    "pipeline": ("sh", "-c", "ls /etc | sort | head -5 | wc -l"),
    "find": ("find", "/usr/share/doc/bash", "/etc/init.d", "/nope"),
    "git": ("git", "--version"),
    "server": (*PYTHON, SERVER),
    "make": ("make", "-j", "4", "-f", "mk"),
    "sqlite": (*PYTHON[:1], "-I", "-c", SQLITE),
    "gzip": ("gzip", "-k", "-f", "mk"),
    "tar": ("tar", "cf", "x.tar", "mk"),
    "configure": ("sh", "-c", CONFIGURE),
    "signals": (*PYTHON, SIGNALS),
    "killed": ("sh", "-c", "sleep 5 & kill -9 $!; wait; kill -SEGV $$"),
    "xargs": ("sh", "-c", "seq 20 | xargs -n 1 -P 4 echo"),
    "dd": ("dd", "if=/dev/zero", "of=zeros", "bs=100", "count=500"),
    "grep": ("grep", "-r", "root", "/etc/init.d"),
    "awk": ("awk", 'BEGIN { while (("ls /etc" | getline x) > 0) n++; print n }'),
    "timeout": ("timeout", "0.05", "sleep", "5"),
    "threads": (*PYTHON, "import threading\nfor _ in range(30):\n t=threading.Thread(target=int); t.start(); t.join()"),
    "strings": (*PYTHON, STRINGS),
    "vfork": (*PYTHON, "import subprocess\nfor _ in range(5): subprocess.run(['true'])"),
}  # fmt: skip
FORMS = [OURS, ("-f", "-t"), ("-f", "-tt", "-T"), ("-f", "-r", "-y")]


def independent(path: Path) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Counts in another way: character classes on decoded lines, results told by their place before the end."""
    calls: Counter[str] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    lead = r"^\d+ +(?:[\d:.]+ +)?"
    begin = re.compile(lead + r"([a-z_][a-z0-9_]*|\?\?\?)\(")
    again = re.compile(lead + r"<\.\.\. ([a-z0-9_]+) resumed>")
    failed = re.compile(r"\) += -1 (E[A-Z0-9]+) \([A-Z][^<>()]*\)(?: <\d+\.\d+>)?$")
    for line in path.read_text("latin-1").split("\n"):
        start, resumed = begin.match(line), again.match(line)
        match = start or resumed
        if start:
            calls[start[1]] += 1
        if match and (error := failed.search(line)):
            errors[match[1], error[1]] += 1
    return calls, errors


@pytest.mark.parametrize("name", PROGRAMS)
def test_counts_and_errors(tmp_path: Path, name: str) -> None:
    (tmp_path / "mk").write_text(MAKEFILE)
    flags = FORMS[list(PROGRAMS).index(name) % len(FORMS)]
    path = record(tmp_path, PROGRAMS[name], flags)
    made = report(path)
    calls, errors = independent(path)
    assert sum(calls.values()) > 10
    rows = made.summary.rows
    restarts = Counter({row.name: row.restarts for row in rows if row.restarts})
    assert {row.name: (row.calls or 0) + restarts[row.name] for row in rows} == dict(calls)
    found = {(row.name, errno): count for row in rows for errno, count in (row.errno or {}).items()}
    # the EINTR that rt_sigreturn shows belongs to the call it interrupted
    moved = sum(count for (call, errno), count in errors.items() if call == "rt_sigreturn" and errno == "EINTR")
    direct = {key: count for key, count in errors.items() if key[0] != "rt_sigreturn"}
    gained = sum(found.values()) - sum(direct.values())
    assert 0 <= gained <= moved
    assert all(found.get(key, 0) >= count for key, count in direct.items())
    assert made.unread == 0
    assert made.lines == path.read_bytes().count(b"\n")


def test_the_tree_of_a_pipeline(tmp_path: Path) -> None:
    made = report(record(tmp_path, ["sh", "-c", "ls /etc | sort | wc -l; exit 7"]))
    root = made.processes[0]
    children = {process.name: process for process in made.processes[1:]}
    assert set(children) == {"ls", "sort", "wc"}
    assert all(process.parent == root.pid and process.exit_status == 0 for process in children.values())
    assert (root.exit_status, made.summary.exit_status) == (7, 7)
    assert all(process.start_s is not None and process.end_s is not None for process in made.processes)


def test_threads_belong_to_their_process(tmp_path: Path) -> None:
    path = record(tmp_path, PROGRAMS["threads"], OURS)
    for counts in (False, True):
        summary = report(path, counts=counts).summary
        assert (summary.processes, summary.threads) == (1, 31)
