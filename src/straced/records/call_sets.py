"""Sets of system calls in strace's own words, as names: what programs in the kernel are told."""

from __future__ import annotations

import re

from straced.errors import InvalidArgument
from straced.records.plans import plan_of
from straced.records.values import BlobKind
from straced.syscalls import ABIS, category, names, syscall_name
from straced.text.sanitize import scrub

_NO_FILES = frozenset(
    {"add_key", "request_key", "delete_module", "fsopen", "fsconfig", "memfd_create", "mq_open", "mq_unlink"}
)
"""Calls with strings that name no file."""


def calls_of(trace_set: str) -> frozenset[str] | None:
    """The names in a set as :func:`straced.tracers.strace.filters.trace_set` returns it; ``None`` for all.

    Args:
        trace_set: ``trace=openat,read``, ``trace=!futex``, ``trace=%file``.

    Raises:
        InvalidArgument: a class that is known to strace only.
    """
    body = trace_set.removeprefix("trace=")
    if body == "all":
        return None
    every = {name for abi in ABIS for name in names(abi).values()}
    found: set[str] = set()
    for word in body.removeprefix("!").split(","):
        found |= _named(word.removeprefix("?").partition("@")[0], every)
    return frozenset(every - found if body.startswith("!") else found)


def _named(word: str, every: set[str]) -> set[str]:
    if word.startswith("/"):
        pattern = re.compile(word[1:])
        return {name for name in every if pattern.search(name)}
    if word.isdecimal():
        return {syscall_name(int(word), abi) for abi in ABIS}
    match word.lstrip("%"):
        case "all":
            return every
        case "none":
            return set()
        case "file":
            return {name for name in every if _takes_path(name)}
        case "network" | "net":
            return {name for name in every if category(name) == "network"}
    if word in every:
        return {word}
    raise InvalidArgument(
        f"{scrub(word)} is a class that only strace knows", hint='name the calls, or use tracer="strace"'
    )


def _takes_path(name: str) -> bool:
    captures = plan_of(name).captures
    return any(each.kind is BlobKind.PATH for each in captures) and name not in _NO_FILES
