"""What goes down the line of one open page, as server-sent events (HTML Living Standard, 9.2)."""

from __future__ import annotations

import asyncio

import msgspec

from straced.httpd.message import Response, Send
from straced.model.frame import Key
from straced.web.feed import FrameFeed, Viewer
from straced.web.frame_diff import ViewerState
from straced.web.recent import encoded

BEAT_S = 3.0
"""A line at least this often, so that a page knows that it is not cut off."""
_HEADERS = (("X-Accel-Buffering", "no"),)


class ViewerStream:
    """Tells one page what is new; of a page that reads too slowly the ticks in between are left out, and counted."""

    def __init__(self, feed: FrameFeed, key: Key | None, *, files: bool = False) -> None:
        self._feed = feed
        self._viewer = Viewer(key, files=files)
        self._known = ViewerState()
        self._noted = 0
        self._alerts = -1
        self._seen: bytes | None = None

    def answer(self) -> Response:
        """The answer that goes on."""
        return Response(kind="text/event-stream; charset=utf-8", headers=_HEADERS, stream=self._run)

    async def _run(self, send: Send) -> None:
        self._feed.join(self._viewer)
        try:
            await send(b": straced\n\n")
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        await self._viewer.woken.wait()
                except TimeoutError:
                    await send(b"event: beat\ndata: {}\n\n")
                    continue
                self._viewer.woken.clear()
                if message := self._message():
                    await send(b"event: news\ndata: {%s}\n\n" % message)
        finally:
            self._feed.leave(self._viewer)

    def _message(self) -> bytes:
        """Only what this page was not told yet, put together from parts that were encoded once for all."""
        feed, key = self._feed, self._viewer.key
        parts: list[bytes] = []
        shot = feed.shot
        if shot is not None and shot.number != self._known.number:
            if self._known.number is None and key is None:
                parts.append(b'"recent":%s' % msgspec.json.encode(list(feed.recent.totals)))
            news, new = self._known.news(shot, key)
            parts += news
            parts.append(b'"trails":%s' % _trails(feed, new))
        seen = feed.seen.get(key) if key is not None else None
        if seen is not None and seen is not self._seen:
            self._seen = seen
            parts.append(b'"seen":%s' % seen)
        notes, self._noted = feed.recent.notes_after(self._noted)
        if notes:
            parts.append(b'"notes":%s' % msgspec.json.encode(notes))
        if feed.recent.alerts_version != self._alerts:
            self._alerts = feed.recent.alerts_version
            parts.append(b'"alerts":%s' % encoded(feed.recent.alerts.values()))
        return b",".join(parts)


def _trails(feed: FrameFeed, keys: list[Key]) -> bytes:
    trails = feed.recent.trails
    return msgspec.json.encode([(*key, list(trails[key])) for key in keys if key in trails])
