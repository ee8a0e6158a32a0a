"""The service put together: what collects, its socket and sessions, metrics, the page. None of them makes another."""

from __future__ import annotations

import asyncio

from straced.config.paths import ServicePaths
from straced.config.schema import Config
from straced.service.api.facade import Facade
from straced.service.api.methods import Methods
from straced.service.api.publisher import Publisher
from straced.service.api.server import Server
from straced.service.api.sessions import Sessions
from straced.service.hourly_exporter import HourlyExporter
from straced.service.metrics.http import MetricsServer
from straced.service.metrics.openmetrics import Totals
from straced.service.metrics.otlp import OtlpPusher
from straced.service.service import Service
from straced.web.server import WebServer

STOP_S = 2.5


class Daemon:
    """One service with all that serves it. Make, :meth:`start`, :meth:`listen`, run its service, :meth:`stop`.

    Args:
        config: what to watch, and how.
        paths: files and directories of the service.
        http: where the page is, whatever is configured.
    """

    def __init__(self, config: Config, paths: ServicePaths, http: str | None = None) -> None:
        service = self.service = Service(config, paths)
        self.totals = Totals(config.metrics.max_series)
        self.sessions = Sessions(service.attaching, lambda: service.config.ipc, lambda: service.flight, paths.dumps)
        self.server = Server(paths.socket, system=paths.system, limits=config.ipc)
        publisher = Publisher(self.server, all_see_all=not paths.system)
        self._export = HourlyExporter(config.export, service.history_path, service.say)
        facade = Facade(service, self.server, self.sessions, publisher, self.totals, self._export)
        self.methods = Methods(facade)
        self._metrics = MetricsServer(facade.metrics_text, facade.metrics_protobuf)
        self._otlp = OtlpPusher(self.totals)
        self._web = WebServer(service, facade, http)
        service.fanout.sinks.insert(0, self.totals)
        service.fanout.sinks.append(publisher)
        service.after_tick += [self._write_textfile, self._export.look]
        service.after_reload.append(self._take)

    def start(self) -> None:
        """Open history and the socket. The caller holds the lock.

        Raises:
            SocketTaken, StoreError: there would be nobody to talk to, or no place for state.
        """
        self.service.start()
        self.server.start(self.methods.handle)
        self.service.announce()

    async def listen(self, config: Config) -> None:
        """Serve metrics and the page where the configuration says, and nowhere else any more.

        Raises:
            ConfigError: nothing can listen there.
        """
        await self._metrics.listen(config.metrics)
        await self._web.listen(config.web)
        self._otlp.configure(config.otlp)

    async def stop(self) -> None:
        """End everything, all at once, within ``STOP_S``."""
        await asyncio.gather(
            self._metrics.close(),
            self._otlp.close(),
            self._web.close(),
            self._export.close(),
            self._stop_service(),
            return_exceptions=True,
        )

    async def _stop_service(self) -> None:
        self.methods.close()
        await self.service.stop(STOP_S, self.sessions.close())
        self.server.close()
        await self.service.close(STOP_S)

    def _write_textfile(self) -> None:
        self.totals.write_textfile(self.service.config.metrics.textfile, self.service)

    def _take(self, config: Config) -> None:
        self.server.limits = config.ipc
        self.totals.max_series = config.metrics.max_series
        self._export.configure(config.export)
