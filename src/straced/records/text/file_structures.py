"""What calls tell of files, in the few fields that strace shows without -v."""

from __future__ import annotations

import struct

from straced.records.text.flags import flags, one_of
from straced.records.text.structures import Decoder
from straced.records.text.tables import constants

_PERMISSIONS = 0o7777
_SPECIAL = ((0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISVTX"))
_TYPES = {0o140000: "S_IFSOCK", 0o120000: "S_IFLNK", 0o100000: "S_IFREG", 0o060000: "S_IFBLK",
          0o040000: "S_IFDIR", 0o020000: "S_IFCHR", 0o010000: "S_IFIFO"}  # fmt: skip
_DEVICES = (0o020000, 0o060000)
_MOUNT = (
    (0x20, "ST_VALID"), (0x1, "ST_RDONLY"), (0x2, "ST_NOSUID"), (0x4, "ST_NODEV"), (0x8, "ST_NOEXEC"),
    (0x10, "ST_SYNCHRONOUS"), (0x40, "ST_MANDLOCK"), (0x80, "ST_WRITE"), (0x100, "ST_APPEND"), (0x200, "ST_IMMUTABLE"),
    (0x400, "ST_NOATIME"), (0x800, "ST_NODIRATIME"), (0x1000, "ST_RELATIME"), (0x2000, "ST_NOSYMFOLLOW"),
)  # fmt: skip
"""Of the kernel's own (include/linux/statfs.h)."""


def mode(value: int) -> str:
    """The type of a file and its permissions: ``S_IFREG|0644``."""
    kind = _TYPES.get(value & 0o170000)
    words = [kind] if kind else [f"{value & 0o170000:#o}".replace("0o", "0")] if value & 0o170000 else []
    words += [name for bit, name in _SPECIAL if value & bit]
    rest = value & 0o777
    return "|".join([*words, f"0{rest:o}" if rest > 0o77 else f"{rest:03o}"])


def device(number: int) -> str:
    """The number of a device as the kernel gives it to programs (``huge_encode_dev()``)."""
    major = number >> 8 & 0xFFF | number >> 32 & ~0xFFF
    minor = number & 0xFF | number >> 12 & 0xFFFFFF00
    return f"makedev({major:#x}, {minor:#x})"


def stat(abi: str) -> Decoder:
    """Make the decoder of a ``struct stat``."""
    at_mode, at_device, at_size = (24, 40, 48) if abi == "x86_64" else (16, 32, 48)

    def text(data: bytes) -> str:
        how = struct.unpack_from("=I", data, at_mode)[0]
        if how & 0o170000 in _DEVICES:
            rest = f"st_rdev={device(struct.unpack_from('=Q', data, at_device)[0])}"
        else:
            rest = f"st_size={struct.unpack_from('=q', data, at_size)[0]}"
        return f"{{st_mode={mode(how)}, {rest}, ...}}"

    return text


def statx(abi: str) -> Decoder:
    """Make the decoder of a ``struct statx``."""
    masks = flags(constants(abi)["statx_mask"], "STATX_???")
    attributes = flags(constants(abi)["statx_attribute"], "STATX_ATTR_???", bits=64)

    def text(data: bytes) -> str:
        mask, _block, attribute, _links, _user, _group, how, _inode, size = struct.unpack_from("=IIQIIIH2xQQ", data)
        found = f"stx_mask={masks(mask)}, stx_attributes={attributes(attribute)}"
        return f"{{{found}, stx_mode={mode(how)}, stx_size={size}, ...}}"

    return text


def statfs(abi: str) -> Decoder:
    """Make the decoder of a ``struct statfs`` of 64 bits."""
    kinds = one_of(constants(abi)["file_system"], "???", bits=64)
    mounted = flags(_MOUNT, "ST_???", bits=64)
    names = ("bsize", "blocks", "bfree", "bavail", "files", "ffree")

    def text(data: bytes) -> str:
        kind, *counts, _id, length, fragment, how = struct.unpack_from("=11Q", data)
        fields = [f"f_type={kinds(kind).partition(' ')[0]}"]
        fields += [f"f_{name}={count}" for name, count in zip(names, counts, strict=True)]
        fields += ["f_fsid={val=[...]}", f"f_namelen={length}", f"f_frsize={fragment}", f"f_flags={mounted(how)}"]
        return f"{{{', '.join(fields)}}}"

    return text


def lock(abi: str, *, owned: bool) -> Decoder:
    """Make the decoder of a ``struct flock``.

    Args:
        owned: tell also who has the lock.
    """
    kinds = one_of(constants(abi)["lock_type"], "F_???", bits=16)
    starts = one_of(constants(abi)["seek"], "SEEK_???", bits=16)

    def text(data: bytes) -> str:
        kind, whence, start, length, pid = struct.unpack_from("=hh4xqqi", data)
        found = f"l_type={kinds(kind)}, l_whence={starts(whence)}, l_start={start}, l_len={length}"
        return f"{{{found}, l_pid={pid}}}" if owned else f"{{{found}}}"

    return text


def owner(abi: str) -> Decoder:
    """Make the decoder of a ``struct f_owner_ex``."""
    kinds = one_of(constants(abi)["owner_type"], "F_OWNER_???")

    def text(data: bytes) -> str:
        kind, pid = struct.unpack_from("=ii", data)
        return f"{{type={kinds(kind)}, pid={pid}}}"

    return text
