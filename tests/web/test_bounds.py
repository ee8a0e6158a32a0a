"""Slow clients, many of them, and readers that do not read: bounded, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from straced.httpd.address import Address
from straced.httpd.message import HttpRequest, Response, Send
from straced.httpd.server import MAX_CONNECTIONS, HttpServer
from straced.web.feed import MAX_VIEWERS
from tests.support import proc
from tests.support.poll import until
from tests.web.site import Site, site

HERE = Address(host="127.0.0.1")


@pytest.mark.needs("root")
def test_two_hundred_slow_clients_hold_up_nobody(tmp_path: Path) -> None:
    with site(tmp_path) as page, contextlib.ExitStack() as stack:
        page.log_in()
        assert page.daemon.process is not None
        before = len(proc.fds(page.daemon.process.pid))
        slow = []
        for number in range(200):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=20))
            raw.sendall((b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET /" + b"x" * 9000)[number % 3])
            slow.append(raw)
        assert page.get("/").status == 200
        assert page.ask("/api/host", since=1, until=2).status == 200
        until(lambda: len(proc.fds(page.daemon.process.pid)) <= before + MAX_CONNECTIONS + 2, 10)  # type: ignore[union-attr]
        assert slow[0].recv(1) == b""  # the one that took longest was dropped
        with socket.create_connection(("127.0.0.1", page.port), timeout=20) as huge, contextlib.suppress(OSError):
            huge.sendall(b"GET /" + b"x" * 1_000_000)
            assert huge.recv(10) == b""
        assert page.get("/").status == 200


def open_page(page: Site) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", page.port), timeout=20)
    head = f"GET /api/live HTTP/1.1\r\nHost: localhost\r\nCookie: {page.cookie}\r\nX-Straced-Key: {page.key}\r\n\r\n"
    raw.sendall(head.encode())
    return raw


def test_so_many_pages_and_no_more(tmp_path: Path) -> None:
    with site(tmp_path) as page, contextlib.ExitStack() as stack:
        page.log_in()
        pages = [stack.enter_context(open_page(page)) for _ in range(MAX_VIEWERS)]
        for each in pages:
            assert each.recv(15) == b"HTTP/1.1 200 OK"
        with open_page(page) as late:
            assert late.recv(12) == b"HTTP/1.1 503"
        pages[0].close()

        def room() -> bool:
            with open_page(page) as again:
                return again.recv(12) == b"HTTP/1.1 200"

        until(room, 10)


async def test_a_reader_that_does_not_read_is_dropped() -> None:
    ended = asyncio.Event()

    async def flood(send: Send) -> None:
        try:
            while True:
                await send(b"x" * 100_000)
        finally:
            ended.set()

    async def handler(request: HttpRequest) -> Response:
        return Response(stream=flood)

    server = HttpServer(handler, send_s=0.2)
    await server.listen(HERE)
    assert server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(20):
        await ended.wait()
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(1 << 20):
                pass
    writer.close()
    await server.close()


async def test_a_page_that_goes_away_ends_what_is_told() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(send: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def handler(request: HttpRequest) -> Response:
        return Response(stream=forever)

    server = HttpServer(handler)
    await server.listen(HERE)
    assert server.port is not None
    async with asyncio.timeout(20):
        for leave in (True, False):
            begun.clear()
            ended.clear()
            _reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await begun.wait()
            if leave:
                writer.close()
            else:
                await server.close()
            await ended.wait()
            writer.close()


async def test_a_head_has_its_time() -> None:
    async def handler(request: HttpRequest) -> Response:
        return Response(body=b"fine")

    server = HttpServer(handler, head_s=0.2)
    await server.listen(HERE)
    assert server.port is not None
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /")
        assert await reader.read() == b""  # its time is over
        writer.close()
    await server.close()


async def test_a_crowd_has_its_answer() -> None:
    held = asyncio.Event()

    async def handler(request: HttpRequest) -> Response:
        if request.path == "/hold":
            await held.wait()
        return Response(body=b"fine")

    server = HttpServer(handler, max_connections=3)
    await server.listen(HERE)
    assert server.port is not None

    async def ask(path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        answer = await reader.read()
        writer.close()
        return answer

    async with asyncio.timeout(20):
        holding = [asyncio.create_task(ask("/hold")) for _ in range(3)]
        while len(server._tasks) - len(server._silent) < 3:
            await asyncio.sleep(0.01)
        assert (await ask("/")).startswith(b"HTTP/1.1 503 ")
        held.set()
        assert all([(await each).endswith(b"fine") for each in holding])
        assert (await ask("/")).endswith(b"fine")
    await server.close()


async def test_a_fault_is_not_told() -> None:
    async def handler(request: HttpRequest) -> Response:
        raise RuntimeError("secret")

    server = HttpServer(handler)
    await server.listen(HERE)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer
    await server.close()
