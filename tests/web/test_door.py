"""Who is let in, by which names, and from which pages.

Of `web/routes.py` and `httpd/origin_check.py`.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.web.access import Access
from straced.web.token import TokenFile
from tests.support.poll import until
from tests.web.site import API, ASSETS, Site, site

FILES = ("/", *(f"/{each.name}" for each in ASSETS.iterdir() if each.name != "index.html"))
ROUTES = (*FILES, "/api/login", *API, "/api/none", "/none", "/..%2f..%2fetc/passwd")
"""All routes, and some that there are not."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


def test_a_foreign_name_or_page_gets_403_on_every_route(page: Site) -> None:
    page.log_in()
    inside = {"Cookie": page.cookie, "X_Straced_Key": page.key, "Authorization": f"Bearer {page.token}"}
    assert len(FILES) > 10
    for route in ROUTES:
        for host in ("evil.example", f"127.0.0.1.evil.example:{page.port}", "127.0.0.1:evil", "", "[::2]", "0.0.0.0"):
            assert page.get(route, host=host, **inside).status == 403, (route, host)
        for origin in ("http://evil.example", "null", f"https://127.0.0.1:{page.port}", "http://127.0.0.1:1"):
            assert page.get(route, Origin=origin, **inside).status == 403, (route, origin)
        for fetch in ("cross-site", "same-site"):
            assert page.get(route, Sec_Fetch_Site=fetch, **inside).status == 403, (route, fetch)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            assert page.get(route, method=method, host="evil.example").status == 403
            assert page.get(route, method=method, **inside).status == 405
    for host in (f"localhost:{page.port}", "localhost", "127.0.0.1:1234"):  # the port may be that of a tunnel
        assert page.get("/", host=host).status == 200
    for origin_host in ("localhost:9", f"127.0.0.1:{page.port}"):
        reply = page.get("/api/host?since=1&until=2", host=origin_host, Origin=f"http://{origin_host}", **inside)
        assert reply.status == 200
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert page.get("/", **link).status == 200
    assert page.get("/api/host?since=1&until=2", **link, **inside).status == 403
    assert page.get("/", **{**link, "Sec_Fetch_Dest": "iframe"}).status == 403


def test_without_the_token_there_are_no_figures(page: Site) -> None:
    page.log_in()
    for route in (*API, "/api/none", "/none"):
        for given in (
            {},
            {"Cookie": page.cookie},
            {"X_Straced_Key": page.key},
            {"Authorization": f"Bearer {page.token}"},
            {"Cookie": page.cookie + "0", "X_Straced_Key": page.key},
            {"Cookie": page.cookie, "X_Straced_Key": "é"},
            {"Cookie": f"x={page.cookie.partition('=')[2]}", "X_Straced_Key": page.key},
        ):
            assert page.get(f"{route}?pid=1&start=1&since=1&until=2&at=1", **given).status == 401, (route, given)
        assert page.get(f"{route}?token={page.token}").status == 401
    for given in ({}, {"Authorization": f"Bearer {page.token[:-1]}"}, {"Authorization": f"Basic {page.token}"}):
        assert page.get("/api/login", **given).status == 401
    reply = page.get("/api/login", Authorization=f"Bearer {page.token}")
    assert "; HttpOnly; SameSite=Strict" in reply.headers["set-cookie"]
    assert page.token not in reply.headers["set-cookie"] + json.dumps(reply.json)
    assert page.ask("/api/host", since=1, until=2).status == 200


def test_every_answer_carries_the_policy(page: Site) -> None:
    for reply in (
        page.get("/"),
        page.get("/app.js"),
        page.get("/none"),
        page.get("/", host="evil"),
        page.get("/api/host"),
    ):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "frame-ancestors 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in reply.headers
    head = page.get("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) == len(page.get("/").body)


def test_what_is_no_clean_request_gets_400(page: Site) -> None:
    host = b"Host: localhost\r\n"
    for head in (
        b"GET / HTTP/2.0\r\n" + host,
        b"GET http://localhost/ HTTP/1.1\r\n" + host,
        b"GET  / HTTP/1.1\r\n" + host,
        b"GET /\xff HTTP/1.1\r\n" + host,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
        b"GET / HTTP/1.1\r\n" + host + b" folded: x\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: y\r\n" * 200,
        b"GET /?" + b"a&" * 100 + b" HTTP/1.1\r\n" + host,
    ):
        with socket.create_connection(("127.0.0.1", page.port), timeout=20) as raw:
            raw.sendall(head + b"\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 400 "), head
    page.log_in()
    for path, fields in (
        ("/api/process", {"pid": "1'--", "start": 1, "since": 1, "until": 2}),
        ("/api/process", {"pid": 1, "start": "0x1", "since": 1, "until": 2}),
        ("/api/calls", {"pid": 1, "start": 1, "since": 2, "until": 1}),
        ("/api/calls", {"pid": 1, "start": 1, "since": 0, "until": 99999999}),
        ("/api/host", {"since": "nan", "until": "inf"}),
        ("/api/minute", {"at": "-1"}),
        ("/api/minute", {}),
        ("/api/live", {"pid": 1}),
        ("/api/live", {"pid": 1, "start": 1, "files": "all"}),
        ("/api/live", {"files": 1}),
    ):
        assert page.ask(path, **fields).status == 400, (path, fields)


def test_only_this_host_and_its_owner(page: Site) -> None:
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{page.port:04X}" in listening
    assert f"00000000:{page.port:04X}" not in listening
    assert stat.S_IMODE(page.file.stat().st_mode) == 0o600
    assert page.url == f"{page.base}/#{page.token}"
    assert len(page.token) == 43
    until(lambda: str(page.file) in page.daemon.log.read_text(), 10, "it is said where the address is")
    assert page.token not in page.daemon.log.read_text()
    assert [each.name for each in page.daemon.state.iterdir() if each.name.startswith("web")] == ["web.url"]


def test_the_token_stays_unless_others_could_know_it(tmp_path: Path) -> None:
    path = tmp_path / "web.url"
    first = TokenFile(path)
    url = first.write("127.0.0.1:1")
    assert TokenFile(path).token == first.token
    assert TokenFile(path).write("[::1]:2") == f"http://[::1]:2/#{first.token}"
    path.chmod(0o640)
    assert TokenFile(path).token != first.token
    for words in ("", "x", url.replace("#", "#!"), "\0" * 5000):
        path.write_text(words)
        path.chmod(0o600)
        assert TokenFile(path).token != first.token
    real = tmp_path / "real"
    real.write_text(url + "\n")
    real.chmod(0o600)
    path.unlink()
    path.symlink_to(real)
    linked = TokenFile(path)
    assert linked.token != first.token
    linked.write("127.0.0.1:1")
    assert not path.is_symlink()
    assert real.read_text() == url + "\n"
    path.unlink()
    os.mkfifo(path, 0o600)
    assert TokenFile(path).token != first.token


def test_cookies_of_several_services_do_not_collide() -> None:
    first, second = Access("a" * 43), Access("b" * 43)
    assert first.cookie_name != second.cookie_name
    assert first.key != second.key
