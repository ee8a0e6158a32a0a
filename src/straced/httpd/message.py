"""A request as it came, strictly read, and an answer as it goes (RFC 9110, RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from msgspec import Struct

MAX_HEADERS = 100
MAX_FIELDS = 20
"""Fields of a query."""
_TARGET = re.compile(r"/[\x21-\x7e]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REASONS = {
    200: "OK",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
PLAIN = "text/plain; charset=utf-8"
Send = Callable[[bytes], Awaitable[None]]
"""Sends some bytes, and returns when they are out."""


class Malformed(Exception):
    """Not a request that is understood; its text says why."""


class HttpRequest(Struct, frozen=True):
    """The head of a request; there is no body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """By name in small letters."""


def parse(head: bytes) -> HttpRequest:
    """Read a head, up to its empty line.

    Raises:
        Malformed: it is not as the standard has it, is ambiguous, or announces a body.
    """
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1") or not _TARGET.fullmatch(words[1]):
        raise Malformed("not a request line of HTTP/1.1")
    if len(lines) > MAX_HEADERS:
        raise Malformed("too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or "\n" in value or "\r" in value or "\0" in value:
            raise Malformed("not a header line")
        if name.lower() in headers and name.lower() in ("host", "origin", "authorization", "cookie"):
            raise Malformed(f"{name.lower()} stands there twice")
        headers[name.lower()] = value.strip(" \t")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Malformed("no body is taken")
    path, _, query = words[1].partition("?")
    try:
        fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise Malformed("too many fields in the query") from error
    return HttpRequest(words[0], path, fields, headers)


class Response(Struct, frozen=True, kw_only=True):
    """What goes back: a body, or a stream that goes on until one side ends it."""

    status: int = 200
    body: bytes = b""
    kind: str = PLAIN
    headers: tuple[tuple[str, str], ...] = ()
    stream: Callable[[Send], Awaitable[None]] | None = None

    def head(self) -> bytes:
        """The head as bytes. Each connection serves one request."""
        length = () if self.stream is not None else (("Content-Length", str(len(self.body))),)
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}",
            *(f"{name}: {value}" for name, value in (("Content-Type", self.kind), *length, *_ALWAYS, *self.headers)),
        ]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


_ALWAYS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Connection", "close"))


def text(status: int, words: str) -> Response:
    """A short answer for people."""
    return Response(status=status, body=words.encode() + b"\n")
