"""Metrics: right, bounded, and for this host alone.

Of `service/metrics/exposition.py`, `service/metrics/gauges.py`, `service/metrics/latency.py`, `commands/metrics.py` and
`service/sinks/fanout.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from straced.config import schema
from straced.config.schema import ConfigError, Metrics, Nanoseconds, Otlp
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.histogram import bucket
from straced.model.tick import ServiceEvent
from straced.service.metrics.http import MetricsServer
from straced.service.metrics.openmetrics import Totals
from straced.service.metrics.otlp import OtlpPusher
from straced.service.sinks.ndjson import NdjsonSink
from tests.service.samples import ME, NOON, calls, process, tick
from tests.support.poll import until

needs_parser = pytest.mark.needs("prometheus_client")


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample, by the parser of the reference client."""
    from prometheus_client.openmetrics import parser

    families = parser.text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


@needs_parser
def test_counters_add_up_over_processes_and_never_name_a_pid() -> None:
    totals = Totals(1000)
    labels = {"job": "b"}
    for second in range(3):
        totals.tick(
            tick(
                NOON + second,
                process(1, made=(calls("read", 10, errors=2, wall_ns=10**9, waiting_ns=5 * 10**8),), labels=labels),
                process(2, made=(calls("read", 5),), ended=(calls("read", 7),), labels=labels, cpu_ns=10**9),
            )
        )
    found = read(totals.text())
    key = frozenset({("job", "b"), ("program", "worker"), ("syscall", "read")})
    assert found["straced_syscalls_total", key] == 66
    assert found["straced_syscall_failures_total", key] == 6
    assert found["straced_syscall_seconds_total", key] == pytest.approx(3.0, abs=1e-4)
    assert found["straced_syscall_errors_total", key | {("errno", "EAGAIN")}] == 6
    group = frozenset({("job", "b"), ("program", "worker")})
    assert found["straced_processes", group] == 2
    assert found["straced_cpu_seconds_total", group] == 3.0
    assert "pid" not in totals.text()


@needs_parser
def test_labels_are_bounded_and_nothing_is_lost() -> None:
    totals = Totals(50)
    for number in range(500):
        totals.tick(tick(NOON, process(1, made=(calls(f"call{number}", 3),), comm=f"p{number}")))
    found = read(totals.text())
    series = [value for (name, _labels), value in found.items() if name == "straced_syscalls_total"]
    assert len(series) <= 52
    assert sum(series) == 1500


@needs_parser
def test_latency_is_a_classic_histogram_by_job_and_class() -> None:
    totals = Totals(5000)
    made = {
        "read": CallDurations(3_000_000, {bucket(1000): 7, bucket(3_000_000): 2}, 6_007_000),
        "fsync": CallDurations(2 * 10**9, {bucket(2 * 10**9): 3}, 6 * 10**9),
        "epoll_wait": CallDurations(9 * 10**9, {bucket(9 * 10**9): 4}, 36 * 10**9),
    }
    for _ in range(2):
        totals.durations(DurationBatch(NOON, (ProgramDurations("b", "db", ME, made),)))
    found = read(totals.text())
    labels = frozenset({("job", "b"), ("class", "file")})
    name = "straced_syscall_duration_seconds"
    steps = {float(dict(key)["le"]): value for (each, key), value in found.items() if labels < key}
    assert steps == {**steps, 2**10 / 1e9: 14, 2**21 / 1e9: 14, 2**22 / 1e9: 18, 2**30 / 1e9: 18, 2**31 / 1e9: 24}
    assert steps[float("inf")] == found[f"{name}_count", labels] == 24
    assert [steps[bound] for bound in sorted(steps)] == sorted(steps.values())
    assert found[f"{name}_sum", labels] == pytest.approx(12.012014)
    assert found["straced_slow_calls_total", frozenset({("job", "b"), ("program", "db")})] == 6, "but no epoll_wait"


