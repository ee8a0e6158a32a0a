"""Files and peers of the chosen process: counted while somebody looks, here and by a service, and not for anybody.

Of `live/file_look.py`. What a service counts is in test_slow_calls.py, since it takes one to start.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from straced.live.file_look import FileLook
from straced.live.history import HistorySource
from straced.live.local import LocalSource
from straced.live.protocols import FrameSource
from straced.live.service import ServiceSource
from straced.model.file_window import FileWindow
from straced.model.frame import Key
from straced.profiling.api import AsyncSession
from tests.live.file_worker import file_rows
from tests.support.poll import auntil


async def window(look: FileLook, key: Key, what: str, **wanted: object) -> FileWindow:
    """The first one of which something is known."""

    async def found() -> FileWindow | None:
        seen = await look.at(key)
        told = seen.unavailable or seen.duration_ns is not None
        return seen if told and all(getattr(seen, name) == value for name, value in wanted.items()) else None

    result = await auntil(found, 30, what, lambda: asyncio.sleep(0.05))
    assert result is not None
    return result


class ServiceLook:
    """Looks at a process by a service, and knows the sessions of that."""

    def __init__(self, source: ServiceSource, key: Key) -> None:
        self._source = source
        self._key = key
        self.sessions: list[AsyncSession] = []
        self.look = FileLook(self._attach)

    async def _attach(self, pid: int) -> AsyncSession:
        self.sessions.append(await self._source.count_files(pid))
        return self.sessions[-1]

    async def begin(self) -> None:
        """Until it is counted."""
        await window(self.look, self._key, "that it is counted", unavailable="")

    async def is_right(self, name: str, calls: int, moved: int, waited_ns: int) -> None:
        """Until a file has so many calls: then the rest of it is right, too."""

        async def whole() -> FileWindow | None:
            seen = await self.look.at(self._key)
            return seen if name in file_rows(seen) and file_rows(seen)[name].calls == calls else None

        shown = await auntil(whole, 30, f"{calls} calls of {name}", lambda: asyncio.sleep(0.05))
        assert shown is not None
        row = file_rows(shown)[name]
        assert (row.bytes, row.errors, shown.unplaced, shown.lost) == (moved, 0, 0, 0)
        assert row.wall_ns >= row.waiting_ns >= waited_ns

    async def leaves(self, service: Key) -> None:
        """The service lets go when nobody looks; and is none that could be looked at."""
        self.look.leave()
        await auntil(lambda: self.sessions[0].ended, 30, "that the service has let go of it")
        assert (await self.sessions[0].result()).end == "detached"
        refused = await window(self.look, service, "why not the service itself")
        assert "straced itself" in refused.unavailable

    async def is_cut_off(self) -> None:
        """A connection that goes takes its sessions along, and the screen says so."""
        await self.begin()
        await self._source.close()
        assert (await window(self.look, self._key, "that the connection is gone", duration_ns=None)).unavailable
        await self.look.close()


async def test_where_it_cannot_be_a_line_says_why_and_what_to_do(tmp_path: Path) -> None:
    sources: list[tuple[FrameSource, str]] = [
        (LocalSource(tracer="none"), "calls are not counted (--tracer none); leave out --tracer none"),
        (HistorySource(60.0, tmp_path / "none"), "history does not keep calls by file and peer; straced top without"),
        (ServiceSource(tmp_path / "none"), "the service does not answer"),
    ]
    for source, words in sources:
        look = FileLook(source.count_files)
        shown = await window(look, (1, 1), "why")
        assert shown.unavailable.startswith(words)
        await look.close()
        await source.close()
