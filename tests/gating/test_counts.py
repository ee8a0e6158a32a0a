"""What the gate adds to the counts of a program, by whichever way it waits and is opened: nothing."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from straced import Profiler, gate
from tests.accuracy.test_bare_strace import parse
from tests.gating.test_native import block_urgent, few_descriptors, ignore_urgent, nothing_special
from tests.support.needs import require

CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that needs no descriptor, and whose calls are few and always the same."""
    require("cc")
    folder = tmp_path_factory.mktemp("static")
    source, built = folder / "static.c", folder / "static"
    source.write_text("#include <unistd.h>\nint main(void) { for (int i = 0; i < 321; i++) getppid(); }\n")
    subprocess.run(["cc", "-O1", "-static", "-o", built, source], check=True)
    return built


@pytest.fixture
def truth(program: Path, tmp_path: Path) -> dict[str, int]:
    """What strace counts of it when it starts it itself."""
    table = tmp_path / "table"
    subprocess.run(["strace", "-c", "-o", table, program], env=CLEAN, check=True)
    return {name: calls for name, (calls, _) in parse(table.read_text()).items()}


@pytest.mark.needs("strace")
@pytest.mark.parametrize("tracer", ["ebpf", "strace"])
@pytest.mark.parametrize("prepare", [nothing_special, ignore_urgent, block_urgent, few_descriptors])
async def test_the_counts_are_those_of_the_program_alone(
    program: Path, truth: dict[str, int], tracer: str, prepare: Callable[[], None]
) -> None:
    require(tracer)
    async with Profiler(tracer) as profiler:
        process = await asyncio.create_subprocess_exec(*gate([str(program)]), env=CLEAN, preexec_fn=prepare)
        session = await profiler.attach(process.pid)
        result = await asyncio.wait_for(session.result(), 20)
        assert await process.wait() == 0
    counts = {row.name: row.calls for row in result.rows}
    counts.pop("exit_group", None)  # strace -c drops what never returns
    assert counts == truth
    assert counts["execve"] == 1
    assert counts["getppid"] == 321
