"""Metrics pushed by OTLP over HTTP, as its JSON encoding has it: no dependency, and no thread of somebody else's.

Source: opentelemetry-proto, ``ExportMetricsServiceRequest``; 64-bit numbers are strings in JSON (ProtoJSON).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import Any

import msgspec

from straced._version import __version__
from straced.config.schema import Otlp
from straced.service.metrics.exposition import Labels, Line
from straced.service.metrics.openmetrics import Totals

log = logging.getLogger("straced.service")
LIMIT_S = 10.0
CUMULATIVE = 2
"""AGGREGATION_TEMPORALITY_CUMULATIVE."""


class OtlpPusher:
    """Pushes each interval; without an endpoint it does nothing.

    Args:
        totals: what is pushed.
    """

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._config = Otlp()
        self._task: asyncio.Task[None] | None = None
        self._started_ns = time.time_ns()
        self.failed = 0

    def configure(self, config: Otlp) -> None:
        """Push elsewhere from now on."""
        self._config = config
        if config.endpoint and self._task is None:
            self._task = asyncio.create_task(self._push_on())
        elif not config.endpoint and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _push_on(self) -> None:
        reported = False
        while True:
            await asyncio.sleep(self._config.interval / 1e9)
            body = msgspec.json.encode(self.body())
            try:
                await asyncio.to_thread(self._post, body)
                reported = False
            except (OSError, ValueError) as error:
                self.failed += 1
                if not reported:
                    log.warning("otlp_failed", extra={"straced": {"to": self._config.endpoint, "why": str(error)}})
                reported = True

    def _post(self, body: bytes) -> None:
        import urllib.request  # 2 MB, for the few who push

        request = urllib.request.Request(
            self._config.endpoint, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=LIMIT_S):
            pass

    def body(self) -> dict[str, Any]:
        """The request."""
        now = str(time.time_ns())
        metrics = []
        for name, kind, words, lines in self._totals.families():
            if kind == "histogram":
                metrics.append(self._histogram(name, words, lines, now))
            if kind not in ("counter", "gauge"):
                continue
            points = [{**self._point(labels, now), "asDouble": float(value)} for _suffix, labels, value in lines]
            data: dict[str, Any] = {"dataPoints": points}
            if kind == "counter":
                data.update(aggregationTemporality=CUMULATIVE, isMonotonic=True)
            metrics.append({"name": name, "description": words, "sum" if kind == "counter" else "gauge": data})
        resource = [
            {"key": "service.name", "value": {"stringValue": "straced"}},
            {"key": "service.version", "value": {"stringValue": __version__}},
            {"key": "host.name", "value": {"stringValue": os.uname().nodename}},
        ]
        scope = {"scope": {"name": "straced", "version": __version__}, "metrics": metrics}
        return {"resourceMetrics": [{"resource": {"attributes": resource}, "scopeMetrics": [scope]}]}

    def _histogram(self, name: str, words: str, lines: list[Line], now: str) -> dict[str, Any]:
        """A histogram: its bounds, and how many calls lie between them, where the text has how many lie below."""
        found: dict[Labels, dict[str, Any]] = {}
        for suffix, labels, value in lines:
            whose = tuple(pair for pair in labels if pair[0] != "le")
            point = found.setdefault(whose, {**self._point(whose, now), "explicitBounds": [], "bucketCounts": []})
            if suffix == "_bucket":
                point["bucketCounts"].append(int(value))
                if labels[-1][1] != "+Inf":
                    point["explicitBounds"].append(float(labels[-1][1]))
            elif suffix == "_count":
                point["count"] = str(int(value))
            else:
                point["sum"] = float(value)
        for point in found.values():
            below = point["bucketCounts"]
            point["bucketCounts"] = [str(upto - before) for before, upto in zip([0, *below], below, strict=False)]
        data = {"dataPoints": list(found.values()), "aggregationTemporality": CUMULATIVE}
        return {"name": name, "description": words, "unit": "s", "histogram": data}

    def _point(self, labels: Labels, now: str) -> dict[str, Any]:
        return {
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in labels],
            "startTimeUnixNano": str(self._started_ns),
            "timeUnixNano": now,
        }

    async def close(self) -> None:
        """Stop pushing."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
