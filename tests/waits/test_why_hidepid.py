"""A /proc that does not show other users' processes (hidepid): what is hidden is said, and nobody "alone" holds."""

from __future__ import annotations

import subprocess
import sys

import pytest
from why_require import need_root
from why_stages import READER, SLEEPER
from why_world import Role, World, close

_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_HIDING = ("unshare", "-m", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh", *_NOBODY)
_HIDDEN = "not seen  the processes of other users: /proc (hidepid) hides them; sudo shows them"


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    """What somebody is told who is not root, in a mount namespace of the question's own."""
    command = [*_HIDING, sys.executable, "-m", "straced.commands.why", *words, "-d", "100ms"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root()


def test_a_hidden_process_is_not_called_gone(world: World) -> None:
    target = world.python(SLEEPER)
    done = _ask(str(target.pid))
    assert done.returncode == 4, done
    assert f"/proc hides process {target.pid} from you (hidepid)" in done.stderr
    assert f"sudo straced why {target.pid}" in done.stderr


def _pipe(world: World, *, shown_writer: bool) -> tuple[Role, Role]:
    """(a reader that shows to nobody, the user; its writer, which shows or does not)."""
    reading, writing, _ = world.pipe()
    wrapper = _NOBODY if shown_writer else ()
    writer = world.python_in(*wrapper, code=SLEEPER, fds=(writing,))
    reader = world.python_in(*_NOBODY, code=READER, args=(reading,), fds=(reading,))
    close(reading, writing)
    world.rests(reader.pid, writer.pid)
    return reader, writer


def test_the_only_one_in_sight_is_likely_only(world: World) -> None:
    """Somebody who does not show might have the pipe, too."""
    reader, writer = _pipe(world, shown_writer=True)
    done = _ask(str(reader.pid))
    assert f"whose writer is likely {writer.pid} (" in done.stdout, done
    assert _HIDDEN in done.stdout


def test_nobody_in_sight(world: World) -> None:
    reader, writer = _pipe(world, shown_writer=False)
    done = _ask(str(reader.pid))
    assert "whose writer cannot be seen" in done.stdout, done
    assert str(writer.pid) not in done.stdout
    assert _HIDDEN in done.stdout
    assert f"next      sudo straced why {reader.pid}" in done.stdout


def test_everybody_who_shows(world: World) -> None:
    reader, writer = _pipe(world, shown_writer=False)
    done = _ask("--all")
    listed = {line.split()[2] for line in done.stdout.splitlines() if line[:6] in ("stuck ", "idle  ")}
    assert str(reader.pid) in listed, done
    assert str(writer.pid) not in listed
    assert _HIDDEN in done.stdout
