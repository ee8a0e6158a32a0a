"""Metrics as protobuf: read by the messages of the protocol, and native histograms by a real Prometheus.

Of `service/metrics/protobuf.py`.
"""

from __future__ import annotations

import asyncio
import math
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from straced.config.schema import Metrics
from straced.model import histogram
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.histogram import ERROR_PCT, bucket
from straced.service.metrics import protobuf
from straced.service.metrics.http import MetricsServer
from straced.service.metrics.openmetrics import Totals
from tests.service import test_scrapers as scrapers
from tests.service.samples import ME, NOON, calls, process, tick

FAST_NS, SLOW_NS = 70_000, 48_000_000
PROMETHEUS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
SCHEMA = """
LabelPair: name=1 string, value=2 string; Gauge: value=1 double; Counter: value=1 double
Bucket: cumulative_count=1 uint64, upper_bound=2 double; BucketSpan: offset=1 sint32, length=2 uint32
Histogram: sample_count=1 uint64, sample_sum=2 double, bucket=3 *Bucket, schema=5 sint32, zero_threshold=6 double,
 zero_count=7 uint64, positive_span=12 *BucketSpan, positive_delta=13 *sint64
Metric: label=1 *LabelPair, gauge=2 Gauge, counter=3 Counter, histogram=7 Histogram
MetricFamily: name=1 string, help=2 string, type=3 uint32, metric=4 *Metric
"""
"""Of io.prometheus.client, the fields that are written."""


def totals() -> Totals:
    made = Totals(1000)
    made.tick(tick(NOON, process(1, made=(calls("read", 100, errors=3),), labels={"job": "shop"})))
    read = CallDurations(SLOW_NS, {bucket(FAST_NS): 90, bucket(SLOW_NS): 10}, 90 * FAST_NS + 10 * SLOW_NS)
    made.durations(DurationBatch(NOON, (ProgramDurations("shop", "web", ME, {"read": read}),)))
    return made