@needs_parser
def test_histograms_are_bounded_too() -> None:
    totals = Totals(100)
    for number in range(500):
        made = {"read": CallDurations(1000, {bucket(1000): 3}, 3000)}
        totals.durations(DurationBatch(NOON, (ProgramDurations(f"j{number}", f"p{number}", ME, made),)))
    found = read(totals.text())
    counts = [value for (name, _labels), value in found.items() if name == "straced_syscall_duration_seconds_count"]
    assert len(counts) <= 4
    assert sum(counts) == 1500


@needs_parser
def test_hostile_names_stay_labels() -> None:
    totals = Totals(50)
    totals.tick(tick(NOON, process(1, comm='x"} 1\nevil 7 # \\', made=(calls(),))))
    names = {name for name, _labels in read(totals.text())}
    assert "evil" not in names


def ask(port: int, path: str = "/metrics", host: str | None = None, method: str = "GET", **headers: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={**({"Host": host} if host else {}), **headers})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


async def test_only_for_this_host() -> None:
    """A foreign Host or any Origin gets 403 on every route."""
    server = MetricsServer(lambda: "# EOF\n")
    await server.listen(Metrics(listen="127.0.0.1:0", hosts=("box.example",)))
    port = server.port
    assert port is not None

    def checked() -> None:
        assert ask(port) == (200, b"# EOF\n")
        assert ask(port, host=f"localhost:{port}") == (200, b"# EOF\n")
        assert ask(port, host="box.example") == (200, b"# EOF\n")
        for path in ("/metrics", "/", "/other"):
            assert ask(port, path, host="evil.example")[0] == 403
            assert ask(port, path, host=f"127.0.0.1.evil.example:{port}")[0] == 403
            assert ask(port, path, Origin="http://evil.example")[0] == 403
        assert ask(port, "/")[0] == 404
        assert ask(port, method="POST")[0] == 405
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"403" in raw.recv(4096)
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        with raw, contextlib.suppress(ConnectionError):  # what was not read when it was closed resets the connection
            raw.sendall(b"X" * 100_000)
            assert raw.recv(4096) == b""

        local = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{port:04X}" in local
        assert f"00000000:{port:04X}" not in local

    await asyncio.to_thread(checked)
    await server.listen(Metrics())
    with pytest.raises(ConnectionRefusedError):
        ask(port)


async def test_a_scrape_while_the_service_stops_is_told_so() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        go_on.wait(30)
        return "# EOF\n"

    server = MetricsServer(slow)
    try:
        await server.listen(Metrics(listen="127.0.0.1:0"))
        assert server.port is not None
        scrape = asyncio.create_task(asyncio.to_thread(ask, server.port))
        assert await asyncio.to_thread(asked.wait, 30)
        await server.close()
        assert await scrape == (503, b"the service is stopping\n")
    finally:
        go_on.set()
        await server.close()


async def test_a_taken_port_is_said() -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    server = MetricsServer(lambda: "")
    with pytest.raises(ConfigError, match=r"metrics\.listen"):
        await server.listen(Metrics(listen=f"127.0.0.1:{taken.getsockname()[1]}"))
    taken.close()


