"""The object is what a build of its sources gives, and one of other sources is told from it; none is loaded here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from straced.tracers.ebpf import engine
from straced.tracers.ebpf.engine import object_bytes
from tests.support.needs import require
from tests.tracers.ebpf.objects import BPF, build, declared, notes

PACKAGE = Path(engine.__file__).parent


def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    for tool in ("clang", "llvm-strip", "bpftool"):
        require(tool)
    built = build(tmp_path)
    if notes(tmp_path)["clang"] == notes(PACKAGE)["clang"]:
        assert notes(tmp_path) == notes(PACKAGE)
        assert built == object_bytes()
    assert declared(built) == declared(object_bytes())


@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        ("wire.h", "#define SLOTS 10", "#define SLOTS 12"),
        ("wire.h", "u32 rows;\n\tu32 live;", "u32 live;\n\tu32 rows;"),
        ("maps.h", "256 * 1024", "512 * 1024"),
        ("profiler.bpf.c", 'SEC("tp_btf/sched_process_exec")', 'SEC("raw_tp/sched_process_exec")'),
    ],
)
def test_another_object_is_noticed(tmp_path: Path, file: str, was: str, becomes: str) -> None:
    """What tells objects of two compilers apart sees a changed structure, member, map and program."""
    for tool in ("clang", "llvm-strip", "bpftool"):
        require(tool)
    shutil.copytree(BPF, tmp_path / "bpf")
    text = (tmp_path / "bpf" / file).read_text()
    assert text.count(was) == 1
    (tmp_path / "bpf" / file).write_text(text.replace(was, becomes))
    built = build(tmp_path / "built", "clang", tmp_path / "bpf", "profiler")
    assert declared(built) != declared(object_bytes())
