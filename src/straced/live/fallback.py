"""Rows from a service that watches something, else from this machine, with a word about that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from straced.errors import ServiceUnreachable
from straced.live.local import LocalSource
from straced.live.protocols import FrameSource
from straced.live.service import ServiceSource
from straced.model.frame import Frame, Key, ProcessDetail

if TYPE_CHECKING:
    from straced.profiling.api import AsyncSession

NOTICE = "The service here watches nothing yet (straced watch add TARGET); shown is this machine."


class ServiceOrLocal:
    """A service that answers, unless it watches nothing that one may see: a blank screen helps nobody.

    Args:
        path: of the service's socket; without it the user's own service is tried, then the system's.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._service: ServiceSource | None = ServiceSource(path)
        self._source: FrameSource = self._service
        self._notice = ""

    @property
    def name(self) -> str:
        return self._source.name

    async def frame(self) -> Frame:
        """The frame of who was decided on with the first one.

        Raises:
            ServiceUnreachable: the service watches something, and had no figures from the start.
        """
        if self._service is None:
            found = await self._source.frame()
            return replace(found, notice=self._notice) if self._notice else found
        try:
            found = await self._service.frame()
        except ServiceUnreachable:
            if not self._service.idle:
                raise
        if self._service.idle:
            await self._service.close()
            self._source, self._notice = LocalSource(), NOTICE
        self._service = None
        return found if not self._notice else await self.frame()

    def move(self, steps: int) -> bool:
        return self._source.move(steps)

    def go_to(self, epoch_s: float) -> bool:
        return self._source.go_to(epoch_s)

    async def settle(self) -> None:
        await self._source.settle()

    async def detail(self, key: Key) -> ProcessDetail:
        """As the source that was decided on has it."""
        return await self._source.detail(key)

    async def count_files(self, pid: int) -> AsyncSession:
        """As the source that was decided on does it."""
        return await self._source.count_files(pid)

    async def close(self) -> None:
        await self._source.close()
