"""The object in the package: it is what the sources say, and Python knows its layout."""

from __future__ import annotations

import ctypes
import hashlib
import struct
from pathlib import Path

import pytest

from straced.model import histogram
from straced.records import layout
from straced.tracers.ebpf import EbpfTracer, btf, detail_wire, engine, record_wire, wire
from straced.tracers.ebpf.detail_engine import detail_object
from straced.tracers.ebpf.engine import Engine, object_bytes
from tests.support.needs import require, unavailable
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.objects import BPF, build, declared, notes, other_clangs
from tests.tracers.ebpf.test_accuracy import check_counts, check_restarts

PACKAGE = Path(engine.__file__).parent
RECORDERS = ("recorder", "recorder_user")


def test_layouts_agree() -> None:
    assert wire.verify(btf.Types(btf.section(object_bytes(), ".BTF"))) == []
    for name in RECORDERS:
        recorder = (PACKAGE / f"{name}.bpf.o").read_bytes()
        assert wire.verify(btf.Types(btf.section(recorder, ".BTF")), record_wire.LAYOUTS) == []
    assert wire.verify(btf.Types(btf.section(detail_object(), ".BTF")), detail_wire.LAYOUTS) == []
    assert struct.calcsize("=" + layout.RECORD_HEAD) == record_wire.WireRecord.args.offset
    assert struct.calcsize("=" + layout.BLOB_HEAD) == ctypes.sizeof(record_wire.WireBlob)
    assert wire.ROW.size == wire.CounterRow.histogram.offset
    assert wire.OWNER.size == ctypes.sizeof(wire.RowOwner)


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
    programs = [BPF / f"{name}.bpf.c" for name in ("profiler", *RECORDERS, "details")]
    for path in [*sorted(BPF.glob("*.h")), *programs]:
        sources.update(path.read_bytes())
    assert notes(PACKAGE)["sources"] == sources.hexdigest()
    assert notes(PACKAGE)["object"] == hashlib.sha256(object_bytes()).hexdigest()
    assert notes(PACKAGE)["details"] == hashlib.sha256(detail_object()).hexdigest()
    for name in RECORDERS:
        assert notes(PACKAGE)[name] == hashlib.sha256((PACKAGE / f"{name}.bpf.o").read_bytes()).hexdigest()


WORKLOADS = ("everything", "errs", "threads", "execs", "threadexec", "seccomp", "shorts")


async def test_objects_of_other_clangs_count_alike(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each clang that is installed beside the one of the notes: equal declarations, and the same counts."""
    for tool in ("ebpf", "clang", "llvm-strip", "bpftool"):
        require(tool)
    clangs = other_clangs(notes(PACKAGE)["clang"])
    if not clangs:
        unavailable("other-clang", "no clang of another version on PATH")
    for number, clang in enumerate(clangs):
        built = build(tmp_path / str(number), clang)
        assert notes(tmp_path / str(number))["clang"] != notes(PACKAGE)["clang"]
        assert declared(built) == declared(object_bytes())
        monkeypatch.setattr(engine, "object_bytes", lambda built=built: built)
        tracer = EbpfTracer()
        try:
            for name in WORKLOADS:
                await check_counts(tracer, start, name)
            await check_restarts(tracer, start)
        finally:
            await tracer.close()


def test_it_holds_no_path_of_a_machine() -> None:
    assert b"/work" not in object_bytes()
    assert b"/home" not in object_bytes()


def test_buckets_are_those_of_the_kernel() -> None:
    header = (BPF / "wire.h").read_text()
    assert f"#define HIST_STEPS_LOG2 {histogram.STEPS_LOG2}\n" in header
    assert f"#define HIST_FIRST_OCTAVE {histogram.FIRST_OCTAVE}\n" in header
    assert f"#define HIST_OCTAVES {histogram.OCTAVES}\n" in header
