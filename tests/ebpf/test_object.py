"""The object in the package: it is what the sources say, and Python knows its layout."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from pathlib import Path

import pytest

from straced import histogram
from straced.tracers.ebpf import btf, wire
from straced.tracers.ebpf.engine import PROGRAMS, Engine, object_bytes
from tests.ebpf.needs import require

BPF = Path(__file__).parent.parent.parent / "bpf"


def notes() -> dict[str, str]:
    """What the object was built with."""
    import straced.tracers.ebpf as package

    text = Path(str(package.__file__)).with_name("profiler.bpf.o.txt").read_text()
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def structures(elf: bytes) -> dict[str, tuple[int | None, dict[str, int]]]:
    """All that crosses, as an object has it."""
    types = btf.Types(btf.section(elf, ".BTF"))
    return {name: (types.size(name), types.offsets(name)) for name in wire.LAYOUTS}


def test_layouts_agree() -> None:
    assert wire.verify(btf.Types(btf.section(object_bytes(), ".BTF"))) == []
    assert wire.ROW.size == wire.Row.histogram.offset
    assert wire.OWNER.size == ctypes.sizeof(wire.Owner)


def test_a_layout_that_drifted_is_refused() -> None:
    require("ebpf")
    elf = object_bytes()
    section = btf.section(elf, ".BTF")
    assert section.count(b"\0waiting_ns\0") == 1
    changed = elf.replace(section, section.replace(b"\0waiting_ns\0", b"\0waiting_us\0"))
    with pytest.raises(OSError, match="of another version"):
        Engine(changed)


def test_it_is_built_from_these_sources() -> None:
    sources = hashlib.sha256()
    for path in [*sorted(BPF.glob("*.h")), BPF / "profiler.bpf.c"]:
        sources.update(path.read_bytes())
    assert notes()["sources"] == sources.hexdigest()
    assert notes()["object"] == hashlib.sha256(object_bytes()).hexdigest()


def test_a_rebuild_gives_the_same(tmp_path: Path) -> None:
    """The same bytes with the same clang; with another the same programs, maps and layouts."""
    for tool in ("clang", "llvm-strip", "bpftool"):
        require(tool)
    subprocess.run([BPF / "build.sh", tmp_path], check=True, timeout=120)
    built = (tmp_path / "profiler.bpf.o").read_bytes()
    theirs = dict(
        line.split(": ", 1) for line in (tmp_path / "profiler.bpf.o.txt").read_text().splitlines() if ": " in line
    )
    if theirs["clang"] == notes()["clang"]:
        assert built == object_bytes()
    assert structures(built) == structures(object_bytes())
    for name in (*PROGRAMS, "mark", "unmark", "serve"):
        assert name.encode() in btf.section(built, ".strtab")
    assert len(btf.section(built, ".maps")) == len(btf.section(object_bytes(), ".maps"))


def test_it_holds_no_path_of_a_machine() -> None:
    assert b"/work" not in object_bytes()
    assert b"/home" not in object_bytes()


def test_buckets_are_those_of_the_kernel() -> None:
    header = (BPF / "wire.h").read_text()
    assert f"#define HIST_STEPS_LOG2 {histogram.STEPS_LOG2}\n" in header
    assert f"#define HIST_FIRST_OCTAVE {histogram.FIRST_OCTAVE}\n" in header
    assert f"#define HIST_OCTAVES {histogram.OCTAVES}\n" in header
