"""The frame of the command line: what goes wrong, and what start-up costs.

Of `__main__.py`, `_version.py`, `commands/group.py`, `commands/output.py` and `commands/completion.py`.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from straced import __version__
from straced.commands import error_report
from straced.commands.registry import VERBS
from straced.errors import ExecFailed, NoSuchProcess, StracedError
from straced.traces.native import choice

LIMIT_S = 30


def straced(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "straced", *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def imported_by(*words: str) -> set[str]:
    code = "import sys\nfrom straced.commands import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=LIMIT_S)
    return set(done.stderr.split())


def cpu_s(*argv: str, rounds: int = 7) -> float:
    """The least CPU time of a few runs."""
    times = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str) -> None:
    done = straced(flag)
    expected = f"straced {__version__}\ntraces are read by {choice.describe()}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_version_costs_at_most_five_bare_interpreters() -> None:
    bare = cpu_s(sys.executable, "-c", "pass")
    assert cpu_s(sys.executable, "-m", "straced", "--version") <= 5 * bare


def test_version_and_help_import_nothing_heavy() -> None:
    assert not imported_by("--version") & {"click", "rich", "asyncio", "msgspec"}
    verbs = {verb.module for verb in VERBS}
    assert not imported_by("--help") & ({"rich", "asyncio", "msgspec"} | verbs)


def test_completion_offers_verbs() -> None:
    environment = {**os.environ, "_STRACED_COMPLETE": "bash_complete", "COMP_WORDS": "straced compl", "COMP_CWORD": "1"}
    assert straced(env=environment).stdout == "plain,completion\n"


def test_completion_offers_running_processes_with_their_names() -> None:
    words = {"_STRACED_COMPLETE": "fish_complete", "COMP_WORDS": "straced doctor ", "COMP_CWORD": str(os.getpid())}
    lines = straced(env={**os.environ, **words}).stdout.splitlines()
    comm = Path("/proc/self/comm").read_text().strip()
    assert f"plain,{os.getpid()}\t{comm}" in lines
    assert all(line.startswith(f"plain,{os.getpid()}") for line in lines), "other pids may begin with the same digits"


def test_a_reader_who_left_is_not_an_error_message() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m straced --help | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_a_full_disk_under_stdout_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "straced", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "straced: standard output cannot be written: No space left on device\n"


def test_a_closed_stdout_is_nobodys_fault() -> None:
    command = f"{sys.executable} -m straced doctor >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_unicode_gets_other_signs() -> None:
    done = straced("doctor", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert done.stdout.splitlines()[0].count(" - ") == 3
    assert "\\x" not in done.stdout


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "verb", "status"),
    [
        (NoSuchProcess("no process 17", hint="look: ps 17"), "attach", 3),
        (NoSuchProcess("no process 17"), "run", 125),
        (ExecFailed(13, "cannot start x"), "run", 126),
        (KeyboardInterrupt(), "attach", 130),
        (BrokenPipeError(), "trace", 141),
        (PermissionError(13, "Permission denied", "/x"), "attach", 70),
        (ZeroDivisionError("division"), "attach", 70),
    ],
)
def test_exit_status(
    error: BaseException, verb: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(error_report.DEBUG_VARIABLE, raising=False)
    assert error_report.guarded(lambda: raising(error), verb) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) <= 3


@pytest.mark.parametrize(
    ("said", "shown"), [("Missing argument", "missing argument"), ("TARGET is needed", "TARGET is needed"), ("", "")]
)
def test_a_word_in_capitals_keeps_them(said: str, shown: str) -> None:
    assert error_report.explain(click.UsageError(said), "top")[0] == f"straced top: {shown}"


def test_what_why_and_what_to_type_next(capsys: pytest.CaptureFixture[str]) -> None:
    error = StracedError("cannot have \x1b[31m17", hint="it is root's\nsudo straced attach 17\nfourth line")
    error_report.guarded(lambda: raising(error), "attach")
    assert capsys.readouterr().err.splitlines() == [
        "straced attach: cannot have \\x1b[31m17",
        "  it is root's",
        "  sudo straced attach 17",
    ]
