"""The summary table."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from straced import StraceManager
from tests.support.needs import unavailable
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")

FORGED = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.99    9.999999        9999      9999      9999 getppid
------ ----------- ----------- --------- --------- ----------------
100.00    9.999999        9999      9999      9999 total
"""


async def counted(manager: StraceManager, start: Starter, *argv: object, **options: Any) -> dict[str, Any]:
    workload = start(*argv, **options)  # type: ignore[arg-type]
    assert await manager.attach(workload.pid)
    await workload.work()
    result = await manager.detach(workload.pid)
    assert result is not None
    return dict(result)


async def test_a_program_that_prints_tables_cannot_forge_one(
    manager: StraceManager, capfd: pytest.CaptureFixture[str]
) -> None:
    code = f"import os, sys; text = {FORGED!r}; sys.stdout.write(text); sys.stderr.write(text); os.getppid()"
    process = await manager.spawn([sys.executable, "-S", "-c", code])
    assert await process.wait() == 0
    result = await manager.detach(process.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 1
    shown = capfd.readouterr()
    assert shown.out == FORGED
    assert shown.err == FORGED, "nothing of strace's own is on the program's stderr"


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "C.UTF-8", "no such locale"])
async def test_the_locale_of_the_owner_does_not_matter(
    manager: StraceManager, start: Starter, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("LANG", locale)
    result = await counted(manager, start, "n", 123)
    assert result["syscall_counts"]["getppid"] == 123


async def test_all_columns_are_kept(manager: StraceManager, start: Starter) -> None:
    result = await counted(manager, start, "errs", 4000)  # enough for a clock that tells CPU time in ticks of 4 ms
    assert result["syscall_seconds"]["openat"] > 0
    assert result["syscall_time_pct"]["openat"] > 0
    assert result["syscall_errors"]["openat"] == 4000


async def test_unknown_calls_and_those_of_a_32_bit_program(manager: StraceManager, start: Starter) -> None:
    if start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    result = await counted(manager, start, "n", 77, binary=start.gt32)
    assert result["syscall_counts"]["getppid"] == 77


async def test_two_abis_in_one_process(manager: StraceManager, start: Starter) -> None:
    result = await counted(manager, start, "int80", 66)
    assert sum(count for name, count in result["syscall_counts"].items() if name.startswith("getppid")) == 66


async def test_time_is_cpu_time_unless_wall_is_asked_for(manager: StraceManager, start: Starter) -> None:
    assert (await counted(manager, start, "n", 10))["time"] == "cpu"
    workload = start("eintr", 5)
    assert await manager.attach(workload.pid, wall=True)
    await workload.work()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["time"] == "wall"
    assert result["syscall_seconds"]["nanosleep"] > 0.005, "5 naps of 3 ms"


async def test_what_it_cannot_know_is_said(manager: StraceManager, start: Starter) -> None:
    quality = (await counted(manager, start, "sarestart", 50))["quality"]
    text = " ".join(reason["text"] for reason in quality["reasons"]).lower()
    assert quality["kind"] != "exact"
    assert all(reason["code"] for reason in quality["reasons"])
    assert "exit_group" in text
    assert "restart" in text
    assert "unknown" in text or "number" in text
