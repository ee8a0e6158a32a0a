"""A full trace that the service takes, written here by its client: no descriptor ever goes to the service."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from straced.client.connection import Channel
from straced.concurrency.shielding import carry
from straced.errors import StracedError
from straced.ipc import messages
from straced.linux.output_file import OutputFile
from straced.model.types import Reason, Target
from straced.tracers.base import Ending

if TYPE_CHECKING:
    from straced.records.values import RecordingEnd


class TraceSink(Protocol):
    """What writes a trace into its file."""

    @property
    def end(self) -> RecordingEnd | None:
        """What became of all calls, of records that are complete."""
        ...

    @property
    def dropped(self) -> int:
        """What is missing besides what the service tells of."""
        ...

    async def take(self, data: bytes) -> None:
        """Write the next piece; OSError where there is no room for it."""
        ...

    async def finish(self, *, stopped: bool) -> str | None:
        """All has come: write the rest; returns why the file was cut, if it was."""
        ...

    async def give_up(self) -> None:
        """Nothing more is to be written; the descriptor may be closed afterwards."""
        ...


class RemoteTrace:
    """Tell how a full trace by the service goes on its way into a file; made by :meth:`Client.trace`.

    It is as :class:`straced.Recording`, and ends with the connection. Leaving it as an ``async with`` block stops it.

    Args:
        client: the connection.
        attached: what the service has begun.
        file: of the caller's, committed; closed here.
        sink: makes what writes into it; told what to call when that can write no more.
    """

    def __init__(
        self,
        client: Channel,
        attached: messages.Attached,
        file: OutputFile,
        sink: Callable[[Callable[[str], None]], TraceSink],
    ) -> None:
        self.target: Target = attached.target
        """The process, as it was at the attach."""
        self.tracer: str = attached.tracer
        """The tracer that writes it: ``ebpf`` or ``strace``."""
        self.tracer_reason: str = attached.tracer_reason
        """Why that one."""
        self.path: Path = file.path
        """The file."""
        self.dropped_lines = 0
        """Calls that are missing since they came faster than they could be written or read; known at the end."""
        self.reasons: list[Reason] = []
        """Why the trace is not simply whole: what was left out since it is not the caller's; known at the end."""
        self._client = client
        self._params = messages.SessionParams(session=attached.session)
        self._file = file
        self._sink = sink(self._end)
        self._cut: str | None = None
        self._stopped = False
        self._over = client.work(self._run())
        self._over.add_done_callback(lambda _: file.close())  # also when it is cancelled before its first step

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as the service has told."""
        return not self._over.done()

    async def wait(self) -> Ending:
        """Wait until the trace is over, and all of it stands in the file.

        Returns:
            Why it is over.

        Raises:
            ServiceUnreachable: the service went away, or the connection was closed; what had come is in the file.
            StracedError: what the service refused with, as its own type.
        """
        return await self._client.outcome(self._over)

    async def stop(self) -> Ending:
        """Let go of the target, which runs on in the state that it was in; the file stays. Idempotent.

        Once begun it is done, whether or not the caller is cancelled.

        Returns:
            Why the trace is over.

        Raises:
            ServiceUnreachable: the service went away.
            StracedError: what the service refused with, as its own type.
        """
        return await carry(self._stop())

    async def _stop(self) -> Ending:
        if not self._over.done():
            self._stopped = True
            await self._client.request("session.detach", self._params, messages.Ended, timeout_s=None)
        return await self.wait()

    async def _run(self) -> Ending:
        sink = self._sink
        try:
            while data := await self._read():
                if self._cut is None:
                    await self._take(data)
            cut = await sink.finish(stopped=self._stopped) if self._cut is None else None
        except StracedError:  # the service has gone: what had come is to be in the file
            await sink.finish(stopped=True)
            raise
        finally:
            await carry(sink.give_up())
        ended = await self._client.request("session.wait", self._params, messages.Ended, timeout_s=None)
        self.dropped_lines = ended.dropped_lines + sink.dropped
        self.reasons = _reasons_of(sink.end)
        return Ending(reason=self._cut or cut or ended.reason, exit_status=ended.exit_status)

    async def _read(self) -> bytes:
        piece = await self._client.request("trace.read", self._params, messages.TracePiece, timeout_s=None)
        return piece.data

    async def _take(self, data: bytes) -> None:
        """Write a piece; when there is no room for it, the trace ends and what stands in the file stays."""
        try:
            await self._sink.take(data)
        except OSError as error:
            self._end("file_limit" if error.errno == errno.EFBIG else "disk_full")

    def _end(self, why: str) -> None:
        if self._cut is None and not self._over.done():
            self._cut = why
            detach = self._client.request("session.detach", self._params, messages.Ended, timeout_s=None)
            self._client.work(detach)  # it is answered when the rest has been read


async def abandon(trace: RemoteTrace) -> None:
    """Let go of the target, and leave no file: whoever asked for the trace was cancelled."""
    trace._cut = "detached"
    await trace._sink.give_up()
    trace._file.discard()
    await trace.stop()


def _reasons_of(end: RecordingEnd | None) -> list[Reason]:
    """Why a trace by records is not simply whole."""
    found = []
    if end is not None and not end.exact:
        found.append(Reason("uncounted", "calls may be missing of which nothing is known"))
    if end is not None and end.left_out:
        found.append(Reason("changed_user", end.left_out))
    return found
