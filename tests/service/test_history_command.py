"""An operator's questions, each one command to a real service, as text and as JSON.

Of `commands/history.py`, `commands/events.py`, `commands/service_query.py` and `commands/history_file.py`.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from straced.commands import events, export, history
from straced.commands.history import command
from straced.errors import InvalidArgument
from straced.store.database import StoreError
from tests.service.daemon import Daemon
from tests.service.processes import folder_of_nobody, public_folder
from tests.store import recorded_day as day
from tests.support.cli import Result, straced
from tests.support.owner import NOBODY

TODAY = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = TODAY - datetime.timedelta(days=1)
DATE = f"{YESTERDAY:%Y-%m-%d}"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A service that has a day behind it."""
    made = Daemon(tmp_path_factory.mktemp("served"))
    day.record(made.state / "history.db", YESTERDAY.timestamp())
    made.start()
    yield made
    made.stop()


def ask(daemon: Daemon, *words: str) -> Result:
    return straced(*words, env={"STRACED_SOCKET": str(daemon.socket), "TZ": "UTC"})


def told(daemon: Daemon, *words: str) -> tuple[str, list[Any]]:
    """What a command says, its lines joined, and as JSON."""
    text = ask(daemon, *words)
    assert (text.status, text.err) == (0, "")
    return " ".join(text.out.split()), [json.loads(line) for line in ask(daemon, *words, "--json").out.splitlines()]


def test_what_happened_at_a_minute_and_what_was_stuck_on_whom(daemon: Daemon) -> None:
    text, (found,) = told(daemon, "history", "--at", f"{DATE} 08:12", "--until", "08:20")
    assert [step["errors"] for step in found["steps"]] == [day.BROKEN_OPENS] * len(day.BROKEN)
    assert found["end"] - found["start"] == 480
    assert day.STUCK in text
    assert found["alerts"][0]["text"] == day.STUCK
    assert "readlink: 129 started, 129 ended" in text


def test_who_made_most_failing_calls(daemon: Daemon) -> None:
    text, found = told(daemon, "history", "--by", "errors", "--since", "2d")
    failed = len(day.BROKEN) * day.BROKEN_OPENS
    assert (found[0]["process"]["comm"], found[0]["errors"]) == ("web", failed)
    assert f"100 (web) {day.MINUTES * (day.READS + day.OPENS):,} {failed}" in text


def test_which_programs_p99_rose(daemon: Daemon) -> None:
    text, (found,) = told(daemon, "history", "--by", "p99", "--at", f"{DATE} 23:00", "--until", "00:00")
    assert (found["program"], found["syscall"], found["max_ns"]) == ("db", "fdatasync", day.SLOW_NS)
    assert found["p99_ns"] > 20 * found["p99_before_ns"]
    assert "db (shop) fdatasync" in text


def test_events_are_folded_the_newest_last(daemon: Daemon) -> None:
    lines = ask(daemon, "events", "--since", "3d").out.splitlines()
    assert sum("readlink" in line for line in lines) == 1
    stamps = [line[:19] for line in lines]
    assert stamps == sorted(stamps)
    today = [line for line in lines if not line.startswith(DATE)]  # the machine may have some of its own
    assert lines[-len(today) :] == today
    assert any("service_started" in line for line in today)
    each = ask(daemon, "events", "--since", "3d", "--each", "-n", "1000").out.splitlines()
    assert sum("readlink" in line for line in each) == 258


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--every", "1m"), "--every needs a TARGET or JOB"),
        (("--until", "08:20"), "--until needs --at"),
        (("--at", "08:12", "--since", "1h"), "--at takes neither"),
        (("--at", "8 o'clock"), "is no time"),
        (("--at", f"{DATE} 08:12", "--until", f"{DATE} 08:00"), "is not after"),
        (("--at", "2999-01-01 00:00"), "is in the future: now is"),
    ],
)
def test_what_cannot_be_asked(words: tuple[str, ...], said: str) -> None:
    """Nobody is asked then: what is wrong shows before."""
    with pytest.raises((click.UsageError, InvalidArgument)) as caught:
        command.main(list(words), "history", standalone_mode=False)
    assert said in str(caught.value)


