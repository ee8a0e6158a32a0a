"""Files and peers of the chosen process: counted while somebody looks, here and by a service, and not for anybody.

Of `live/file_look.py`.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from straced.client.client import Client
from straced.linux import procfs
from straced.live.file_look import FileLook
from straced.live.history import HistorySource
from straced.live.local import LocalSource
from straced.live.protocols import FrameSource
from straced.live.service import ServiceSource
from straced.model.file_window import FileWindow
from straced.profiling.api import AsyncSession
from tests.live.file_worker import BEFORE, CODE, file_rows, serve
from tests.live.test_service import first_frame
from tests.service.daemon import Daemon
from tests.support.needs import require
from tests.support.poll import auntil
from tests.tracers.ebpf.slow_targets import Script


def key_of(pid: int) -> tuple[int, int]:
    return pid, procfs.stat(pid).start_ticks


async def window(look: FileLook, key: tuple[int, int], what: str, **wanted: object) -> FileWindow:
    """The first one of which something is known."""

    async def found() -> FileWindow | None:
        seen = await look.at(key)
        told = seen.unavailable or seen.duration_ns is not None
        return seen if told and all(getattr(seen, name) == value for name, value in wanted.items()) else None

    result = await auntil(found, 30, what, lambda: asyncio.sleep(0.05))
    assert result is not None
    return result


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


async def test_a_service_counts_whom_it_is_asked_for_as_long_as_somebody_looks(tmp_path: Path) -> None:
    require("ebpf")
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = f"tcp 127.0.0.1:{server.getsockname()[1]}"
        script = Script(CODE, tmp_path, server.getsockname()[1], before=BEFORE)
        daemon = Daemon(tmp_path, f'[[watch]]\ntarget = "{script.pid}"\n').start()
        source = ServiceSource(daemon.socket)
        sessions: list[AsyncSession] = []

        async def attach(pid: int) -> AsyncSession:
            sessions.append(await source.count_files(pid))
            return sessions[-1]

        look = FileLook(attach)
        try:
            await script.waits()
            await first_frame(source)
            key = key_of(script.pid)
            await window(look, key, "that it is counted", unavailable="")
            script.go()
            await serve(server, script)

            async def all_calls() -> FileWindow | None:
                seen = await look.at(key)
                return seen if peer in file_rows(seen) and file_rows(seen)[peer].calls == 7 else None

            shown = await auntil(all_calls, 30, "all calls of the peer", lambda: asyncio.sleep(0.05))
            assert shown is not None
            found = file_rows(shown)
            data, none = found[f"{tmp_path}/data"], found[f"{tmp_path}/missing"]
            assert (data.calls, data.bytes, none.calls, none.errno) == (14, 700, 5, "ENOENT")
            assert (shown.unplaced, shown.lost) == (0, 0)

            look.leave()
            await auntil(lambda: sessions[0].ended, 30, "that the service has let go of it")
            assert (await sessions[0].result()).end == "detached"
            own = await window(look, key_of(daemon.process.pid), "why not the service itself")  # type: ignore[union-attr]
            assert "straced itself" in own.unavailable
            await window(look, key, "that it is counted again", unavailable="")
            await source.close()
            gone = await window(look, key, "that the connection is gone", duration_ns=None)
            assert gone.unavailable
            async with Client(daemon.socket) as other:

                async def nothing() -> bool:
                    return (await other.status()).sessions == 0

                await auntil(nothing, 30, "that a client that goes leaves nothing", lambda: asyncio.sleep(0.05))
        finally:
            await look.close()
            await source.close()
            daemon.stop()
            script.close()
