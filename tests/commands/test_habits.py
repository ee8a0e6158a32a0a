"""Forty mistakes, as people type them who know strace, perf or top: each answered with the line to type.

Of `commands/habits.py`, `commands/foreign_words.py` and `commands/options.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from straced.commands import foreign_words, group, habits, options
from straced.commands.registry import BY_NAME
from straced.linux import procfs
from straced.linux.targets import TargetSpec
from tests.support import process_states as real
from tests.support.poll import until

MISTAKES = {
    # no verb: strace's own command line
    "-p 42": "straced attach 42",
    "-f -p 42,43": "straced attach 42 43",
    "-c -f -p 42": "straced attach 42",
    "-p 42 -o t.txt": "straced trace 42 -o t.txt",
    "-f -e open -p 42": "straced trace 42 -e open",
    "-c ls -l": "straced run -- ls -l",
    "-f -o t.txt ls": "straced trace -o t.txt -- ls",
    "42": "straced attach 42",
    "ls -l": "straced run -- ls -l",
    # verbs of others
    "strace ls -l": "straced run -- ls -l",
    "stat 42": "straced attach 42",
    "start": "straced serve",
    "ps": "straced top --once",
    "help attach": "straced attach --help",
    "compare a b": "straced diff a b",
    "atach 42": "straced attach",
    # options that a verb does not have
    "attach 42 -e open": "straced trace 42 -e SET",
    "attach 42 -s 200": "straced trace 42 -s 128",
    "attach 42 -k": "straced why 42 --python-stack",
    "attach -a": "straced top",
    "attach 42 --timeout 3": "straced attach 42 -d 30s",
    "attach 42 --max fsync=0": "straced run --max fsync=0 -- CMD",
    "trace 42 -c": "straced attach 42",
    "trace 42 -k": "straced why 42 --python-stack",
    "trace 42 --json": "straced attach 42 --json",
    "run -p 42": "straced attach 42",
    "run -e open -- ls": "straced trace -e SET -- ls",
    "run -d 30s -- sleep 9": "straced run -- timeout 30 sleep 9",
    "run -u me -- ls": "straced run --user -- ls",
    "top -d 5": "straced top -i 5s",
    "top -b": "straced top --once",
    "why -a": "straced why --all",
    # values
    "attach no-such-program": "a target is a pid, name:GLOB, unit:NAME.service or cgroup:/path",
    "attach ls": "straced run -- ls",
    "attach -p ''": "pgrep -af NAME",
    "attach 42 -d soon": "straced attach --help",
    "attach": "a target is a pid, name:GLOB",
    "attach 42 --tracer perf": "straced attach --help",
    "trace 42 43": "straced trace 42, and the others in other terminals",
    "trace 42 -e opeen": "did you mean open?",
    "run": "straced run --help",
    "run -- 'ls -l'": "straced run -- ls -l",
    "run --max fsync -- ls": "straced run --max fsync=0 --max total=9000 -- CMD",
    "run --junit x.xml -- ls": "straced run --max fsync=0 --junit FILE -- CMD",
    "diff a": "straced diff a1 a2 : b1 b2",
    "watch list": "straced watch ls",
    "watch remove 42": "straced watch rm",
    "watch nginx": "straced watch add name:nginx",
    "watch add no-such-program": "a target is a pid, name:GLOB",
    "completion tcsh": "straced completion --help",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_answered_with_the_line_to_type(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = shlex.split(typed)
    status = group.run(argv)
    told = capsys.readouterr()
    assert status in ({125, 127} if argv[0] == "run" else {2}), told.err
    assert told.out == ""
    assert 1 <= len(told.err.splitlines()) <= 3, told.err
    assert MISTAKES[typed] in told.err


def test_there_are_forty() -> None:
    assert len(MISTAKES) >= 40


def lines_of(answer: str) -> str:
    return answer.rpartition(": ")[2]


ANSWERS = sorted(
    {f"straced {line}" for line in foreign_words.VERBS.values()}
    | {lines_of(answer) for answers in foreign_words.OPTIONS.values() for answer in answers.values()}
)


@pytest.mark.parametrize("line", ANSWERS)
def test_what_is_proposed_is_a_line_that_can_be_typed(line: str) -> None:
    for word, value in {"PID": "42", "GLOB": "x", "SET": "open", "USER": "me", "PATH": "/x", "FILE": "/x"}.items():
        line = re.sub(rf"\b{word}\b", value, line)
    _, *words = shlex.split(line)
    if words[0] == "--version":
        return
    with contextlib.suppress(click.exceptions.Exit):  # of --help
        if words[0].startswith("-"):
            group.cli.make_context("straced", words)
        else:
            assert words[0] in BY_NAME
            command = group.cli.get_command(click.Context(group.cli), words[0])
            assert command is not None
            command.make_context(words[0], words[1:])


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A process with a name of its own: the name, and the pid."""
    path = tmp_path / f"t{uuid.uuid4().hex[:10]}"
    path.write_bytes(Path("/bin/sleep").read_bytes())
    path.chmod(0o755)
    with real.running(str(path), "60") as pid:
        until(lambda: procfs.stat(pid).comm == path.name, real.LIMIT_S, "it has exec'd")
        yield path.name, pid


