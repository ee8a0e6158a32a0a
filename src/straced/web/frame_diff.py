"""One tick as bytes that all pages share, and what of it is new to a page."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from straced.model.frame import Frame, Key, ProcessRow

WHO = ("pid", "start_ticks", "ppid", "comm", "cmdline", "job", "uid", "watched")
"""Fields of a row that seldom change; the others are its figures."""
DIGITS = 3
_encode = msgspec.json.Encoder().encode


class EncodedFrame(Struct, frozen=True, kw_only=True):
    """All that a tick shows, encoded once."""

    number: int
    """The tick's; numbers that are left out are ticks that were not shown."""
    head: bytes
    who: dict[Key, bytes]
    figures: dict[Key, bytes]


def encode_frame(number: int, frame: Frame, more: dict[str, Any]) -> EncodedFrame:
    """Encode a frame; ``more`` goes with its head."""
    head = msgspec.to_builtins(msgspec.structs.replace(frame, processes=(), notes=(), detail=None))
    for name in ("processes", "notes", "detail"):
        del head[name]
    return EncodedFrame(
        number=number,
        head=_encode({**head, **more, "number": number}),
        who={row.key: _encode({name: getattr(row, name) for name in WHO}) for row in frame.processes},
        figures={row.key: _encode(_figures(row)) for row in frame.processes},
    )


def _figures(row: ProcessRow) -> dict[str, object]:
    found: dict[str, object] = {"pid": row.pid, "start_ticks": row.start_ticks}
    for name in row.__struct_fields__:
        if name in WHO or name == "trail":
            continue
        value = getattr(row, name)
        found[name] = round(value, DIGITS) if isinstance(value, float) else value
    return found


class ViewerState:
    """What one page has been told, so that it is told what is new only."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._who: dict[Key, bytes] = {}
        self._figures: dict[Key, bytes] = {}

    def news(self, shot: EncodedFrame, only: Key | None = None) -> tuple[list[bytes], list[Key]]:
        """The parts of the next message, and the processes that it is told of for the first time.

        Args:
            shot: what is.
            only: a page about one process needs that row alone.
        """
        who, figures = shot.who, shot.figures
        if only is not None:
            who = {only: who[only]} if only in who else {}
            figures = {only: figures[only]} if only in figures else {}
        new = [key for key in who if key not in self._who]
        parts = [b'"head":%s' % shot.head]
        # the same bytes may be another object: they are compared as such
        parts.append(b'"who":[%s]' % b",".join(each for key, each in who.items() if self._who.get(key) != each))
        changed = (each for key, each in figures.items() if self._figures.get(key) != each)
        parts.append(b'"rows":[%s]' % b",".join(changed))
        parts.append(b'"gone":%s' % _encode([key for key in self._who if key not in who]))
        if self.number is not None and shot.number - self.number > 1:
            parts.append(b'"gap":%d' % (shot.number - self.number - 1))
        self.number, self._who, self._figures = shot.number, who, figures
        return parts, new
