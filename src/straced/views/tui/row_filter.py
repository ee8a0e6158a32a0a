"""What the filter means: words with a prefix ask one column, the rest is looked for in all that tells a process."""

from __future__ import annotations

import functools
import pwd
from collections.abc import Callable

from straced.model.frame import ProcessRow

PREFIXES = ("call:", "user:", "job:")


class RowFilter:
    """A filter as it was typed: ``user:www call:read nginx: worker``.

    Args:
        text: words of the form ``call:``, ``user:`` or ``job:`` each have to occur there; all else, blanks included, is
            one text.
    """

    def __init__(self, text: str = "") -> None:
        self._asked: list[tuple[Callable[[ProcessRow], str], str]] = []
        words, rest = text.split(" "), []
        for word in words:
            prefix, colon, wanted = word.partition(":")
            if f"{prefix}{colon}" not in PREFIXES:
                rest.append(word)
            elif wanted:
                self._asked.append((_FIELDS[prefix], wanted.casefold()))
        self.phrase = text if len(rest) == len(words) else " ".join(rest).strip()
        """What is looked for in all of them, and stands out where it is found."""

    def matches(self, row: ProcessRow) -> bool:
        """Whether a process is shown."""
        if not all(wanted in field(row).casefold() for field, wanted in self._asked):
            return False
        wanted, pid = self.phrase.casefold(), str(row.pid) if row.pid > 0 else ""
        texts = (row.cmdline, row.comm, pid, row.job or "", row.container or "", row.now or "")
        return not wanted or any(wanted in text.casefold() for text in texts)


def _user(row: ProcessRow) -> str:
    return "" if row.uid is None else f"{user_name(row.uid)} {row.uid}"


@functools.lru_cache(1024)
def user_name(uid: int) -> str:
    """The name of a user, or the number where nobody has it; asked for once."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


_FIELDS: dict[str, Callable[[ProcessRow], str]] = {
    "call": lambda row: row.now or "",
    "user": _user,
    "job": lambda row: row.job or "",
}
