"""Every method with every wrong kind of parameter: a typed error, and the connection goes on or ends with a reason."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from straced.ipc.protocol import INTERNAL, INVALID_REQUEST, MAX_FRAME, PARSE_ERROR
from straced.service.api.methods import METHODS as SERVED
from tests.security import requests
from tests.security.served import ends_in_time, others_are_served
from tests.service.daemon import Daemon
from tests.service.needs import needs_root

pytestmark = needs_root
HELLO = requests.request("hello", '{"protocol": 1}', 1)


@contextlib.contextmanager
def dialled(daemon: Daemon) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(daemon.socket))
        yield sock


def answers(sock: socket.socket) -> Iterator[dict[str, object]]:
    """Objects from the service, until it closes the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(65536):
            *whole, data = (data + part).split(b"\n")
            yield from map(json.loads, whole)


def code_of(answer: dict[str, object]) -> object:
    error = answer.get("error")
    return error["code"] if isinstance(error, dict) else None


def test_no_method_is_forgotten() -> None:
    assert set(requests.METHODS) == set(SERVED)


@pytest.mark.limit(180)
def test_every_method_with_every_wrong_value(daemon: Daemon) -> None:
    """As root, who is held back by no rate; what works by accident is harmless."""
    asked = requests.bad_requests()
    asked = [each for each in asked if not any(word in each for word in (b'"watch.add"', b'"label"'))]
    asked += [each for each in requests.bad_requests() if b'"watch.add"' in each and b"{" in each][:40]
    waits = (b'"method": "session.wait"', b'"method": "attach"', b'"method": "trace"')
    with others_are_served(daemon):
        while asked:
            with dialled(daemon) as sock:
                sock.sendall(HELLO)
                said = answers(sock)
                assert "result" in next(said)
                while asked:
                    frame = asked.pop()
                    sock.sendall(frame)
                    answer = next(said)
                    assert code_of(answer) != INTERNAL, (frame[:200], answer)
                    assert code_of(answer) is not None or not any(word in frame for word in waits), frame[:200]
                    if answer["id"] is None:  # not JSON at all: a reason, and the end
                        assert code_of(answer) == PARSE_ERROR, (frame[:200], answer)
                        assert b"ud800" in frame or b"[[[[" in frame or b"e999" in frame, frame[:200]
                        assert list(said) == []
                        break
                    assert answer["id"] == 7, frame[:200]
    ends_in_time(daemon)


def test_what_is_no_request(daemon: Daemon) -> None:
    """One after the other, each on a connection of its own."""
    for frame in requests.FRAMES:
        with dialled(daemon) as sock:
            sock.sendall(HELLO)
            said = answers(sock)
            assert "result" in next(said)
            with contextlib.suppress(ConnectionError):
                sock.sendall(frame + b"\n" + requests.request("status", "{}", "last"))
            answer = next(said)
            if answer["id"] is None:  # it was no request: a reason, and the end
                assert code_of(answer) in (PARSE_ERROR, INVALID_REQUEST), (frame[:200], answer)
                assert list(said) == []
            else:  # the connection goes on
                while answer["id"] != "last":
                    assert code_of(answer) not in (None, INTERNAL), (frame[:200], answer)
                    answer = next(said)
                assert "result" in answer, (frame[:200], answer)
        assert daemon.answers(), frame[:200]


def test_frames_in_pieces_together_and_at_the_limit(daemon: Daemon) -> None:
    with dialled(daemon) as sock:
        said = answers(sock)
        for byte in HELLO:
            sock.send(bytes([byte]))
        assert "result" in next(said)
        sock.sendall(requests.request("status", "{}", 2) + requests.request("status", "{}", 2))
        assert [next(said)["id"], next(said)["id"]] == [2, 2]  # a number that is used twice is answered twice
        largest = requests.request("status", "{}", 3)[:-1]
        sock.sendall(largest + b" " * (MAX_FRAME - len(largest)) + b"\n")
        assert next(said)["id"] == 3
        sock.sendall(largest + b" " * (MAX_FRAME + 1 - len(largest)) + b"\n")
        assert code_of(next(said)) == INVALID_REQUEST
        assert list(said) == []
