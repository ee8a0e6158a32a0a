"""Objects built anew, by the clang of the notes and by others, and what two of them must have in common."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from pathlib import Path

from msgspec import Struct

from straced.tracers.ebpf import btf, libbpf, wire
from tests.support.pace import PACE

BPF = Path(__file__).parents[3] / "bpf"


class Declared(Struct, frozen=True):
    """What an object says of itself: it does not depend on the compiler."""

    programs: dict[str, tuple[str, int, int]]
    """Section, type and attach type by name."""
    maps: dict[str, tuple[int, int, int, int, int]]
    """Type, size of key and value, entries and flags by name."""
    structures: dict[str, tuple[int | None, dict[str, int]]]
    """Size, and offsets of the members, of all that crosses."""


def declared(elf: bytes) -> Declared:
    """Ask libbpf, without loading it into the kernel."""
    library = libbpf.load()
    for name in ("bpf_object__next_program", "bpf_object__next_map"):
        getattr(library, name).restype = ctypes.c_void_p
        getattr(library, name).argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    for name in ("bpf_program__name", "bpf_program__section_name", "bpf_map__name"):
        getattr(library, name).restype = ctypes.c_char_p
    made = libbpf.check_pointer(library.bpf_object__open_mem(elf, len(elf), None), "open")
    try:
        programs, maps = {}, {}
        each = library.bpf_object__next_program(made, None)
        while each:
            handle = ctypes.c_void_p(each)
            section = library.bpf_program__section_name(handle).decode()
            kinds = (library.bpf_program__type(handle), library.bpf_program__expected_attach_type(handle))
            programs[library.bpf_program__name(handle).decode()] = (section, *kinds)
            each = library.bpf_object__next_program(made, each)
        each = library.bpf_object__next_map(made, None)
        while each:
            handle = ctypes.c_void_p(each)
            fields = ("type", "key_size", "value_size", "max_entries", "map_flags")
            # an internal map is called after the object, and that after its address: 55d3c4a0.bss
            name = re.sub(r"^.*(?=\.)", "", library.bpf_map__name(handle).decode())
            maps[name] = tuple(getattr(library, f"bpf_map__{field}")(handle) for field in fields)
            each = library.bpf_object__next_map(made, each)
    finally:
        library.bpf_object__close(made)
    types = btf.Types(btf.section(elf, ".BTF"))
    structures = {name: (types.size(name), types.offsets(name)) for name in wire.LAYOUTS}
    return Declared(programs=programs, maps=maps, structures=structures)


def notes(folder: Path) -> dict[str, str]:
    """What the object in a folder was built with."""
    text = (folder / "profiler.bpf.o.txt").read_text()
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def build(folder: Path, clang: str = "clang", sources: Path = BPF, *names: str) -> bytes:
    """The object by a clang, and its notes beside it in ``folder``; of some objects alone, without notes."""
    environ = {**os.environ, "CLANG": clang}
    argv = [sources / "build.sh", folder, *names]
    subprocess.run(argv, check=True, timeout=120 * PACE, env=environ, capture_output=True)
    return (folder / "profiler.bpf.o").read_bytes()


def other_clangs(noted: str) -> list[str]:
    """Clangs on PATH (``clang``, ``clang-16``, ...) of another version than the one of the notes."""
    found = {}
    for folder in os.get_exec_path():
        for path in sorted(Path(folder).glob("clang*")):
            if re.fullmatch(r"clang(-\d+)?", path.name) and os.access(path, os.X_OK):
                done = subprocess.run([path, "--version"], capture_output=True, text=True)
                version = done.stdout.split("\n")[0]
                if done.returncode == 0 and version != noted:
                    found.setdefault(version, str(path))
    return list(found.values())
