"""What the kernel skipped, what was made good, and what that leaves: staged on the counters of a real engine.

Of `tracers/ebpf/samples.py`.
"""

from __future__ import annotations

import pytest

from straced.tracers.ebpf import EbpfTracer
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize(
    ("misses", "made_good", "kind", "lost"),
    [
        ({}, (0, 0), "exact", 0),
        ({"on_enter": 5}, (5, 0), "partial", 0),
        ({"on_enter": 5, "on_exit": 3}, (5, 3), "partial", 0),
        ({"on_enter": 5}, (0, 0), "partial", 0),  # in flight: the exit will make them good
        ({"on_enter": 5, "on_exit": 5}, (4, 4), "lossy", 1),  # one of which both ends may have been skipped
        ({"on_enter": 7, "on_exit": 5}, (0, 0), "lossy", 5),
        ({}, (9, 9), "exact", 0),  # exits without an enter are seccomp's, too
        ({"on_fork": 2}, (0, 0), "lossy", 2),
        ({"on_switch": 1, "on_enter": 3}, (3, 0), "lossy", 1),
    ],
)
async def test_what_is_left(
    tracer: EbpfTracer,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    misses: dict[str, int],
    made_good: tuple[int, int],
    kind: str,
    lost: int,
) -> None:
    workload = start("n", 1)
    session = await attach(tracer, workload.pid)
    engine = session._instance.engine
    before = engine.misses()
    engine.control.skipped_enters += made_good[0]
    engine.control.skipped_exits += made_good[1]
    with monkeypatch.context() as patch:
        patch.setattr(engine, "misses", lambda: {name: count + misses.get(name, 0) for name, count in before.items()})
        sample = await session.read()
    assert (sample.kind, sample.lost) == (kind, lost)
    assert [reason.code for reason in sample.reasons] == ["programs_skipped"] * (kind != "exact")
    await session.detach()
