"""``straced serve --http`` and ``web.listen``: off by default, one clear error for what cannot be, told where it is.

Of `web/server.py`.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from straced.errors import InvalidArgument
from straced.httpd.address import parse_tcp
from tests.service.daemon import SOURCE, Daemon
from tests.support.poll import until
from tests.web.site import Site, free_port

QUIET = 'tracer = "none"\n'


def serve(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "straced", "serve", *words]
    env = {**os.environ, "PYTHONPATH": SOURCE}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def error_of(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that are no log."""
    return [line for line in ended.stderr.splitlines() if not re.match(r"straced: \w+( \w+=|$)", line)]


@pytest.mark.parametrize(
    "words", ["127.0.0.1:x", "127.0.0.1:", "127.0.0.1", "8321", "x", "", "127.0.0.1:65536", "127.0.0.1:-1", "[::1"]
)
def test_what_is_no_address(words: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_tcp(words)


@pytest.mark.parametrize("words", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[2001:db8::1]:80", "example.org:80"])
def test_only_this_host(words: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_tcp(words)


def test_addresses_of_this_host() -> None:
    assert parse_tcp("127.0.0.1:8321").authority == "127.0.0.1:8321"
    assert parse_tcp("127.1.2.3:0").port == 0
    assert parse_tcp("[::1]:80").authority == "[::1]:80"


def test_bad_words_are_one_clear_error(tmp_path: Path) -> None:
    for words in ("127.0.0.1:http", "0.0.0.0:8321"):
        ended = serve("--http", words)
        assert ended.returncode == 2
        assert 1 <= len(ended.stderr.splitlines()) <= 3
        assert words in ended.stderr
        path = tmp_path / "straced.toml"
        path.write_text(f'[web]\nlisten = "{words}"\n')
        ended = serve("--check", "-c", str(path))
        assert ended.returncode == 2
        assert f"{path}:2: web.listen: " in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = Daemon(tmp_path, QUIET)
        ended = serve("-c", str(daemon.config), "--http", f"127.0.0.1:{port}")
    assert ended.returncode == 6
    lines = error_of(ended)
    assert len(lines) == 2
    assert lines[0].startswith(f"straced serve: nothing can listen on 127.0.0.1:{port}: ")
    assert not daemon.socket.exists()
    assert not (daemon.state / "web.url").exists()


def test_port_0_is_any_and_the_url_is_told_to_a_terminal_alone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, QUIET)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "straced", "serve", "-c", str(daemon.config), "--http", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": SOURCE},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        told = ""
        while "#" not in told or not told.endswith("\n"):
            told += os.read(ours, 4096).decode()
        url = re.search(r"http://127\.0\.0\.1:(\d+)/#[\w-]{43}", told)
        assert url is not None
        assert (daemon.state / "web.url").read_text() == url[0] + "\n"
        page = Site(daemon, int(url[1]))
        page.log_in()
        assert page.ask("/api/host", since=1, until=2).status == 200
    finally:
        process.terminate()
        process.wait(20)
        os.close(ours)
    assert process.returncode == 0


def test_it_is_off_until_the_configuration_says_otherwise(tmp_path: Path) -> None:
    port = free_port()
    daemon = Daemon(tmp_path, QUIET).start()
    page = Site(daemon, port)
    try:
        assert not page.file.exists()
        daemon.write(f'{QUIET}[web]\nlisten = "127.0.0.1:{port}"\nhosts = ["box.example"]\n')
        daemon.signal(signal.SIGHUP)
        until(page.answers, 30)
        until(lambda: page.get("/", host="box.example").status == 200, 30)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            daemon.write(f'{QUIET}[web]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
            daemon.signal(signal.SIGHUP)
            until(lambda: "reload_refused" in daemon.log.read_text(), 30)
        assert daemon.process is not None
        assert daemon.process.poll() is None
        daemon.write(QUIET)
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.log.read_text().count("reloaded") >= 2, 30)
        until(lambda: not page.answers(), 30)
        assert daemon.answers()
    finally:
        assert daemon.stop() < 5
