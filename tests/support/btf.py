"""The types of a kernel as another build would have them: the same, under other numbers."""

from __future__ import annotations

import functools
import struct

from straced.tracers.ebpf.btf import EXTRA_BYTES, MEMBER_BYTES

HEADER = struct.Struct("<HBBIIIII")
ARRAY, STRUCT, UNION, PROTOTYPE, SECTION = 3, 4, 5, 13, 15
NAMING = {2, 8, 9, 10, 11, 12, 13, 14, 17, 18}
"""Whose third word is a type: PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DECL_TAG, TYPE_TAG."""
WORD_OF_A_MEMBER = {STRUCT: 1, UNION: 1, PROTOTYPE: 1, SECTION: 0}
"""Which word of a member is a type."""


@functools.cache
def of_another_build(section: bytes) -> bytes:
    """Put a further type before all others.

    Args:
        section: what the kernel tells of its types (Documentation/bpf/btf.rst).
    """
    magic, version, flags, head, type_offset, type_bytes, text_offset, text_bytes = HEADER.unpack_from(section)
    types = list(struct.unpack_from(f"<{type_bytes // 4}I", section, head + type_offset))
    first = types[:4]
    assert first[1] >> 24 == 1, "the first is an integer"
    _count_on(types)
    text = section[head + text_offset :][:text_bytes]
    body = struct.pack(f"<{len(types) + 4}I", *first, *types)
    return HEADER.pack(magic, version, flags, HEADER.size, 0, len(body), len(body), text_bytes) + body + text


def _count_on(words: list[int]) -> None:
    """Give every type that is named the number after its own; 0, which is void, stays."""
    at = 0
    while at < len(words):
        kind, count = words[at + 1] >> 24 & 0x1F, words[at + 1] & 0xFFFF
        named = [at + 2] if kind in NAMING else []
        at += 3
        if kind == ARRAY:
            named += [at, at + 1]
        size = MEMBER_BYTES.get(kind, 0) // 4
        if kind in WORD_OF_A_MEMBER:
            named += range(at + WORD_OF_A_MEMBER[kind], at + size * count, size)
        for place in named:
            words[place] += words[place] != 0
        at += EXTRA_BYTES.get(kind, 0) // 4 + size * count
