"""Sets of names that no header of the UAPI has as constants of the preprocessor, or only among others."""

from __future__ import annotations

from straced.records.text.flags import flags, one_of

Members = tuple[tuple[int, str], ...]
ACCESS: Members = ((4, "R_OK"), (2, "W_OK"), (1, "X_OK"))


def _numbered(prefix: str, words: str, first: int = 0) -> Members:
    """An enum: its members in the order of their numbers."""
    return tuple((place, f"{prefix}{word}") for place, word in enumerate(words.split(), first))


def _bits(prefix: str, words: str) -> Members:
    """Flags: the first is the lowest bit."""
    return tuple((1 << place, name) for place, name in _numbered(prefix, words))


LOCAL: dict[str, Members] = {
    "access": ACCESS,
    "splice": ((1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT")),
    "close_range": ((2, "CLOSE_RANGE_UNSHARE"), (4, "CLOSE_RANGE_CLOEXEC")),
    "linkat": ((0x400, "AT_SYMLINK_FOLLOW"), (0x1000, "AT_EMPTY_PATH")),
    "xattr": ((1, "XATTR_CREATE"), (2, "XATTR_REPLACE")),
    "open_tree": (
        (1, "OPEN_TREE_CLONE"), (0x80000, "OPEN_TREE_CLOEXEC"), (0x100, "AT_SYMLINK_NOFOLLOW"),
        (0x800, "AT_NO_AUTOMOUNT"), (0x1000, "AT_EMPTY_PATH"), (0x8000, "AT_RECURSIVE"),
    ),
    "resolve": _bits("RESOLVE_", "NO_XDEV NO_MAGICLINKS NO_SYMLINKS BENEATH IN_ROOT CACHED"),
    "umount": ((1, "MNT_FORCE"), (2, "MNT_DETACH"), (4, "MNT_EXPIRE"), (8, "UMOUNT_NOFOLLOW")),
    "secure": _bits(
        "SECBIT_",
        "NOROOT NOROOT_LOCKED NO_SETUID_FIXUP NO_SETUID_FIXUP_LOCKED KEEP_CAPS KEEP_CAPS_LOCKED NO_CAP_AMBIENT_RAISE"
        " NO_CAP_AMBIENT_RAISE_LOCKED",
    ),
    "ambient": _numbered("PR_CAP_AMBIENT_", "IS_SET RAISE LOWER CLEAR_ALL", 1),
    "seccomp_mode": _numbered("SECCOMP_MODE_", "DISABLED STRICT FILTER"),
    "notes": ((1, "NT_PRSTATUS"), (2, "NT_FPREGSET"), (0x202, "NT_X86_XSTATE")),
    "fsconfig": _numbered(
        "FSCONFIG_", "SET_FLAG SET_STRING SET_BINARY SET_PATH SET_PATH_EMPTY SET_FD CMD_CREATE CMD_RECONFIGURE"
    ),
    "userfaultfd": ((1, "UFFD_USER_MODE_ONLY"), (0x80000, "O_CLOEXEC"), (0x800, "O_NONBLOCK")),
    "ioprio_who": _numbered("IOPRIO_WHO_", "PROCESS PGRP USER", 1),
    "kcmp": _numbered("KCMP_", "FILE VM FILES FS SIGHAND IO SYSVSEM EPOLL_TFD"),
    "syslog": _numbered(
        "SYSLOG_ACTION_",
        "CLOSE OPEN READ READ_ALL READ_CLEAR CLEAR CONSOLE_OFF CONSOLE_ON CONSOLE_LEVEL SIZE_UNREAD SIZE_BUFFER",
    ),
    "landlock_rule": ((1, "LANDLOCK_RULE_PATH_BENEATH"), (2, "LANDLOCK_RULE_NET_PORT")),
    "bpf": _numbered(
        "BPF_",
        "MAP_CREATE MAP_LOOKUP_ELEM MAP_UPDATE_ELEM MAP_DELETE_ELEM MAP_GET_NEXT_KEY PROG_LOAD OBJ_PIN OBJ_GET"
        " PROG_ATTACH PROG_DETACH PROG_TEST_RUN PROG_GET_NEXT_ID MAP_GET_NEXT_ID PROG_GET_FD_BY_ID MAP_GET_FD_BY_ID"
        " OBJ_GET_INFO_BY_FD PROG_QUERY RAW_TRACEPOINT_OPEN BTF_LOAD BTF_GET_FD_BY_ID TASK_FD_QUERY"
        " MAP_LOOKUP_AND_DELETE_ELEM MAP_FREEZE BTF_GET_NEXT_ID MAP_LOOKUP_BATCH MAP_LOOKUP_AND_DELETE_BATCH"
        " MAP_UPDATE_BATCH MAP_DELETE_BATCH LINK_CREATE LINK_UPDATE LINK_GET_FD_BY_ID LINK_GET_NEXT_ID ENABLE_STATS"
        " ITER_CREATE LINK_DETACH PROG_BIND_MAP TOKEN_CREATE",
    ),
    "uring_register": _numbered(
        "IORING_",
        "REGISTER_BUFFERS UNREGISTER_BUFFERS REGISTER_FILES UNREGISTER_FILES REGISTER_EVENTFD UNREGISTER_EVENTFD"
        " REGISTER_FILES_UPDATE REGISTER_EVENTFD_ASYNC REGISTER_PROBE REGISTER_PERSONALITY UNREGISTER_PERSONALITY"
        " REGISTER_RESTRICTIONS REGISTER_ENABLE_RINGS REGISTER_FILES2 REGISTER_FILES_UPDATE2 REGISTER_BUFFERS2"
        " REGISTER_BUFFERS_UPDATE REGISTER_IOWQ_AFF UNREGISTER_IOWQ_AFF REGISTER_IOWQ_MAX_WORKERS REGISTER_RING_FDS"
        " UNREGISTER_RING_FDS REGISTER_PBUF_RING UNREGISTER_PBUF_RING REGISTER_SYNC_CANCEL REGISTER_FILE_ALLOC_RANGE",
    ),
    "memory_kind": _numbered("MPOL_", "DEFAULT PREFERRED BIND INTERLEAVE LOCAL PREFERRED_MANY WEIGHTED_INTERLEAVE"),
    "ethernet": (
        (3, "ETH_P_ALL"), (0x800, "ETH_P_IP"), (0x806, "ETH_P_ARP"), (0x86DD, "ETH_P_IPV6"), (0x88CC, "ETH_P_LLDP"),
    ),
}  # fmt: skip
_CLASSES = _numbered("IOPRIO_CLASS_", "NONE RT BE IDLE")
_PERSONALITIES = (
    (0, "PER_LINUX"), (8, "PER_LINUX32"), (6, "PER_BSD"), (0x10, "PER_HPUX"),
)  # fmt: skip
_PERSONALITY_FLAGS = (
    (0x20000, "UNAME26"), (0x40000, "ADDR_NO_RANDOMIZE"), (0x80000, "FDPIC_FUNCPTRS"), (0x100000, "MMAP_PAGE_ZERO"),
    (0x200000, "ADDR_COMPAT_LAYOUT"), (0x400000, "READ_IMPLIES_EXEC"), (0x800000, "ADDR_LIMIT_32BIT"),
    (0x1000000, "SHORT_INODE"), (0x2000000, "WHOLE_SECONDS"), (0x4000000, "STICKY_TIMEOUTS"),
    (0x8000000, "ADDR_LIMIT_3GB"),
)  # fmt: skip
_KIND, _FLAGS = one_of(_PERSONALITIES, "PER_???"), flags(_PERSONALITY_FLAGS, "")
_CLASS = one_of(_CLASSES, "IOPRIO_CLASS_???")


def personality(value: int, abi: str = "", *, asks: bool = False) -> str:
    """A personality: whose ways of old a process has, and flags; as an argument, -1 only asks for it."""
    value &= 0xFFFFFFFF
    if asks and value == 0xFFFFFFFF:
        return f"{value:#x}"
    rest = value & ~0xFF
    return f"{_KIND(value & 0xFF)}|{_FLAGS(rest)}" if rest else _KIND(value & 0xFF)


def io_priority(value: int) -> str:
    """A priority of input and output."""
    return f"IOPRIO_PRIO_VALUE({_CLASS(value >> 13 & 7)}, {value & 0x1FFF})"


def swap_flags(value: int) -> str:
    """The flags of swapon(2), and the priority among them."""
    rest = value & 0x7FFF
    if value & 0x8000:
        return f"SWAP_FLAG_PREFER|{rest}" if rest else "SWAP_FLAG_PREFER"
    return f"{rest:#x}" if rest else "0"
