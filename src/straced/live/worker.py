"""A thread of its own that refreshes on a fixed cadence, so that the screen never waits for /proc or a tracer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from straced.live.file_look import FileLook
from straced.live.protocols import Actions, FrameListener, FrameSource, TraceState
from straced.model.frame import Key

if TYPE_CHECKING:
    from straced.waits.model import Why

Result = TypeVar("Result")


class FrameWorker:
    """Reads a source each interval, and whenever another process is chosen its detail at once."""

    def __init__(self, source: Callable[[], FrameSource], actions: Actions, interval_s: float) -> None:
        self._make_source = source
        self._actions = actions
        self._interval_s = interval_s
        self._listener: FrameListener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._chosen: Key | None = None
        self._source: FrameSource | None = None
        self._files: FileLook | None = None
        self._looks_at_files = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="straced-top", daemon=True)

    @property
    def folder(self) -> str:
        return self._actions.folder

    @property
    def trace_limits(self) -> str:
        return self._actions.trace_limits

    def start(self, listener: FrameListener) -> None:
        """Begin; the first frame comes as soon as it is there."""
        self._listener = listener
        self._thread.start()
        self._started.wait()

    def close(self, timeout_s: float = 10.0) -> None:
        """Let go of all that is held, and wait for that."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout_s)

    def choose(self, key: Key | None) -> None:
        """The process whose detail is wanted, from now on with each frame."""
        if key == self._chosen:
            return
        self._chosen = key
        if key is not None and self._thread.is_alive():
            self._call(self._tell_detail())

    def look_at_files(self, wanted: bool) -> None:
        """Whether the chosen process is counted by file and peer, too, from now on."""
        if wanted == self._looks_at_files:
            return
        self._looks_at_files = wanted
        if self._thread.is_alive():
            self._call(self._tell_detail())

    def move(self, steps: int) -> Future[bool]:
        """Go through time, where the source can, and show the frame of that time."""
        return self._call(self._travel(lambda source: source.move(steps)))

    def go_to(self, epoch_s: float) -> Future[bool]:
        """The same, to the time of a moment."""
        return self._call(self._travel(lambda source: source.go_to(epoch_s)))

    async def _travel(self, goes: Callable[[FrameSource], bool]) -> bool:
        if self._source is None or self._listener is None or not goes(self._source):
            return False
        self._listener.frame_ready(await self._source.frame())
        await self._tell_detail()
        return True

    def why(self, key: Key) -> Future[Why]:
        """Why a process waits."""
        return self._call(self._actions.why(key))

    def signal(self, key: Key, number: int) -> Future[None]:
        """Send a signal."""
        return self._call(self._actions.signal(key, number))

    def start_trace(self, key: Key) -> Future[TraceState]:
        """Begin a full trace."""
        return self._call(self._actions.start_trace(key))

    def stop_trace(self, key: Key) -> Future[TraceState]:
        """End it."""
        return self._call(self._actions.stop_trace(key))

    def traces(self) -> tuple[TraceState, ...]:
        """All full traces that were started here."""
        return self._actions.traces()

    def _call(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self) -> None:
        try:
            asyncio.run(self._refresh())
        except BaseException as error:
            self._started.set()
            if self._listener is not None:
                self._listener.failed(error)

    async def _refresh(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        assert self._listener is not None
        source = self._make_source()
        due = self._loop.time()
        try:
            self._source, self._files = source, FileLook(source.count_files)
            while not self._stop.is_set():
                self._listener.frame_ready(await source.frame())
                await self._tell_detail()
                await source.settle()
                due += self._interval_s
                if due < self._loop.time():  # late: skip what was missed, keep the cadence
                    due += self._interval_s * ((self._loop.time() - due) // self._interval_s + 1)
                await self._wait_until(due)
        finally:
            await self._actions.close()
            if self._files is not None:
                await self._files.close()
            await source.close()

    async def _wait_until(self, due: float) -> None:
        assert self._loop is not None
        assert self._stop is not None
        try:
            await asyncio.wait_for(self._stop.wait(), max(0.0, due - self._loop.time()))
        except TimeoutError:
            return

    async def _tell_detail(self) -> None:
        key, files = self._chosen, self._files
        if files is None or self._source is None or self._listener is None:
            return
        if key is None or not self._looks_at_files:
            files.leave()
        if key is not None:
            detail = await self._source.detail(key)
            if self._looks_at_files and key == self._chosen:
                detail = replace(detail, by_file=await files.at(key))
            self._listener.detail_ready(detail)
