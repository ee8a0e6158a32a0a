"""Serves the metrics over HTTP: one page, to this host alone, and only under names that are this host's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from straced.config.schema import ConfigError, Metrics
from straced.httpd import origin_check
from straced.httpd.address import parse
from straced.httpd.message import HttpRequest, Response, text
from straced.httpd.server import HttpServer
from straced.service.metrics import protobuf
from straced.service.metrics.exposition import CONTENT_TYPE

log = logging.getLogger("straced.service")


class MetricsServer:
    """The listener; does nothing until :meth:`listen` is told an address.

    Args:
        text: makes the page.
        as_protobuf: makes the page of those who ask for protobuf; all get text without it.
    """

    def __init__(self, text: Callable[[], str], as_protobuf: Callable[[], bytes] | None = None) -> None:
        self._text = text
        self._as_protobuf = as_protobuf
        self._server = HttpServer(self._answer)
        self._config = Metrics()

    @property
    def port(self) -> int | None:
        """The port that is listened on, when it is one."""
        return self._server.port

    async def listen(self, config: Metrics) -> None:
        """Listen where the configuration says, and nowhere else any more.

        Raises:
            ConfigError: nothing can listen there.
        """
        moved = config.listen != self._config.listen
        self._config = config
        if not moved:
            return
        if not config.listen:
            await self._server.close()
            return
        try:
            await self._server.listen(parse(config.listen))
        except OSError as error:
            self._config = Metrics()
            reason, public = f"metrics.listen: {config.listen}: {error.strerror}", f"metrics.listen: {error.strerror}"
            raise ConfigError(reason, hint="is it taken?", public=public) from error
        log.info("metrics", extra={"straced": {"listen": config.listen}})

    async def _answer(self, request: HttpRequest) -> Response:
        if not self._server.is_private:
            refused = origin_check.refusal(request, self._config.hosts, pages=False)
            if refused is not None:
                return refused
        elif request.method not in ("GET", "HEAD"):
            return text(405, "only GET is supported")
        if request.path != "/metrics":
            return text(404, "see /metrics")
        if self._as_protobuf is not None and protobuf.is_wanted(request.headers.get("accept", "")):
            return Response(body=await asyncio.to_thread(self._as_protobuf), kind=protobuf.CONTENT_TYPE)
        page = await asyncio.to_thread(self._text)
        return Response(body=page.encode(), kind=CONTENT_TYPE)

    async def close(self) -> None:
        """Stop listening."""
        await self._server.close()
