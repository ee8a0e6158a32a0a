"""Metrics as Prometheus' protobuf, for a scraper that asks for it: the one format that has native histograms.

Written by hand: two dozen fields of client_model's ``metrics.proto`` need no library. Bounds of a native histogram are
powers of 2**(1/16) seconds, ours four equal parts of each power of two of nanoseconds: each of ours stands where its
middle is, so that a quantile is off by the error of our histograms and 4.4 % at most.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping

from straced.model import histogram
from straced.model.durations import CallDurations
from straced.service.metrics.exposition import Family, Labels, Line

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
SCHEMA = 4
ZERO_THRESHOLD = 2.0**-128
"""Nothing takes no time; this is what client libraries write."""
COUNTER, GAUGE, HISTOGRAM = 0, 1, 4
Native = Mapping[Labels, CallDurations]
"""The histograms of a family, by their labels."""


def page(families: Iterable[Family], native: Native) -> bytes:
    """All families, each with its length before it.

    Args:
        families: as for the text.
        native: what the histograms among them are made of.
    """
    made = (_family(*family, native) for family in families)
    return b"".join(_varint(len(each)) + each for each in made if each)


def _family(name: str, kind: str, words: str, lines: list[Line], native: Native) -> bytes:
    if kind == "histogram":
        metrics = [_metric(labels, 7, _histogram(labels, lines, made)) for labels, made in native.items()]
        return _head(name, words, HISTOGRAM, metrics)
    suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
    field, number = (3, COUNTER) if kind == "counter" else (2, GAUGE)
    metrics = [_metric(labels, field, _double(1, value)) for _suffix, labels, value in lines]
    return _head(name + suffix, words, number, metrics)


def _head(name: str, words: str, kind: int, metrics: list[bytes]) -> bytes:
    if not metrics:
        return b""
    fields = [_text(1, name), _text(2, words), _number(3, kind), *(_bytes(4, each) for each in metrics)]
    return b"".join(fields)


def _metric(labels: Labels, field: int, value: bytes) -> bytes:
    pairs = (_bytes(1, _text(1, key) + _text(2, text)) for key, text in labels)
    return b"".join(pairs) + _bytes(field, value)


def _histogram(labels: Labels, lines: list[Line], made: CallDurations) -> bytes:
    """The native histogram, and the classic one beside it for those who keep both."""
    mine = [line for line in lines if line[1][: len(labels)] == labels and line[0] == "_bucket"]
    classic = [
        _bytes(3, _number(1, int(value)) + _double(2, math.inf if bounds[-1][1] == "+Inf" else float(bounds[-1][1])))
        for _suffix, bounds, value in mine
    ]
    whole = _number(1, made.calls) + _double(2, made.total_ns / 1e9) + b"".join(classic)
    whole += _number(5, _zigzag(SCHEMA)) + _double(6, ZERO_THRESHOLD) + _number(7, 0)
    return whole + _sparse(made)


def index_of(seconds: float) -> int:
    """The native bucket of a duration: (2**((i-1)/16), 2**(i/16)] seconds."""
    return math.ceil(math.log2(seconds) * (1 << SCHEMA))


def _sparse(made: CallDurations) -> bytes:
    """Spans of neighbouring buckets, and the counts in them, each as its difference from the one before."""
    counts: dict[int, int] = {}
    for bucket, calls in made.buckets.items():
        lower, upper = histogram.bounds(bucket)
        at = index_of((lower + upper) / 2e9)
        counts[at] = counts.get(at, 0) + calls
    spans = b"".join(
        _bytes(12, _number(1, _zigzag(gap)) + _number(2, length)) for gap, length in _spans(sorted(counts))
    )
    before, deltas = 0, b""
    for at in sorted(counts):
        deltas += _varint(_zigzag(counts[at] - before))
        before = counts[at]
    return spans + _bytes(13, deltas)


def _spans(places: list[int]) -> Iterator[tuple[int, int]]:
    """Each run of neighbours: how far it is from the end of the one before (the first: from 0), and its length."""
    end, start, length = 0, 0, 0
    for at in places:
        if length and at == start + length:
            length += 1
            continue
        if length:
            yield start - end, length
            end = start + length
        start, length = at, 1
    if length:
        yield start - end, length


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _number(field: int, value: int) -> bytes:
    """Zero is what a field that is not there has; the same for the two below."""
    return b"" if not value else _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return b"" if not value else _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return b"" if not value else _bytes(field, value.encode("utf-8", "replace"))


def is_wanted(accept: str) -> bool:
    """Whether an ``Accept`` header asks for this rather than for text (RFC 9110, 12.5.1)."""
    ours, text = 0.0, 0.0
    for each in accept.split(","):
        kind, *parameters = (part.strip() for part in each.split(";"))
        words = dict(part.split("=", 1) for part in parameters if "=" in part)
        try:
            weight = float(words.get("q", "1"))
        except ValueError:
            weight = 0.0
        if kind.lower() == "application/vnd.google.protobuf":
            fits = words.get("proto", "").strip('"') == "io.prometheus.client.MetricFamily"
            fits = fits and words.get("encoding", "delimited").strip('"') == "delimited"
            ours = max(ours, weight) if fits else ours
        elif kind.lower() in ("application/openmetrics-text", "text/plain", "text/*", "*/*"):
            text = max(text, weight)
    return ours > 0 and ours >= text
