"""The executables in the package: they are what the sources say, small, and need nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.gating.gates import MACHINES, PACKAGE
from tests.support.needs import require

SOURCES = Path(__file__).parent.parent.parent / "gate"


in_the_tree = pytest.mark.skipif(not SOURCES.exists(), reason="the installed package comes without its sources")


def notes(folder: Path) -> dict[str, str]:
    """What the gates in a folder were built with."""
    return dict(line.split(": ", 1) for line in (folder / "gate.txt").read_text().splitlines() if ": " in line)


@in_the_tree
def test_they_are_built_from_these_sources() -> None:
    sources = hashlib.sha256()
    for path in [*sorted(SOURCES.glob("*.h")), SOURCES / "gate.c"]:
        sources.update(path.read_bytes())
    noted = notes(PACKAGE)
    assert noted["sources"] == sources.hexdigest()
    for machine in MACHINES:
        assert noted[machine] == hashlib.sha256((PACKAGE / f"gate.{machine}").read_bytes()).hexdigest()


@in_the_tree
def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    require("clang", "ld.lld")
    subprocess.run([SOURCES / "build.sh", tmp_path], check=True, timeout=60, capture_output=True)
    built, noted = notes(tmp_path), notes(PACKAGE)
    assert built["sources"] == noted["sources"]
    if (built["clang"], built["lld"]) == (noted["clang"], noted["lld"]):
        assert built == noted


@pytest.mark.parametrize("machine", MACHINES)
def test_it_is_small_static_and_executable(machine: str) -> None:
    path = PACKAGE / f"gate.{machine}"
    elf = path.read_bytes()
    assert elf[:6] == b"\x7fELF\x02\x01"
    assert int.from_bytes(elf[18:20], "little") == {"x86_64": 62, "aarch64": 183}[machine]
    count, size, offset = (int.from_bytes(elf[a:b], "little") for a, b in ((56, 58), (54, 56), (32, 40)))
    kinds = {int.from_bytes(elf[at : at + 4], "little") for at in range(offset, offset + count * size, size)}
    assert not kinds & {2, 3}, "no dynamic section, no interpreter"
    assert len(elf) < 10_000
    assert os.access(path, os.X_OK)
    assert b"/work" not in elf
    assert b"/home" not in elf
