"""Fixtures of the eBPF tests."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from straced.tracers.ebpf import EbpfTracer
from tests.support.needs import require
from tests.tracers.ebpf.workload import Workload, build

Start = Callable[..., Workload]


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """The folder of the compiled workloads."""
    require("gcc")
    with tempfile.TemporaryDirectory(prefix="straced-ebpf-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield build(folder)


@pytest.fixture
def start(programs: Path) -> Iterator[Start]:
    """Start ``gt`` in a mode, or another program; all are ended with the test."""
    started: list[Workload] = []

    def starter(
        mode: str, *arguments: object, program: str = "gt", ready: bool = True, held: bool | None = None
    ) -> Workload:
        held = program in ("gt", "st32") if held is None else held
        workload = Workload([programs / program, mode, *map(str, arguments)], ready=ready, held=held)
        started.append(workload)
        return workload

    yield starter
    for workload in started:
        workload.close()


@pytest.fixture
async def tracer() -> AsyncIterator[EbpfTracer]:
    """A tracer of its own; closed with the test."""
    require("ebpf")
    made = EbpfTracer()
    yield made
    await made.close()
