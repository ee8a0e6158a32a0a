"""Names under which it is kept what programs were learnt to do: the program, and the user it runs as."""

from __future__ import annotations

NOBODY_UID = -1
"""For users beyond those who have names of their own."""


def name_of(program: str, uid: int) -> str:
    """The name of a program of a user."""
    return f"{program} uid {uid}"


def user_of(name: str) -> int:
    """Whose a program is, by its name."""
    word = name.rpartition(" uid ")[2]
    return int(word) if word.isascii() and word.isdecimal() else NOBODY_UID
