"""What crosses the socket: JSON-RPC 2.0 objects, one a line, and errors that keep their type.

A connection begins with ``hello`` and the number of the protocol. A frame has at most ``MAX_FRAME`` bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from straced import errors
from straced.errors import StracedError

PROTOCOL = 1
MAX_FRAME = 1 << 20
HEARTBEAT_S = 15.0
"""A notification at least this often, so that a client knows that the service is there."""

PARSE_ERROR, INVALID_REQUEST, NO_SUCH_METHOD, INVALID_PARAMS, INTERNAL, REFUSED = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
    -32000,
)
"""Codes of the JSON-RPC 2.0 specification; ``REFUSED`` is an error of straced, with its type in ``data``."""


class RpcRequest(Struct, frozen=True):
    """A call; without ``id`` nobody waits for an answer."""

    method: str
    id: int | str | None = None
    params: Raw = Raw(b"{}")
    jsonrpc: str = "2.0"


class ErrorData(Struct, frozen=True, omit_defaults=True):
    """What makes a :class:`straced.errors.StracedError` again."""

    code: str
    hint: str = ""
    pid: int | None = None
    fields: dict[str, Any] = {}


class ErrorBody(Struct, frozen=True):
    """The error of a response."""

    code: int
    message: str
    data: ErrorData | UnsetType = UNSET


class Message(Struct, frozen=True):
    """Anything that the service sends: a response (``result`` or ``error``) or a notification (``method``)."""

    jsonrpc: str = "2.0"
    id: int | str | None = None
    result: Raw | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
    method: str = ""
    params: Raw = Raw(b"{}")


class ProtocolMismatch(StracedError):
    """Client and service speak different versions."""

    exit_code = 6
    code = "protocol_mismatch"


class TooMuch(StracedError):
    """More than one user may have at a time."""

    exit_code = 6
    code = "too_much"


class TimedOut(StracedError):
    """A connection on which no request was received; the next request makes another."""

    exit_code = 6
    code = "timed_out"


class UnknownMethod(StracedError):
    """The service does not know this request."""

    exit_code = 6
    code = "unknown_method"


def response(number: int | str | None, result: object) -> bytes:
    """A frame that answers a request."""
    body = msgspec.json.encode(result, enc_hook=_plain)
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (msgspec.json.encode(number), body)


def _plain(value: object) -> object:
    """Rows of a sample that are made when they are looked at."""
    if isinstance(value, Sequence):
        return list(value)
    raise NotImplementedError(type(value).__name__)


def notification(method: str, params: object) -> bytes:
    """A frame that nobody asked for."""
    body = params if isinstance(params, bytes) else msgspec.json.encode(params)
    return b'{"jsonrpc":"2.0","method":%s,"params":%s}\n' % (msgspec.json.encode(method), body)


def refusal(number: int | str | None, error: BaseException, code: int = REFUSED) -> bytes:
    """A frame with an error; one that is not of straced tells its type only."""
    if isinstance(error, StracedError):
        known = {"reason", "hint", "pid", "process"}
        fields = {key: value for key, value in vars(error).items() if key not in known and _is_plain(value)}
        body = ErrorBody(code, error.reason, ErrorData(error.code, error.hint, error.pid, fields))
    else:
        body = ErrorBody(INTERNAL if code == REFUSED else code, f"internal fault: {type(error).__name__}")
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "error": body}) + b"\n"


def _is_plain(value: object) -> bool:
    return isinstance(value, (int, str, float, bool, type(None))) or (
        isinstance(value, (tuple, list)) and all(isinstance(each, (int, str)) for each in value)
    )


def error_of(body: ErrorBody) -> StracedError:
    """The error that the service meant, as its type; as a plain StracedError where this side has no such type."""
    if isinstance(body.data, UnsetType):
        return StracedError(f"the service refused: {body.message}")
    data = body.data
    kind = _types().get(data.code, StracedError)
    error = kind.__new__(kind)
    StracedError.__init__(error, body.message, hint=data.hint, pid=data.pid)
    for key, value in data.fields.items():
        setattr(error, key, tuple(value) if isinstance(value, list) else value)
    return error


def _types(root: type[StracedError] = StracedError) -> dict[str, type[StracedError]]:
    assert errors.StracedError is not None
    found = {root.code: root}
    for each in root.__subclasses__():
        found.update({code: kind for code, kind in _types(each).items() if code not in found})
    return found
