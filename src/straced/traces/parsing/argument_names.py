"""The form that ``strace -N`` writes (6.16 and later), without the names of arguments: ``read(fd=3, ...)``."""

from __future__ import annotations

import re

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{(<]|[\]})>]|, ?[a-z_][a-z0-9_]*=|[^"\[\]{}()<>,]+|.', re.S)
_FIRST = re.compile(rb"(?:<\.\.\. \w+ resumed>,? ?|\b[a-z_]\w*\()")
_NAME = re.compile(rb"[a-z_][a-z0-9_]*=")
NAMED_ALWAYS = frozenset({"clone", "__clone2"})
"""Their arguments have names in every form."""


def has_names(name: str, args: bytes) -> bool:
    """Whether the arguments of a call begin with the name of the first."""
    return name not in NAMED_ALWAYS and _NAME.match(args) is not None


def without_names(block: bytes) -> bytes:
    """Leave out the names of the arguments in every line of a block."""
    return b"\n".join([_stripped(line) if b"=" in line else line for line in block.split(b"\n")])


def _stripped(line: bytes) -> bytes:
    start = _FIRST.search(line)
    if start is None:
        return line
    name = start.group().removeprefix(b"<... ").split(b" ")[0].rstrip(b"(")
    if name.decode() in NAMED_ALWAYS:
        return line
    parts = [line[: start.end()]]
    position, depth = start.end(), 0
    if match := _NAME.match(line, position):
        position = match.end()
    while match := _TOKEN.match(line, position):
        token = match.group()
        position = match.end()
        if depth == 0 and token[:1] == b"," and token[-1:] == b"=":
            token = b", " if token[1:2] == b" " else b","
        elif token in (b"[", b"{", b"(", b"<"):
            depth += 1
        elif token in (b"]", b"}", b")", b">"):
            depth -= 1
            if depth < 0:
                break  # the result begins
        parts.append(token)
    return b"".join(parts) + (line[match.start() :] if match else b"")
