"""Latency over time comes from the histograms that history keeps of a program and job.

Of `web/latency.py`.
"""

from __future__ import annotations

from pathlib import Path

from straced.config import schema
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.histogram import bounds, bucket
from straced.store.history import History
from straced.store.writer import HistoryWriter
from straced.web.latency import MOST_STEPS, latency_of
from tests.service.samples import ME, NOON, process, tick

FAST, SLOW = 1_000, 5_000_000


def took(job: str, program: str, fast: int, slow: int) -> ProgramDurations:
    return ProgramDurations(job, program, ME, {"read": CallDurations(SLOW, {bucket(FAST): fast, bucket(SLOW): slow})})


def test_by_minute_of_this_program_in_this_job(tmp_path: Path) -> None:
    store = HistoryWriter(tmp_path / "history.db", schema.StoreConfig())
    store.start()
    store.put(tick(NOON, process(42, labels={"job": "web"})))
    store.put(tick(NOON + 150, process(42, labels={"job": "web"})))
    store.durations(DurationBatch(NOON + 5, (took("web", "worker", 98, 2), took("web", "other", 5, 5))))
    store.durations(DurationBatch(NOON + 20, (took("web", "worker", 1, 1), took("", "worker", 7, 7))))
    store.durations(DurationBatch(NOON + 125, (took("web", "worker", 10, 0),)))
    assert store.flush(30.0)
    assert store.close(30.0)
    history = History(tmp_path / "history.db")
    try:
        found = latency_of(history, (42, 7), "read", NOON, NOON + 180)
        assert found is not None
        assert (found["program"], found["job"], found["step_s"]) == ("worker", "web", 60.0)
        first, last = found["points"]
        assert (first["time"], first["calls"], last["time"], last["calls"]) == (NOON, 102, NOON + 120, 10)
        assert first["bars"] == [(*bounds(bucket(FAST)), 99), (*bounds(bucket(SLOW)), 3)]
        lower, upper = bounds(bucket(FAST))
        assert lower <= first["p50_ns"] <= upper
        assert first["p99_ns"] > SLOW * 0.8
        assert last["p99_ns"] <= upper
        assert latency_of(history, (42, 7), "write", NOON, NOON + 180)["points"] == []  # type: ignore[index]
        assert latency_of(history, (43, 7), "read", NOON, NOON + 180) is None
        week = latency_of(history, (42, 7), "read", NOON - 86400 * 30, NOON + 180)
        assert week is not None
        assert week["step_s"] % 3600 == 0
        assert 86400 * 30 / week["step_s"] <= MOST_STEPS
        assert sum(point["calls"] for point in week["points"]) == 112
    finally:
        history.close()
