"""The listener of the page: where the configuration says, or nowhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import msgspec

from straced.config.schema import ConfigError, Web
from straced.httpd.address import Address, parse_tcp

if TYPE_CHECKING:
    from straced.httpd.server import HttpServer
    from straced.service.api.facade import Facade
    from straced.service.service import Service
    from straced.web.feed import FrameFeed
    from straced.web.routes import WebRoutes

log = logging.getLogger("straced.service")


class AddressTaken(ConfigError):
    """Something else listens there, or nobody may."""

    exit_code = 6
    code = "address_taken"


class WebServer:
    """Does nothing, and imports little, until :meth:`listen` is told an address.

    Args:
        service: whose figures are shown.
        facade: tells how it is.
        pinned: an address from the command line, which the configuration does not change.
    """

    def __init__(self, service: Service, facade: Facade, pinned: str | None = None) -> None:
        self._service = service
        self._facade = facade
        self._pinned = pinned
        self._config = Web()
        self._server: HttpServer | None = None
        self._site: WebRoutes | None = None
        self._feed: FrameFeed | None = None

    @property
    def port(self) -> int | None:
        """The port that is listened on."""
        return None if self._server is None else self._server.port

    async def listen(self, config: Web) -> None:
        """Listen where the configuration says, and nowhere else any more; tell the URL.

        Raises:
            AddressTaken: nothing can listen there.
            ConfigError: the URL cannot be kept.
        """
        if self._pinned is not None:
            config = msgspec.structs.replace(config, listen=self._pinned)
        moved = config.listen != self._config.listen
        self._config = config
        if moved:
            await self.close()
            if config.listen:
                await self._open(parse_tcp(config.listen))
        if self._site is not None:
            self._site.hosts = config.hosts

    async def _open(self, address: Address) -> None:
        from straced.httpd.server import HttpServer
        from straced.web.access import Access
        from straced.web.feed import FrameFeed
        from straced.web.routes import WebRoutes
        from straced.web.token import TokenFile

        file = TokenFile(self._service.paths.state / "web.url")
        feed = FrameFeed(self._service, self._facade)
        site = WebRoutes(feed, Access(file.token))
        server = HttpServer(site.answer)
        try:
            await server.listen(address)
        except OSError as error:
            self._config = Web()
            raise AddressTaken(
                f"nothing can listen on {address.authority}: {error.strerror}",
                hint="name another port, or 0 for any that is free",
            ) from error
        self._server, self._site, self._feed = server, site, feed
        try:
            url = file.write(Address(host=address.host, port=server.port or 0).authority)
        except BaseException:
            await self.close()
            raise
        self._service.fanout.sinks.append(feed)
        _tell(url, str(file.path))

    async def close(self) -> None:
        """Stop listening."""
        server, feed = self._server, self._feed
        self._server = self._site = self._feed = None
        if feed is not None:
            self._service.fanout.remove(feed)
        if server is not None:
            await server.close()
        if feed is not None:
            await feed.close()


def _tell(url: str, path: str) -> None:
    """The whole URL goes to a person at a terminal; a log, which others may read, gets the place of it."""
    address = url.partition("#")[0]
    log.info("web", extra={"straced": {"page": address, "url_in": path}})
    if sys.stderr.isatty():
        print(f"straced: the page: {url}", file=sys.stderr, flush=True)
