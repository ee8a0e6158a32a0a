"""A last word that crosses a request: nobody who has asked is told that they asked nothing.

Of `service/api/connection.py` and `client/connection.py`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

from straced.client.client import Client
from straced.config.schema import Ipc
from straced.ipc.messages import Nothing
from straced.ipc.protocol import PROTOCOL, RpcRequest, TimedOut, refusal
from straced.linux.credentials import Peer
from straced.service.api.accounts import Accounts
from straced.service.api.connection import Connection
from straced.service.api.link import SocketLink
from tests.support.poll import auntil

USER = Peer(1, 65534, 65534)
HELLO = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1}}\n'


class Impatient:
    """A service that ends each connection but the last, in the moment in which something is asked on it."""

    def __init__(self, last: int) -> None:
        self.connections = 0
        self._last = last

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        while line := await reader.readline():
            request = json.loads(line)
            result: dict[str, object] = {}
            if request["method"] == "hello":
                result = {"protocol": PROTOCOL, "version": "1", "pid": 1, "system": False, "you": 0}
            elif number < self._last:
                writer.write(refusal(None, TimedOut("no request was received for 600 s")))
                break
            writer.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode() + b"\n")
        await writer.drain()
        writer.close()


async def test_what_is_asked_while_the_service_ends_the_connection_is_asked_again(tmp_path: Path) -> None:
    """Also of several at once, on one new connection."""
    service = Impatient(last=2)
    async with await asyncio.start_unix_server(service.serve, tmp_path / "socket"), Client(tmp_path / "socket") as asks:
        answers = await asyncio.gather(*(asks.request("status", {}, Nothing) for _ in range(3)))
        assert answers == [Nothing()] * 3
        assert service.connections == 2


async def test_first_questions_that_are_asked_at_once_have_one_connection(tmp_path: Path) -> None:
    service = Impatient(last=1)
    async with await asyncio.start_unix_server(service.serve, tmp_path / "socket"):
        asks = Client(tmp_path / "socket")
        await asyncio.gather(*(asks.request("status", {}, Nothing) for _ in range(3)))
        await asks.close()
        assert service.connections == 1


async def test_a_hello_that_waits_for_its_turn_was_said(tmp_path: Path) -> None:
    """The service was busy for as long as a hello may take, and comes to what was sent and to the clock at once."""
    served: list[str] = []

    async def handle(client: Connection, request: RpcRequest) -> bytes:
        served.append(request.method)
        client.greeted = True
        return b"{}\n"

    theirs, ours = socket.socketpair()
    connection = Connection(SocketLink(ours), USER, Accounts(Ipc, owner=0), handle, lambda _: None)
    try:
        theirs.sendall(HELLO)
        connection._readable()
        connection._check_silence()
        await auntil(lambda: served == ["hello"], what=lambda: str(theirs.recv(1000, socket.MSG_DONTWAIT)))
    finally:
        connection.close()
        theirs.close()


async def test_who_says_what_is_no_request_says_nothing(tmp_path: Path) -> None:
    async def handle(client: Connection, request: RpcRequest) -> bytes:
        raise AssertionError("there is no request")

    theirs, ours = socket.socketpair()
    connection = Connection(SocketLink(ours), USER, Accounts(Ipc, owner=0), handle, lambda _: None)
    try:
        theirs.sendall(HELLO[:20])
        connection._readable()
        connection._check_silence()
        await auntil(lambda: not connection.is_open)
        assert b"no hello was received" in theirs.recv(1000)
    finally:
        connection.close()
        theirs.close()
