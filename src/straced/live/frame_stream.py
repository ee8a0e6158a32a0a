"""Frames for programs and pipes: one, or one each interval, without a screen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from straced.concurrency import stopping
from straced.live.protocols import FrameSource
from straced.model.frame import Frame

FIRST_WINDOW_S = 1.0
"""How long one frame looks, where nobody says."""


def stream(
    make: Callable[[], FrameSource], interval_s: float, show: Callable[[Frame], None], *, count: int | None = None
) -> int:
    """Show ``count`` frames (or until Ctrl-C) and return the exit status. Each covers a whole interval.

    Args:
        make: makes the source, in the loop that it is used in.
        interval_s: seconds from frame to frame.
        show: called with each frame but the first reading, which has no rates.
        count: ``None`` for no end.
    """
    return stopping.run(lambda requests: _stream(make, interval_s, show, count, requests.event))


async def _stream(
    make: Callable[[], FrameSource],
    interval_s: float,
    show: Callable[[Frame], None],
    count: int | None,
    stop: asyncio.Event,
) -> int:
    loop = asyncio.get_running_loop()
    source = make()
    try:
        await source.frame()
        await source.settle()
        await source.frame()  # from here on, those attached now are counted for whole windows
        due = loop.time()
        shown = 0
        while count is None or shown < count:
            due += interval_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - loop.time()))
            if stop.is_set():
                break
            show(await source.frame())
            await source.settle()
            shown += 1
    finally:
        await source.close()
    return 0
