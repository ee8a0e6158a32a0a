"""What may be asked of strace's filters: sets of calls, paths, outcomes. Nothing that tampers with the target.

``-e inject=`` changes what a traced program sees, so only ``trace=`` sets that are built here reach strace.
"""

from __future__ import annotations

import difflib
import re

from straced.errors import InvalidArgument
from straced.syscalls import ABIS, names, native_abi, number_of
from straced.text.sanitize import scrub

CLASSES = frozenset(
    """%file %process %network %net %signal %ipc %desc %memory %creds %stat %lstat %fstat %%stat %statfs %fstatfs
    %%statfs %clock %pure all none file process network signal ipc desc memory""".split()  # noqa: SIM905
)
STATUSES = ("successful", "failed", "unfinished", "unavailable", "detached")
_REGEX = re.compile(r"/[A-Za-z0-9_^$.*+?()|\[\]\\-]{1,200}")
_NUMBER = re.compile(r"\d{1,5}")

SIBLINGS = {
    "open": ("openat", "openat2"), "creat": ("openat", "openat2"), "stat": ("newfstatat", "statx"),
    "lstat": ("newfstatat", "statx"), "access": ("faccessat", "faccessat2"), "mkdir": ("mkdirat",),
    "rmdir": ("unlinkat",), "unlink": ("unlinkat",), "rename": ("renameat", "renameat2"), "link": ("linkat",),
    "symlink": ("symlinkat",), "readlink": ("readlinkat",), "chmod": ("fchmodat", "fchmodat2"), "chown": ("fchownat",),
    "mknod": ("mknodat",), "poll": ("ppoll",), "select": ("pselect6",), "epoll_wait": ("epoll_pwait", "epoll_pwait2"),
    "fork": ("vfork", "clone", "clone3"), "clone": ("clone3",), "pipe": ("pipe2",), "dup2": ("dup3",),
    "accept": ("accept4",), "send": ("sendto",), "recv": ("recvfrom",), "signal": ("rt_sigaction",),
}  # fmt: skip
"""Calls that C libraries of today make in place of one of the same name as their function."""


def widened(text: str) -> tuple[str, list[str]]:
    """Add to a set the calls that are made in place of those in it, and return them apart, too.

    strace ignores those that it does not know, and so a name that this machine has no call of.
    """
    head, equals, body = text.rpartition("=")
    negated = "!" if body.startswith("!") else ""
    words = body.removeprefix("!").split(",")
    added = [name for word in words for name in SIBLINGS.get(word, ()) if name not in words]
    added = list(dict.fromkeys(added))
    if not added:
        return text, []
    known = [
        word if word not in SIBLINGS or number_of(word, native_abi()) is not None else f"?{word}" for word in words
    ]
    return f"{head}{equals}{negated}{','.join([*known, *(f'?{name}' for name in added)])}", added


def trace_set(text: str) -> str:
    """Check a set such as ``openat,read``, ``trace=%file`` or ``!futex``; return it in strace's form.

    Raises:
        InvalidArgument: another qualifier than ``trace=``, or a call that there is none of.
    """
    body = text.removeprefix("trace=").removeprefix("t=")
    if "=" in body:
        raise InvalidArgument(
            f"-e {scrub(text)} is refused: straced passes on trace= sets only",
            hint="it never changes what a traced program sees; for inject= use strace itself",
        )
    negated = body.startswith("!")
    words = body.removeprefix("!").split(",")
    for word in words:
        _check(word)
    return f"trace={'!' if negated else ''}{','.join(words)}"


def _check(word: str) -> None:
    bare = word.removeprefix("?").partition("@")[0]
    if bare in CLASSES or _REGEX.fullmatch(word) or _NUMBER.fullmatch(word):
        return
    known = {name for abi in ABIS for name in names(abi).values()}
    if bare in known:
        return
    close = difflib.get_close_matches(bare, [*known, *CLASSES], n=1)
    hint = f"did you mean {close[0]}?" if close else "name calls (openat,read), classes (%file) or /regex"
    raise InvalidArgument(f"there is no system call named {scrub(word) or 'nothing'}", hint=hint)


def status_set(text: str) -> str:
    """Check a set of outcomes for ``-e status=``.

    Raises:
        InvalidArgument: an outcome that strace does not know.
    """
    words = text.split(",")
    for word in words:
        if word not in STATUSES:
            raise InvalidArgument(f"there is no outcome named {scrub(word)}", hint=f"one of {', '.join(STATUSES)}")
    return ",".join(words)
