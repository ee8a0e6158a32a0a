"""Who is watched: real processes, rules, labels, restarts; and whose a process is.

Of `service/collect/owners.py` and `config/globs.py`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from straced.config import loader, watch_rules
from straced.config.schema import Config, ConfigError
from straced.errors import InvalidArgument, NoSuchProcess, NotPermitted
from straced.linux import credentials, procfs
from straced.linux.credentials import Peer
from straced.model.owner import Owner
from straced.service.collect.watchlist import Watchlist
from straced.service.rule_store import Rulebook
from tests.service.needs import needs_root
from tests.service.processes import READY, as_nobody, running
from tests.support.poll import until

PARENT = (
    "import subprocess, sys\nchild = subprocess.Popen(['sleep', '1000'])\nprint('ready', flush=True)\n"
    "print(child.pid, flush=True)\nsys.stdin.readline()\nchild.kill(); child.wait()\n"
)


def watching(*texts: str, labels: dict[str, str] | None = None) -> Watchlist:
    found = Watchlist()
    found.rules = [watch_rules.parse(text, labels) for text in texts]
    return found


def test_a_tree_with_its_labels() -> None:
    with running(PARENT) as process:
        child = int(process.stdout.readline())  # type: ignore[union-attr]
        found = watching(str(process.pid), labels={"job": "build-42"})
        look = found.look()
        assert {each.pid for each in look.started} == {process.pid, child}
        parent, below = found.watched[process.pid], found.watched[child]
        assert below.root == parent.key == parent.root
        assert below.labels == {"job": "build-42"}
        assert found.look().started == []
        found.label(parent.key, {"stage": "test"})
        assert found.watched[child].labels == {"job": "build-42", "stage": "test"}
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        until(lambda: process.poll() is not None, 10)
        assert {each.pid for each in found.look().ended} == {process.pid, child}
        assert found.watched == {}


def test_a_rule_that_is_added_again_gets_further_labels(tmp_path: Path) -> None:
    """Of `service/rule_store.py`."""
    book = Rulebook(tmp_path / "rules.json")

    def add(owner: int | None = None, **labels: str) -> watch_rules.Rule:
        return book.add(watch_rules.parse("name:x", labels, owner))

    add(job="db", stage="test")
    assert add(stage="live").labels == {"job": "db", "stage": "live"}
    assert add(owner=1000, team="a").labels == {"team": "a"}, "another user's is another rule"
    assert len(book.added) == 2
    again = Rulebook(tmp_path / "rules.json")
    again.load()
    assert [rule.labels for rule in again.added] == [{"job": "db", "stage": "live"}, {"team": "a"}]
    with pytest.raises(InvalidArgument, match="more than 16 labels"):
        add(**{f"label_{number}": "x" for number in range(15)})


def test_processes_that_are_watched_get_the_labels_that_their_rule_has_got() -> None:
    with running() as process:
        text = str(process.pid)
        found = watching(text, labels={"job": "db"})
        found.look()
        found.replace_rules([watch_rules.parse(text, {"job": "db", "stage": "live"})])
        assert found.watched[process.pid].labels == {"job": "db", "stage": "live"}
        mine, theirs = watch_rules.parse(text, {"a": "1"}, 1000), watch_rules.parse(text, {"b": "2"}, 1001)
        found.replace_rules([mine, theirs])
        assert found.watched[process.pid].labels == {"job": "db", "stage": "live"}, "whose rule named it is not known"


def test_an_orphan_stays_watched() -> None:
    with running(PARENT) as process:
        child = int(process.stdout.readline())  # type: ignore[union-attr]
        found = watching(str(process.pid), labels={"job": "x"})
        found.look()
        process.kill()
        process.wait()
        look = found.look()
        assert [each.pid for each in look.ended] == [process.pid]
        assert found.watched[child].labels == {"job": "x"}
        os.kill(child, 9)


def test_by_name_a_restarted_one_is_found_again(tmp_path: Path) -> None:
    name = f"straced-{os.getpid()}"
    found = watching(f"name:{name}")
    for _ in range(2):
        assert found.look().started == []
        with running(name=name) as process:
            assert [each.pid for each in found.look().started] == [process.pid]
        assert [each.pid for each in found.look().ended] == [process.pid]


def test_children_and_user() -> None:
    with running() as process:
        assert process.pid in {each.pid for each in watching(f"children:{os.getpid()}").look().started}
        assert os.getpid() not in {each.pid for each in watching(f"user:{os.getuid()}").look().started}
    if os.geteuid() == 0:
        argv = [*as_nobody(), "sleep", "1000"]
        other = subprocess.Popen(argv)
        until(lambda: procfs.stat(other.pid).comm == "sleep", 10)
        assert other.pid in {each.pid for each in watching("user:65534").look().started}
        other.kill()
        other.wait()


def test_never_itself_nor_its_helpers() -> None:
    with running(PARENT) as process:
        child = int(process.stdout.readline())  # type: ignore[union-attr]
        found = Watchlist(helpers=lambda: [process.pid])
        found.rules = [watch_rules.parse(str(pid)) for pid in (process.pid, os.getpid(), child)]
        assert found.look().started == []
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        process.wait()


def test_a_pid_rule_is_about_one_process() -> None:
    with running() as process:
        rule = watch_rules.Rule(kind="pid", value=str(process.pid), start_ticks=1)
        found = Watchlist()
        found.rules = [rule]
        assert found.look().started == []


@pytest.mark.parametrize("text", ["", "children:x", "user:no-such-user-here", "name:", "12 13", "cgroup:../x"])
def test_bad_rules(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        watch_rules.parse(text)
    assert "name:GLOB" in caught.value.hint


# --- the configuration ---


def test_all_of_a_configuration() -> None:
    text = """
