"""The full traces that alerts start: by records, which hold nobody up, or by strace, as the configuration has it.

Of `service/alerts/reactions.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from straced.config.schema import Bytes, OnAlert, TraceAction
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.profiling.profiler import Profiler
from straced.records.reader import RecordFile
from straced.service.alerts.reactions import Reactions
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running
from tests.support.poll import auntil

LOOP = READY + "while True: os.access('/seen', 0); time.sleep(0.001)"
LIMIT = 20_000
Said = list[tuple[str, dict[str, Any]]]


async def traced(
    folder: Path, pid: int, wanted: TraceAction, *, tracers: set[int] | None = None, budget: int = 10**9
) -> Said:
    """Let an alert open; returns what is said once its trace is over."""
    said: Said = []
    alert = AlertRow(
        id="0123456789abcdef", kind="stuck", subject="x", opened_s=1.0, updated_s=1.0, text="busy", pid=pid,
        comm="x", start_ticks=procfs.stat(pid).start_ticks,
    )  # fmt: skip

    def over() -> bool:
        if tracers is not None:
            tracers.add(procfs.tracer_pid(pid) or 0)
        return bool(said)

    async with Profiler("ebpf") as profiler:
        config = OnAlert(trace=wanted, max_bytes=Bytes(budget))
        reactions = Reactions(config, folder / "traces", profiler, lambda kind, _, **data: said.append((kind, data)))
        reactions.opened(alert)
        await auntil(over, 120, "the trace is over")
        await reactions.close()
    return said


@needs_ebpf
async def test_lines_of_records_up_to_the_limit(tmp_path: Path) -> None:
    """As strace writes them, of a process that nobody has stopped for it."""
    tracers: set[int] = set()
    with running(LOOP) as target:
        wanted = TraceAction(seconds=100, bytes=Bytes(LIMIT))
        ((kind, data),) = await traced(tmp_path, target.pid, wanted, tracers=tracers)
    (path,) = (tmp_path / "traces").iterdir()
    assert (kind, data["tracer"], data["why"]) == ("trace_taken", "ebpf", "max_bytes")
    assert tracers == {0}
    assert (path.name, path.stat().st_mode & 0o777) == (f"stuck-{target.pid}-01234567.strace", 0o600)
    text = path.read_text()
    assert LIMIT <= len(text) == data["bytes"] < 4 * LIMIT
    assert text.startswith("# straced trace {")
    assert 'access("/seen", F_OK) = -1 ENOENT' in text


@needs_ebpf
async def test_records_as_they_are_and_the_budget_is_of_both_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    for name in ("cpu-1-x.strc", "cpu-1-x.strace"):
        (folder / name).write_bytes(bytes(100))
    unfinished = folder / ".straced-1-0123456789abcdef.partial"  # of a service that was killed
    unfinished.write_bytes(b"")
    os.utime(unfinished, (1, 1))
    with running(LOOP) as target:
        wanted = TraceAction(seconds=100, bytes=Bytes(LIMIT), format="strc")
        ((kind, data),) = await traced(tmp_path, target.pid, wanted, budget=LIMIT + 50)
    (path,) = folder.iterdir()
    assert path.name == f"stuck-{target.pid}-01234567.strc"
    assert (kind, data["tracer"], data["tracer_reason"]) == ("trace_taken", "ebpf", "asked for")
    assert path.stat().st_mode & 0o777 == 0o600
    assert any(blob.data == b"/seen" for each in RecordFile(path) for blob in each.blobs.values())


@pytest.mark.needs("strace")
async def test_strace_where_it_is_asked_for(tmp_path: Path) -> None:
    with running(LOOP) as target:
        wanted = TraceAction(seconds=100, bytes=Bytes(LIMIT), tracer="strace")
        ((kind, data),) = await traced(tmp_path, target.pid, wanted)
    assert (kind, data["tracer"], data["tracer_reason"]) == ("trace_taken", "strace", "asked for")


async def test_records_cannot_be_strace_s(tmp_path: Path) -> None:
    with running() as target:
        ((kind, _data),) = await traced(tmp_path, target.pid, TraceAction(tracer="strace", format="strc"))
    assert kind == "trace_failed"
    assert not list((tmp_path / "traces").iterdir())