@pytest.mark.parametrize("verb", ["attach", "trace", "doctor", "watch add"])
def test_the_name_of_a_process_is_proposed_as_one(
    verb: str, sleeper: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert group.run([*verb.split(), sleeper[0]]) == 2
    assert f"name:{sleeper[0]}" in capsys.readouterr().err


def test_a_name_that_several_have_is_answered_with_their_pids(
    sleeper: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, first = sleeper
    with real.running(str(tmp_path / name), "61") as second:
        until(lambda: procfs.stat(second).comm == name, real.LIMIT_S, "it has exec'd")
        assert group.run(["attach", f"name:{name}"]) == 2
    pids = sorted((first, second))
    told = capsys.readouterr().err
    assert f"type: straced attach {pids[0]} {pids[1]}" in told
    assert f"{pids[0]} (" in told


def test_several_pids_in_one_option() -> None:
    made = options.PidList().convert("17,18\n19 ", None, None)
    assert made == (TargetSpec("pid", "17"), TargetSpec("pid", "18"), TargetSpec("pid", "19"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("attach", "-f", "-c", "-q"),
            ["-f is on by default; --no-follow leaves children out", "-c is what attach does"],
        ),
        (("trace", "-f", "-ttt", "-T", "-yy", "-v"), ["-f is on", "-ttt is on", "-T is on", "-yy is on"]),
        (
            ("trace", "-e", "trace=open,read"),
            ["-e trace=open,read,?openat,?openat2: programs of today call openat, openat2"],
        ),
    ],
)
def test_habits_that_do_no_harm_are_taken(
    words: tuple[str, ...], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with real.running() as gone:  # the next number may be a thread's, or a new process's, by then; a used one is not
        pass
    assert group.run([*words, str(gone)]) in (3, 5)
    told = capsys.readouterr().err
    assert [each for each in said if f"straced: {each}" not in told] == []


def test_a_thread_is_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        found = options.processes((TargetSpec("pid", str(thread.native_id)),), "top", "shown")
    finally:
        release.set()
        thread.join()
    assert found == (TargetSpec("pid", str(os.getpid())),)
    assert f"{thread.native_id} is a thread of {os.getpid()}" in capsys.readouterr().err


@pytest.mark.parametrize(("shell", "status"), [("/usr/bin/zsh", 0), ("/bin/tcsh", 2), ("", 2)])
def test_the_completion_of_ones_own_shell(
    shell: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", shell)
    assert group.run(["completion"]) == status
    told = capsys.readouterr()
    assert ("_STRACED_COMPLETE=zsh_complete" in told.out) == (status == 0)
    assert ("straced completion bash" in told.err) == (status == 2)


def test_strace_is_read_as_strace_reads_it() -> None:
    assert habits.without_verb(["-fp42", "-e", "trace=read"]) == "straced trace 42 -e trace=read"
    assert habits.without_verb(["--nonsense"]) is None
    assert habits.without_verb(["-f"]) is None
