"""Whether the native core in a wheel runs where the wheel's tag says: ``wheel_libraries.py WHEEL``, with pyelftools.

It may need the C library alone, no symbol of a glibc newer than the tag's, and it is for the machine of the tag.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
C_LIBRARY = re.compile(r"libc\.so(\.6)?|libpthread\.so\.0|ld-linux-[\w-]+\.so\.\d")


def wrong(name: str, core: bytes) -> list[str]:
    """What of a core is not as the file name of its wheel says."""
    elf = ELFFile(io.BytesIO(core))
    tag = name.rpartition("-")[2].removesuffix(".whl")
    machine = next(each for each in MACHINES if each in tag)
    newest = tuple(map(int, found.groups())) if (found := re.search(r"manylinux_(\d+)_(\d+)_", tag)) else (0, 0)
    found_wrong = [] if elf["e_machine"] == MACHINES[machine] else [f"it is for {elf['e_machine']}"]
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            needed = [each.needed for each in section.iter_tags() if each.entry.d_tag == "DT_NEEDED"]
            found_wrong += [f"it needs {each}" for each in needed if not C_LIBRARY.fullmatch(each)]
        if isinstance(section, GNUVerNeedSection):
            versions = {each.name for _, auxiliaries in section.iter_versions() for each in auxiliaries}
            for version in sorted(versions):
                number = tuple(map(int, re.findall(r"\d+", version)[:2]))
                if number > newest:
                    found_wrong.append(f"it needs {version}")
    return found_wrong


def main() -> int:
    """Look at the core of each wheel that is named."""
    status = 0
    for path in sys.argv[1:]:
        with zipfile.ZipFile(path) as wheel:
            cores = [name for name in wheel.namelist() if name.endswith("libstraced_reader.so")]
            found = wrong(path, wheel.read(cores[0])) if cores else ["it has no native core"]
        for each in found:
            print(f"{path}: {each}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