def messages() -> Any:
    """The class of a family, made by the library of protobuf from the schema above."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client", syntax="proto3")
    kinds = {"string": 9, "double": 1, "uint64": 4, "uint32": 13, "sint32": 17, "sint64": 18}
    for text in SCHEMA.replace("\n ", " ").replace("\n", ";").split(";"):
        if not text.strip():
            continue
        name, fields = text.strip().split(":", 1)
        message = file.message_type.add(name=name)
        for each in fields.split(","):
            field, kind = each.split()
            title, number = field.split("=")
            made = message.field.add(name=title, number=int(number), label=3 if kind.startswith("*") else 1)
            kind = kind.removeprefix("*")
            if kind in kinds:
                made.type = kinds[kind]
            else:
                made.type, made.type_name = 11, f".io.prometheus.client.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("io.prometheus.client.MetricFamily"))


def families(page: bytes) -> dict[str, Any]:
    from google.protobuf.internal.decoder import _DecodeVarint  # type: ignore[attr-defined]

    family, found, at = messages(), {}, 0
    while at < len(page):
        length, at = _DecodeVarint(page, at)
        one = family.FromString(page[at : at + length])
        assert one.ByteSize() == length, "nothing that the schema does not know"
        found[one.name] = one
        at += length
    return found


def counts_of(native: Any) -> dict[int, int]:
    """The calls of each native bucket, as the protocol has them."""
    places: list[int] = []
    at = 0
    for span in native.positive_span:
        at += span.offset
        places += range(at, at + span.length)
        at += span.length
    counts, seen = [], 0
    for delta in native.positive_delta:
        seen += delta
        counts.append(seen)
    return dict(zip(places, counts, strict=True))


def test_the_page_is_what_the_text_is() -> None:
    found = families(totals().protobuf())
    labels = {pair.name: pair.value for pair in found["straced_syscalls_total"].metric[0].label}
    assert labels == {"job": "shop", "program": "worker", "syscall": "read"}
    assert found["straced_syscalls_total"].metric[0].counter.value == 100
    assert (found["straced_processes"].type, found["straced_processes"].metric[0].gauge.value) == (1, 1)
    assert found["straced_build_info"].metric[0].gauge.value == 1
    (made,) = (metric.histogram for metric in found["straced_syscall_duration_seconds"].metric)
    assert (made.sample_count, made.schema, made.zero_count) == (100, protobuf.SCHEMA, 0)
    assert math.isclose(made.sample_sum, (90 * FAST_NS + 10 * SLOW_NS) / 1e9)
    assert (made.bucket[-1].upper_bound, made.bucket[-1].cumulative_count) == (math.inf, 100)
    growth = 2**2**-protobuf.SCHEMA
    for (at, count), (ns, expected) in zip(counts_of(made).items(), ((FAST_NS, 90), (SLOW_NS, 10)), strict=True):
        assert count == expected
        upper = growth**at
        assert upper / growth * (1 - ERROR_PCT / 100) <= ns / 1e9 <= upper * (1 + ERROR_PCT / 100)


@given(some.dictionaries(some.integers(0, histogram.SIZE - 1), some.integers(1, 10**12), min_size=1))
def test_every_call_stands_in_the_bucket_of_its_middle(buckets: dict[int, int]) -> None:
    page = Totals(1000)
    took = ProgramDurations("", "web", ME, {"read": CallDurations(0, dict(buckets))})
    page.durations(DurationBatch(NOON, (took,)))
    (made,) = (metric.histogram for metric in families(page.protobuf())["straced_syscall_duration_seconds"].metric)
    counts = counts_of(made)
    assert sum(counts.values()) == made.sample_count == sum(buckets.values())
    expected: dict[int, int] = {}
    for place, calls_ in buckets.items():
        middle_s = sum(histogram.bounds(place)) / 2e9
        at = protobuf.index_of(middle_s)
        assert 2 ** ((at - 1) / 16) < middle_s * (1 + 1e-12)
        assert middle_s <= 2 ** (at / 16) * (1 + 1e-12)
        expected[at] = expected.get(at, 0) + calls_
    assert counts == expected


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS, True),
        ("", False),
        ("*/*", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", False),
        (PROMETHEUS.replace("delimited,", "delimited;q=0.3,"), False),
        (PROMETHEUS.replace("delimited,", "text,"), False),
        ("application/vnd.google.protobuf;q=nonsense, text/plain", False),
        ("application/vnd.google.protobuf", False),
    ],
)
def test_who_gets_it(accept: str, wanted: bool) -> None:
    assert protobuf.is_wanted(accept) is wanted


async def test_the_listener_answers_each_as_it_asks() -> None:
    made = totals()
    server = MetricsServer(made.text, made.protobuf)
    await server.listen(Metrics(listen="127.0.0.1:0"))

    def get(accept: str) -> tuple[str, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers["Content-Type"], answer.read()

    try:
        kind, body = await asyncio.to_thread(get, PROMETHEUS)
        assert (kind, body) == (protobuf.CONTENT_TYPE, made.protobuf())
        kind, body = await asyncio.to_thread(get, "*/*")
        assert kind.startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")
    finally:
        await server.close()


@pytest.mark.needs("prometheus")
@pytest.mark.limit(120)
async def test_a_real_prometheus_has_native_histograms_of_it(tmp_path: Path) -> None:
    made = totals()
    server = MetricsServer(made.text, made.protobuf)
    await server.listen(Metrics(listen="127.0.0.1:0"))
    assert server.port is not None

    def ask(port: int) -> None:
        with scrapers.store(tmp_path, "prometheus", port, "--enable-feature=native-histograms") as address:
            deadline = time.monotonic() + scrapers.ANSWER_S
            for share, ns in ((0.5, FAST_NS), (0.95, SLOW_NS)):
                query = f'histogram_quantile({share}, straced_syscall_duration_seconds{{job="shop", NONCE}})'
                (found,) = scrapers.until_data(address, "/api/v1/query", deadline, query=query)
                error = (1 + ERROR_PCT / 100) * 2**2**-protobuf.SCHEMA
                assert ns / error <= float(found["value"][1]) * 1e9 <= ns * error
            names = scrapers.until_data(address, "/api/v1/label/__name__/values", deadline)
            assert "straced_syscalls_total" in names
            assert "straced_syscall_duration_seconds" in names
            assert "straced_syscall_duration_seconds_bucket" not in names, "it asked for the native ones"

    try:
        await asyncio.to_thread(ask, server.port)
    finally:
        await server.close()
