"""A text for a ticket: the report, the threads, the environment; paths, addresses and arguments redacted by default."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator

import msgspec

from straced.units import format_ns
from straced.views.why_text import report
from straced.views.why_words import shorten
from straced.waits.model import Resource, Why, walk

_PATH = re.compile(r"(?<![\w/])(?:/(?!proc/locks|dev/(?:pts|tty|null))|@)[^\s,;:()]*[^\s,;:().]")


def bundle(why: Why, *, redact: bool = True, version: str = "") -> str:
    """The text; with ``redact`` each path, socket name and foreign address is a token, the same one wherever it stands.

    Program names (comm), pids, system calls and local addresses stay: without them the text says nothing.
    """
    command = _command_line(why, redact)
    if redact:  # py-spy names source files in parentheses
        stack = tuple(line.partition(" (")[0] for line in why.python_stack)
        why = msgspec.structs.replace(why, python_stack=stack, commands={})
    system = os.uname()
    lines = [
        f"straced {version} why, {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
        f"kernel {system.release} {system.machine}, Python {platform.python_version()}, uid {os.geteuid()}",
        f"watched for {format_ns(why.window_ns)}; names are {'redacted' if redact else 'not redacted'}",
        f"command line: {command}",
        "",
        report(why),
        "",
        f"threads of {why.pid} ({len(why.threads)})",
        *_threads(why),
        "",
    ]
    text = "\n".join(lines)
    return _redacted(text, why) if redact else text


def _command_line(why: Why, redact: bool) -> str:
    if not why.cmdline:
        return "not read"
    return f"{why.comm} and {len(why.cmdline) - 1} arguments" if redact else " ".join(why.cmdline)


def _threads(why: Why) -> Iterator[str]:
    for task in why.threads:
        wait = task.wait
        call = wait.call or wait.kind
        resource = wait.resource.name if wait.resource else f"{len(wait.watched)} descriptors" if wait.watched else "-"
        ran = "-" if wait.since_ns is None else f">= {format_ns(wait.since_ns)} ago"
        place = f"{wait.state} {call:<18} {wait.kernel or '-':<24} {resource}"
        yield f"  {task.tid:>8} {task.comm:<16} {place}  last ran {ran}"


def _redacted(text: str, why: Why) -> str:
    tokens: dict[str, str] = {}
    for word in sorted(_secrets(why), key=len, reverse=True):
        tokens.setdefault(word, f"<name {len(tokens) + 1}>")
        text = text.replace(word, tokens[word])
    counted = iter(range(len(tokens) + 1, 1 << 30))

    def token(match: re.Match[str]) -> str:
        if match.group() not in tokens:
            tokens[match.group()] = f"<name {next(counted)}>"
        return tokens[match.group()]

    return _PATH.sub(token, text)


def _secrets(why: Why) -> set[str]:
    """What only this host knows: names of files and sockets, addresses of other machines."""
    found: set[str] = set()
    resources = [resource for task in why.threads for resource in _resources(task.wait.resource, task.wait.watched)]
    if why.chain is not None:
        for node in walk(why.chain):
            resources += _resources(node.task.wait.resource, node.task.wait.watched)
    for resource in resources:
        for name in (resource.name, resource.peer or ""):
            if _is_private(resource, name):
                found |= {name, name.removesuffix(" (listening)"), shorten(name)}
    return found - {""}


def _is_private(resource: Resource, name: str) -> bool:
    if resource.kind in ("tcp", "udp"):
        return not name.startswith(("127.", "[::1]", "0.0.0.0", "[::]"))
    return name.startswith(("/", "@")) and not name.startswith(("/dev/pts/", "/dev/null"))


def _resources(one: Resource | None, several: tuple[Resource, ...]) -> list[Resource]:
    return [*([one] if one else []), *several]
