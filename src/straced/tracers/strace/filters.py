"""What may be asked of strace's filters: sets of calls, paths, outcomes. Nothing that tampers with the target.

``-e inject=`` changes what a traced program sees, so only ``trace=`` sets that are built here reach strace.
"""

from __future__ import annotations

import difflib
import re

from straced.errors import InvalidArgument
from straced.syscalls import ABIS, names
from straced.text.sanitize import scrub

CLASSES = frozenset(
    """%file %process %network %net %signal %ipc %desc %memory %creds %stat %lstat %fstat %%stat %statfs %fstatfs
    %%statfs %clock %pure all none file process network signal ipc desc memory""".split()  # noqa: SIM905
)
STATUSES = ("successful", "failed", "unfinished", "unavailable", "detached")
_REGEX = re.compile(r"/[A-Za-z0-9_^$.*+?()|\[\]\\-]{1,200}")
_NUMBER = re.compile(r"\d{1,5}")


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
