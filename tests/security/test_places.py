"""Places that another user made first, one socket for two services, and what a configuration keeps to itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.errors import ServiceUnreachable
from straced.ipc.messages import Select
from tests.security.hostile import HOSTILE, as_user, user
from tests.service.daemon import SOURCE, Daemon, serving
from tests.service.needs import needs_root

pytestmark = needs_root
VICTIM = 60077
SQUATTING = """
folder = sys.argv[1].rpartition("/")[0]
os.makedirs(folder, exist_ok=True)
os.chmod(folder, 0o777)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen(8)
listener.settimeout(20)
print("ready", flush=True)
heard = b""
for _ in range(int(sys.argv[2])):
    sock, _ = listener.accept()
    sock.settimeout(5)
    try:
        while data := sock.recv(4096):
            heard += data
    except OSError:
        pass
print(repr(heard), flush=True)
ready()
"""


@pytest.fixture
def squatted(world: None) -> Iterator[Path]:
    """Where a user without XDG_RUNTIME_DIR has a service."""
    folder = Path(f"/tmp/straced-{VICTIM}")
    assert not folder.exists()
    try:
        yield folder / "straced" / "straced.sock"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def straced(*words: str, uid: int = VICTIM, **env: str) -> subprocess.CompletedProcess[str]:
    """A verb typed by a user without XDG_RUNTIME_DIR."""
    place = {"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}
    argv = [*as_user(uid), sys.executable, "-m", "straced", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=50, cwd="/", env=place)


def test_a_client_says_nothing_to_a_service_that_is_not_theirs(squatted: Path) -> None:
    with user(HOSTILE, SQUATTING, squatted, 2) as hostile:
        done = straced("status")
        assert done.returncode == 6, done
        assert f"it is not a service of root or of yours, but of user {HOSTILE}" in done.stderr
        straced("run", "--label", "secret=x", "--", "/bin/true")
        named = straced("status", STRACED_SOCKET=str(squatted))
        assert named.returncode == 6
        assert hostile.line() == "b''"


def test_a_service_does_not_live_in_a_folder_of_another(squatted: Path, public: Path) -> None:
    state = public / "state"
    state.mkdir()
    os.chown(state, VICTIM, VICTIM)
    config = public / "straced.toml"
    config.write_text(f'state = "{state}"\ntracer = "none"\n')
    squatted.parent.mkdir(parents=True)
    os.chown(squatted.parent.parent, HOSTILE, HOSTILE)
    for owner, why in ((HOSTILE, "is not yours alone"), (VICTIM, "is not safe from other users")):
        os.chown(squatted.parent, owner, owner)
        squatted.parent.chmod(0o700)
        done = straced("serve", "-c", str(config))
        assert done.returncode == 6, done
        assert why in done.stderr
    squatted.parent.rmdir()
    squatted.parent.symlink_to(state)
    os.chown(squatted.parent.parent, VICTIM, VICTIM)
    done = straced("serve", "-c", str(config))
    assert done.returncode == 6, done


def test_the_system_service_does_not_live_where_others_write(public: Path) -> None:
    (public / "run").mkdir()
    (public / "run").chmod(0o777)
    daemon = Daemon(public)
    process = daemon.spawn()
    assert process.wait(20) == 6
    assert "ours alone to write to" in daemon.log.read_text()


async def test_two_services_do_not_share_a_socket(public: Path) -> None:
    with serving(public) as first:
        (public / "second").mkdir()
        second = Daemon(public / "second")
        second.socket = first.socket
        second.write("")
        process = second.spawn()
        assert process.wait(20) == 1
        said = second.log.read_text()
        assert f"another straced service is running (pid {first.process.pid})" in said  # type: ignore[union-attr]
        assert "straced.sock" in said
        async with first.client() as client:
            assert (await client.status()).pid == first.process.pid  # type: ignore[union-attr]
    with serving(public) as third:  # the lock is not in the way of the next
        assert third.answers()


SECRETS = (
    'interval = "hunter2-{}"',
    'interval = [["hunter2"]]',
    '[store]\nmax_bytes = "hunter2 GB"',
    '[otlp]\nendpoint = 5\ninterval = "hunter2"',
    'watch = "hunter2"',
    '[[watch]]\ntarget = "hunter2:x"',
    '[[watch]]\ntarget = "1"\nlabels = {a = "hunter2\\u0007"}',
    '[metrics]\nlisten = "hunter2"',
    '[metrics]\nlisten = "unix:/hunter2/none"',
    '[web]\nlisten = "hunter2"',
    '[alerts]\ncpu_pct = "hunter2"',
    "store = hunter2",
    '[otlp]\nendpoint = "hunter2\n',
    'state = "/hunter2"',
)


@pytest.mark.limit(120)
async def test_a_refused_configuration_keeps_its_values_to_itself(public: Path) -> None:
    """Not to the status, not to events, not to the log; the key and the line are said."""
    with serving(public) as daemon:
        daemon.config.chmod(0o600)
        async with daemon.client() as client:
            for text in SECRETS:
                daemon.config.write_text(text)
                before = len([e for e in await client.events(Select()) if e.kind == "reload_refused"])
                daemon.signal(signal.SIGHUP)
                while len([e for e in await client.events(Select()) if e.kind == "reload_refused"]) == before:
                    pass
                error = (await client.status()).config_error
                assert error is not None
                assert "hunter2" not in error, text
            events = await client.events(Select())
        assert "hunter2" not in repr(events)
        assert "hunter2" not in daemon.log.read_text()
        daemon.config.write_text(SECRETS[0])
        tried = straced("serve", "-c", str(daemon.config), "--check", uid=0)
        assert "hunter2" in tried.stderr  # whoever may read the file is told more


def test_the_library_does_not_speak_to_it_either(squatted: Path) -> None:
    code = (
        f"import asyncio, sys\nsys.path.insert(0, {SOURCE!r})\nfrom straced.client.client import Client, is_there\n"
        "from straced.errors import ServiceUnreachable\nassert not is_there()\n"
        "async def main():\n    try:\n        async with Client() as client:\n            await client.status()\n"
        "    except ServiceUnreachable as error:\n        print(error.code)\nasyncio.run(main())\n"
    )
    with user(HOSTILE, SQUATTING, squatted, 2) as hostile:
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        argv = [*as_user(VICTIM), sys.executable, "-c", code]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=50, cwd="/", env=env)
        assert done.stdout.strip() == ServiceUnreachable.code, done.stderr
        assert hostile.line() == "b''"