def test_a_file_is_read_whether_a_service_answers_or_not(daemon: Daemon, tmp_path: Path) -> None:
    copy = _backup(daemon, tmp_path)
    asked, read = (ask(daemon, "history", "--at", f"{DATE} 08:12", *more) for more in ((), ("--db", str(copy))))
    assert (read.out, read.err) == (asked.out, "")
    assert day.STUCK.split()[-1] in read.out
    assert ask(daemon, "events", "--json", "--since", "9000d", "--db", str(copy)).status == 0
    with pytest.raises(click.UsageError, match="two places"):
        command.main(["--db", str(copy), "--from", str(tmp_path)], "history", standalone_mode=False)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: path.touch(), "is empty: .* has written nothing there yet"),  # as a full disk leaves it
        (lambda path: path.write_bytes(b"no database " * 500), "cannot be read: file is not a database"),
        (lambda path: sqlite3.connect(path).execute("create table t (a)").connection.close(), "of another program"),
        (lambda path: None, "no history: "),
    ],
    ids=["empty", "damaged", "foreign", "missing"],
)
def test_a_file_that_is_no_history_is_named(tmp_path: Path, made: Callable[[Path], None], said: str) -> None:
    path, out = tmp_path / "history.db", tmp_path / "out"
    made(path)
    for verb, words in ((history, []), (events, []), (export, ["--ndjson", str(out)])):
        with pytest.raises(StoreError, match=said):
            verb.command.main([*words, "--db", str(path)], "straced", standalone_mode=False)
    assert not out.exists()


def test_what_there_is_nothing_of(daemon: Daemon) -> None:
    text, (found,) = told(daemon, "history", "name:never", "--at", f"{DATE} 08:12")
    assert "nothing is known of name:never: it was never watched" in text
    assert found["known"] is False
    assert json.loads(ask(daemon, "history", "job:shop", "--json").out)["answer"]["end"] <= time.time()


@pytest.mark.needs("root", "setpriv", "tmpfs")
def test_without_a_service_the_file_is_named_also_on_a_full_disk(daemon: Daemon) -> None:
    with public_folder() as public:
        state = folder_of_nobody(public) / "straced"
        state.mkdir()
        shutil.copy(_backup(daemon, public), state / "history.db")
        for path in (state, state / "history.db"):
            os.chown(path, 65534, 65534)
            path.chmod(0o700)
        env = {
            "XDG_STATE_HOME": str(state.parent),
            "STRACED_SOCKET": str(public / "nobody.sock"),
            "TZ": "UTC",
            "HOME": str(public),
        }
        words = ("history", "--at", f"{DATE} 08:12")
        result = straced(*words, env=env, prefix=NOBODY)
        assert result.status == 0
        assert f"no service answers; read from {state}/history.db, last written" in result.err
        assert day.STUCK.split()[-1] in result.out
        (state / "history.db-shm").unlink(missing_ok=True)
        mount = f"mount -t tmpfs -o size=32m none {state.parent} && cp -rp {public}/kept {state} && (cat /dev/zero"
        shutil.copytree(state, public / "kept", copy_function=shutil.copy2)
        for path in (public / "kept", public / "kept" / "history.db"):
            os.chown(path, 65534, 65534)
        script = f'{mount} >{state.parent}/ballast || true) 2>/dev/null; exec "$@"'
        full = straced(*words, env=env, prefix=("unshare", "--mount", "sh", "-c", script, "sh", *NOBODY))
        assert "internal fault" not in full.err
        assert "is the disk full?" in full.err


def _backup(daemon: Daemon, folder: Path) -> Path:
    copy = folder / "copy.db"
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
    subprocess.run(["python3", "-c", code, daemon.state / "history.db", copy], check=True)
    return copy