async def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    server = MetricsServer(lambda: "# EOF\n")
    await server.listen(Metrics(listen=f"unix:{path}"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"# EOF" in await reader.read()
    writer.close()
    await server.close()
    assert not path.exists()


@pytest.mark.needs("opentelemetry")
async def test_otlp_arrives_as_the_protocol_has_it() -> None:
    """Received by a real HTTP server, and decoded by the messages of the protocol themselves."""
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    bodies: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            assert self.headers["Content-Type"] == "application/json"
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    totals = Totals(100)
    totals.tick(tick(NOON, process(1, made=(calls("read", 12),), labels={"job": "b"})))
    took_ns = CallDurations(10**11, {bucket(70_000): 10, bucket(10**11): 2}, 12 * 10**9)
    totals.durations(DurationBatch(NOON, (ProgramDurations("b", "worker", ME, {"read": took_ns}),)))
    pusher = OtlpPusher(totals)
    address = f"http://127.0.0.1:{receiver.server_port}/v1/metrics"
    pusher.configure(Otlp(endpoint=address, interval=Nanoseconds(10**8)))
    try:
        async with asyncio.timeout(10):
            while not bodies:
                await asyncio.sleep(0.02)
    finally:
        await pusher.close()
        await asyncio.to_thread(receiver.shutdown)
        receiver.server_close()
        thread.join()
    scope = bodies[0]["resourceMetrics"][0]["scopeMetrics"][0]
    metric = next(each for each in scope["metrics"] if each["name"] == "straced_syscalls")
    assert metric["sum"]["isMonotonic"] is True
    assert metric["sum"]["aggregationTemporality"] == 2
    (point,) = metric["sum"]["dataPoints"]
    assert point["asDouble"] == 12.0
    assert isinstance(point["timeUnixNano"], str)
    labels = {each["key"]: each["value"]["stringValue"] for each in point["attributes"]}
    assert labels == {"job": "b", "program": "worker", "syscall": "read"}
    request = json_format.ParseDict(bodies[0], ExportMetricsServiceRequest())  # refuses what it does not know
    decoded = {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    assert decoded["straced_syscalls"].sum.data_points[0].as_double == 12.0
    assert decoded["straced_syscalls"].sum.is_monotonic
    assert decoded["straced_processes"].gauge.data_points[0].as_double == 1.0
    (took,) = decoded["straced_syscall_duration_seconds"].histogram.data_points
    assert (took.count, sum(took.bucket_counts)) == (12, 12)
    assert len(took.bucket_counts) == len(took.explicit_bounds) + 1
    assert {pair.key: pair.value.string_value for pair in took.attributes} == {"job": "b", "class": "file"}
    (place,) = (at for at, count in enumerate(took.bucket_counts) if count == 10)
    assert took.explicit_bounds[place - 1] <= 70e-6 <= took.explicit_bounds[place]
    assert took.bucket_counts[-1] == 2, "beyond the last bound"
    assert took.sum == 12.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@needs_parser
def test_the_textfile_is_replaced_as_a_whole(folder: Path) -> None:
    totals = Totals(10)
    totals.tick(tick(NOON, process(made=(calls(),))))
    path = folder / "straced.prom"
    path.write_text("old")
    totals.write_textfile(str(path))
    assert read(path.read_text())
    assert [each.name for each in folder.iterdir()] == ["straced.prom"]
    totals.write_textfile(str(folder / "none" / "x.prom"))  # a folder that is not there ends nothing


def test_the_stream_is_rotated(folder: Path) -> None:
    path = folder / "stream.ndjson"
    stream = NdjsonSink(schema.StreamConfig(path=str(path), max_bytes=schema.Bytes(5000), files=2))
    for second in range(60):
        stream.tick(tick(NOON + second, process(made=(calls(),))))
        until(lambda: not stream._lines, 10)
    stream.event(ServiceEvent(epoch_s=NOON, kind="started", text="x"))
    stream.close()
    names = sorted(each.name for each in folder.iterdir())
    assert names == ["stream.ndjson", "stream.ndjson.1", "stream.ndjson.2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for name in names for line in (folder / name).read_text().splitlines()]
    assert {line["type"] for line in lines} == {"tick", "event"}
    assert all(each.stat().st_size <= 6000 for each in folder.iterdir())


def test_a_stream_without_room_is_counted(tmp_path: Path) -> None:
    stream = NdjsonSink(schema.StreamConfig(path="/dev/full/x"))
    stream.event(ServiceEvent(epoch_s=NOON, kind="started", text="x"))
    until(lambda: stream.dropped, 10)
    stream.close()
