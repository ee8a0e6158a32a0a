"""Just enough of ELF and BTF to learn the layout of structures (kernel: Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct

_KIND_STRUCT, _KIND_UNION = 4, 5
EXTRA_BYTES = {1: 4, 3: 12, 14: 4, 17: 4}
"""Data after the header of a type: INT, ARRAY, VAR, DECL_TAG."""
MEMBER_BYTES = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""Data for each of ``vlen`` members: STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64."""


class Types:
    """The structures of a BTF section, by name."""

    def __init__(self, section: bytes) -> None:
        magic, _version, _flags, head = struct.unpack_from("<HBBI", section)
        if magic != 0xEB9F:
            raise ValueError("not a little-endian BTF section")
        type_offset, type_bytes, text_offset, text_bytes = struct.unpack_from("<IIII", section, 8)
        self._text = section[head + text_offset : head + text_offset + text_bytes]
        self._structs: dict[str, tuple[int, dict[str, int]]] = {}
        self._parse(section[head + type_offset : head + type_offset + type_bytes])

    def _name(self, offset: int) -> str:
        return self._text[offset : self._text.index(b"\0", offset)].decode()

    def _parse(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            name, info, size = struct.unpack_from("<III", data, at)
            kind, count, bits = info >> 24 & 0x1F, info & 0xFFFF, info >> 31
            at += 12
            if kind in (_KIND_STRUCT, _KIND_UNION):
                self._structs[self._name(name)] = size, self._members(data, at, count, bits)
            at += EXTRA_BYTES.get(kind, 0) + MEMBER_BYTES.get(kind, 0) * count

    def _members(self, data: bytes, at: int, count: int, bits: int) -> dict[str, int]:
        members = struct.iter_unpack("<III", data[at : at + 12 * count])
        return {self._name(name): (offset & 0xFFFFFF if bits else offset) // 8 for name, _type, offset in members}

    def size(self, name: str) -> int | None:
        """Bytes of a structure; ``None`` for an unknown one."""
        return self._structs[name][0] if name in self._structs else None

    def offsets(self, name: str) -> dict[str, int]:
        """Byte offset of each member."""
        return self._structs[name][1] if name in self._structs else {}


def section(elf: bytes, wanted: str) -> bytes:
    """One section of a little-endian 64-bit ELF file (elf(5)).

    Raises:
        KeyError: there is none of that name.
    """
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a little-endian 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + index * size) for index in range(count)]
    text = headers[names][4]
    for name, _kind, _flags, _address, offset, length in headers:
        end = elf.index(b"\0", text + name)
        if elf[text + name : end].decode() == wanted:
            return elf[offset : offset + length]
    raise KeyError(wanted)
