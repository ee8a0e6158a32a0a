"""Requests that nobody in their right mind would send, and frames that are none."""

from __future__ import annotations

import json
import random
from itertools import cycle

import msgspec

from straced.service.api import methods

_METHODS = """
hello status watch.add watch.remove watch.list label snapshot subscribe metrics processes history timeline top
moment risen events alerts report attach attach.children trace dump trace.read session.read session.summary
session.wait session.result session.detach session.listen session.events session.unlisten
"""
_KEYS = """
protocol client target labels pid topics name job since until step_s by limit after open_only follow time per_thread
tracer session listener since_ns until_ns timestamps decode_fds string_bytes trace paths failed_only
max_bytes max_seconds last_ns
"""
METHODS, KEYS = _METHODS.split(), _KEYS.split()
VALUES = (
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1e308",
    "-1e308",
    "1e999",
    "1.5",
    "9" * 400,
    str(2**63),
    str(-(2**63) - 1),
    '""',
    '"x"',
    r'"\ud800"',
    r'"\u0000\u001b]0;x\u0007"',
    '"' + "a" * 5000 + '"',
    "[]",
    "[1]",
    "{}",
    '{"a": 1}',
    '{"a": "b"}',
    "[" * 10_000 + "]" * 10_000,
    '[["a"], "b"]',
)
FRAMES = (
    b"",
    b" ",
    b"\x00",
    b"\xff\xfe",
    b"nonsense",
    b"null",
    b"[]",
    b"{}",
    b"[" * 10_000,
    b"[" * 10_000 + b"]" * 10_000,
    b'{"method": 5}',
    b'{"method": "status", "id": {}}',
    b'{"method": "status", "id": 1e308}',
    b'{"method": "status"}{"method": "status"}',
    b'{"jsonrpc": "1.0", "method": "status", "id": "\\ud800"}',
    b'{"method": "hello", "params": [], "id": 1}',
    b'{"method": "status", "params": ' + b"[" * 10_000 + b"]" * 10_000 + b', "id": 1}',
    b'{"method": "' + b"x" * (1 << 20) + b'", "id": 1}',
    b" " * (1 << 20),
)
"""Each is followed by a newline when it is sent."""


def request(method: str, params: str, number: object = 7) -> bytes:
    """A frame with parameters as they stand."""
    return f'{{"jsonrpc": "2.0", "id": {json.dumps(number)}, "method": "{method}", "params": {params}}}\n'.encode()


def bad_requests() -> list[bytes]:
    """Every method with each key of its own of each wrong kind, with none, and with each key that is not its own.

    Those are of one kind each, by turns; all at once at the end.
    """
    found = []
    kinds = cycle(VALUES[:22])
    for method in METHODS:
        if method == "hello":
            continue
        found += [request(method, params) for params in ("{}", "[]", "null", "5", '"x"', '{"unknown": 1}')]
        own = [field.encode_name for field in msgspec.structs.fields(methods.METHODS[method].params)]
        found += [request(method, f'{{"{key}": {value}}}') for key in own for value in VALUES[:22]]
        found += [request(method, f'{{"{key}": {next(kinds)}}}') for key in KEYS if key not in own]
        found += [request(method, "{" + ", ".join(f'"{key}": {value}' for key in KEYS) + "}") for value in VALUES]
    return found


def random_bytes(chance: random.Random) -> bytes:
    """Something for the socket: a request, half of one, several, a broken one, or noise."""
    kind = chance.random()
    if kind < 0.55:
        keys = chance.sample(KEYS, chance.randrange(6))
        params = ", ".join(f'"{key}": {chance.choice(VALUES)}' for key in keys)
        return request(chance.choice(METHODS), "{" + params + "}", chance.choice([1, 1, 2, "x", None]))
    if kind < 0.7:
        return request(chance.choice(METHODS), "{}", 3) * chance.randrange(1, 200)
    if kind < 0.8:
        whole = request(chance.choice(METHODS), '{"pid": 1}')
        place = chance.randrange(len(whole))
        return whole[:place] + bytes([chance.randrange(256)]) + whole[place + 1 :]
    if kind < 0.9:
        frame = chance.choice(FRAMES)
        return frame + b"\n" if chance.random() < 0.8 else frame[: chance.randrange(len(frame) + 1)]
    return chance.randbytes(chance.choice([1, 100, 70_000]))