interval = "250ms"
[[watch]]
target = "name:postgres"
labels = {job = "db"}
[[watch]]
target = "user:0"
[store]
max_bytes = "1GiB"
full = "2h30m"
[alerts]
cpu_pct = 50
stuck = 0
[on_alert]
trace = {seconds = 5, bytes = "1MB"}
command = ["/bin/logger", "-t", "x"]
"""
    config = loader.parse(text)
    assert config.interval == 250 * 10**6
    assert [watch.target for watch in config.watch] == ["name:postgres", "user:0"]
    assert (config.store.max_bytes, config.store.full) == (1 << 30, 9000 * 10**9)
    assert (config.alerts.cpu_pct, config.alerts.stuck) == (50.0, 0)
    assert config.on_alert.trace is not None
    assert config.on_alert.trace.bytes == 10**6
    assert loader.parse("") == Config()


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("intervall = '1s'", 1, "intervall", "did you mean interval"),
        ("[store]\n\nmax_byte = '1GB'", 3, "store.max_byte", "did you mean max_bytes"),
        ("[store]\nmax_bytes = 'lots'", 2, "store.max_bytes", "a size such as"),
        ("interval = '1ms'", 1, "interval", "0.2s to 1h"),
        ("interval = '0s'", 1, "interval", "0.2s to 1h"),
        ("interval = '0.0 ms'", 1, "interval", "0.2s to 1h"),
        ("interval = '0 parsecs'", 1, "interval", "a duration such as"),
        ("[record]\nring = '0MiB'", 2, "record.ring", "512KiB to 64MiB"),
        ("[[watch]]\ntarget = 'name:x'\n[[watch]]\nlabels = {}\n", 3, "watch[2]", "target is missing"),
        ("[[watch]]\ntarget = 'name:x'\n[[watch]]\ntarget = 'what'\n", 4, "watch[2].target", "is not a pid"),
        ("[alerts]\ncpu_pct = 'high'", 2, "alerts.cpu_pct", "float"),
        ("[alerts]\ncpu_pct = -1", 2, "alerts.cpu_pct", ">= 0"),
        ("store = 3", 1, "store", "expected a table"),
        ("[metrics]\nlisten = '0.0.0.0:9000'", 2, "metrics.listen", "not this host alone"),
        ("[on_alert]\ntrace = {second = 1}", 2, "on_alert.trace.second", "did you mean seconds"),
        ("tracer = 'strace'", 1, "tracer", "expected one of"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loader.parse(text, "straced.toml")
    whole = f"{caught.value.reason} {caught.value.hint}"
    assert whole.startswith(f"straced.toml:{line}: {key}: "), whole
    assert said in whole


def test_text_that_is_no_toml() -> None:
    with pytest.raises(ConfigError, match="line 2"):
        loader.parse("interval = '1s'\nwhat\nx = 1", "straced.toml")


# --- whose a process is ---

NOBODY = Peer(1, 65534, 65534)


@needs_root
def test_a_user_sees_their_own_alone() -> None:
    with running() as mine:
        with pytest.raises(NotPermitted):
            credentials.require(NOBODY, mine.pid)
        with pytest.raises(NotPermitted):
            credentials.require(NOBODY, 1)
        assert credentials.require(Peer(1, 0, 0), mine.pid)
    argv = [*as_nobody(), sys.executable, "-S", "-c", READY + "sys.stdin.read()"]
    theirs = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert theirs.stdout is not None
    theirs.stdout.readline()
    assert credentials.require(NOBODY, theirs.pid) == Owner(65534, 65534, False)
    with pytest.raises(NotPermitted):
        credentials.require(Peer(1, 65533, 65534), theirs.pid)
    with pytest.raises(NotPermitted):
        credentials.require(Peer(1, 65534, 65533), theirs.pid)
    theirs.kill()
    theirs.communicate()
    with pytest.raises(NoSuchProcess):
        credentials.require(NOBODY, theirs.pid)


@needs_root
@pytest.mark.parametrize(
    ("how", "code"),
    [
        (["--reuid=65534", "--regid=65534", "--clear-groups"], "import ctypes\nctypes.CDLL(None).prctl(4, 0)\n"),
        (["--ruid=65534", "--regid=65534", "--clear-groups"], ""),
        (["--reuid=65534", "--rgid=65534", "--clear-groups"], ""),
        (
            ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"],
            "",
        ),
    ],
    ids=["not dumpable", "other effective user", "other effective group", "capabilities"],
)
def test_a_process_with_more_rights_is_roots(how: list[str], code: str) -> None:
    argv = ["setpriv", *how, sys.executable, "-S", "-c", code + READY + "sys.stdin.read()"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    try:
        assert credentials.owner_of(process.pid).private
        with pytest.raises(NotPermitted):
            credentials.require(NOBODY, process.pid)
    finally:
        process.kill()
        process.communicate()


@needs_root
def test_the_kernel_names_the_peer(public: Path) -> None:
    path = public / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen()
    code = f"import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); sys.stdin.read()"
    client = subprocess.Popen([*as_nobody(), "/usr/bin/python3", "-c", code], stdin=subprocess.PIPE)
    connection, _ = listener.accept()
    peer = credentials.peer_of(connection)
    assert (peer.pid, peer.uid, peer.gid, peer.capabilities) == (client.pid, 65534, 65534, 0)
    assert peer.start_ticks == procfs.stat(client.pid).start_ticks
    client.communicate()
    assert credentials.peer_of(connection).uid == 65534
    connection.close()
    listener.close()
