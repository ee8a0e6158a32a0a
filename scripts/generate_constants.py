# ruff: noqa: E501
"""Write src/straced/records/text/tables/*.py: the names of constants, from the kernel's UAPI headers.

What the kernel keeps out of its UAPI (families and types of sockets, MSG_*, SHUT_*) is read from the C library's sys/socket.h.
The compiler evaluates the names, and nothing is run, so that headers of another machine serve as well.

Needs gcc, linux-libc-dev and libc6-dev-arm64-cross (Debian):  .venv/bin/python scripts/generate_constants.py
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).resolve().parent.parent / "src" / "straced" / "records" / "text" / "tables"
COMPILERS_OWN = subprocess.run(
    ["gcc", "-print-file-name=include"], check=True, capture_output=True, text=True
).stdout.strip()
HEADERS = {
    "x86_64": [
        "-nostdinc",
        "-isystem",
        COMPILERS_OWN,
        "-isystem",
        "/usr/include",
        "-isystem",
        "/usr/include/x86_64-linux-gnu",
    ],
    "arm64": [
        "-nostdinc",
        "-isystem",
        COMPILERS_OWN,
        "-isystem",
        "/usr/aarch64-linux-gnu/include",
        "-U__x86_64__",
        "-D__aarch64__=1",
    ],
}
NOT_ON = {"arm64": {"asm/prctl.h"}}


class Constants(NamedTuple):
    """One set: its headers, the pattern of its names, aliases that are left out, and names in the order that strace prints."""

    headers: str
    pattern: str
    without: str = ""
    last: str = ""
    """Names that are printed after the others, which come in the order of their values."""
    first: str = ""


SETS = {
    "errno": Constants("linux/errno.h", r"E[A-Z0-9]+", "EWOULDBLOCK EDEADLOCK"),
    "signal": Constants("asm/signal.h", r"SIG[A-Z0-9]+", "SIGPOLL SIGIOT SIGUNUSED SIGRTMIN SIGRTMAX SIGSTKSZ SIGLOST SIGCLD"),
    "sigaction": Constants(
        "asm/signal.h", r"SA_\w+", "SA_NOMASK SA_ONESHOT SA_UNSUPPORTED",
        first="SA_RESTORER SA_ONSTACK SA_RESTART SA_NODEFER SA_RESETHAND SA_SIGINFO",
    ),
    "sigprocmask": Constants("asm/signal.h", r"SIG_(BLOCK|UNBLOCK|SETMASK)"),
    "sigaltstack": Constants("linux/signal.h", r"SS_\w+", "SS_FLAG_BITS"),
    "access_mode": Constants("linux/fcntl.h asm/fcntl.h", r"O_(RDONLY|WRONLY|RDWR|ACCMODE)"),
    "open": Constants(
        "linux/fcntl.h asm/fcntl.h", r"_*O_\w+|FASYNC", "O_NDELAY O_RDONLY O_WRONLY O_RDWR O_ACCMODE O_SYNC O_TMPFILE_MASK O_TMPFILE",
    ),
    "at": Constants("linux/fcntl.h", r"AT_(SYMLINK_\w+|REMOVEDIR|EACCESS|NO_AUTOMOUNT|EMPTY_PATH|RECURSIVE)", "AT_EACCESS"),
    "unlinkat": Constants("linux/fcntl.h", r"AT_REMOVEDIR"),
    "faccessat": Constants("linux/fcntl.h", r"AT_(SYMLINK_NOFOLLOW|EACCESS|EMPTY_PATH)"),
    "statx_sync": Constants("linux/fcntl.h", r"AT_STATX_(FORCE|DONT)_SYNC"),
    "statx_mask": Constants("linux/stat.h", r"STATX_[A-Z_]+", "STATX_ATTR_\\w+ STATX__RESERVED", first="STATX_ALL STATX_BASIC_STATS"),
    "fcntl": Constants("linux/fcntl.h asm/fcntl.h", r"F_\w+", "F_OWNER_\\w+ F_SEAL_\\w+ F_RDLCK F_WRLCK F_UNLCK F_EXLCK F_SHLCK F_LINUX_SPECIFIC_BASE"),
    "fd_flags": Constants("asm/fcntl.h", r"FD_CLOEXEC"),
    "lock": Constants("asm/fcntl.h", r"LOCK_\w+"),
    "file_type": Constants("linux/stat.h", r"S_IF(SOCK|LNK|REG|BLK|DIR|CHR|IFO)"),
    "seek": Constants("linux/fs.h", r"SEEK_\w+", "SEEK_MAX"),
    "mmap_prot": Constants("linux/mman.h", r"PROT_\w+", "PROT_NONE"),
    "mmap_type": Constants("linux/mman.h", r"MAP_(SHARED|PRIVATE|SHARED_VALIDATE)"),
    "mmap": Constants("linux/mman.h", r"MAP_\w+", "MAP_SHARED MAP_PRIVATE MAP_SHARED_VALIDATE MAP_TYPE MAP_FILE MAP_HUGE_SHIFT MAP_HUGE_MASK MAP_HUGE_\\w+"),
    "mremap": Constants("linux/mman.h", r"MREMAP_\w+"),
    "msync": Constants("linux/mman.h", r"MS_\w+"),
    "madvise": Constants("linux/mman.h", r"MADV_\w+"),
    "mlockall": Constants("linux/mman.h", r"MCL_\w+"),
    "membarrier": Constants("linux/membarrier.h", r"MEMBARRIER_CMD_\w+"),
    "clone": Constants("linux/sched.h", r"CLONE_\w+", "CLONE_ARGS_\\w+ CLONE_NEWTIME CLONE_CLEAR_SIGHAND CLONE_INTO_CGROUP"),
    "clone3": Constants("linux/sched.h", r"CLONE_\w+", "CLONE_ARGS_\\w+ CLONE_DETACHED"),
    "wait": Constants("linux/wait.h", r"W[A-Z]+|__W[A-Z]+", "WUNTRACED", first="WNOHANG WEXITED"),
    "idtype": Constants("linux/wait.h", r"P_\w+"),
    "futex": Constants("linux/futex.h", r"FUTEX_(WAIT|WAKE|FD|REQUEUE|CMP_REQUEUE|WAKE_OP|LOCK_PI2?|UNLOCK_PI|TRYLOCK_PI|WAIT_BITSET|WAKE_BITSET|WAIT_REQUEUE_PI|CMP_REQUEUE_PI)"),
    "clock": Constants("linux/time.h", r"CLOCK_[A-Z_]+", "CLOCK_SGI_CYCLE"),
    "timer": Constants("linux/time.h", r"TIMER_ABSTIME"),
    "timerfd_settime": Constants("linux/timerfd.h", r"TFD_TIMER_\w+"),
    "itimer": Constants("linux/time.h", r"ITIMER_\w+"),
    "poll_events": Constants("asm/poll.h", r"POLL\w+", "POLL_BUSY_LOOP POLLFREE"),
    "epoll_events": Constants("linux/eventpoll.h", r"EPOLL(IN|PRI|OUT|ERR|HUP|NVAL|RDNORM|RDBAND|WRNORM|WRBAND|MSG|RDHUP|EXCLUSIVE|WAKEUP|ONESHOT|ET)"),
    "epoll_ctl": Constants("linux/eventpoll.h", r"EPOLL_CTL_\w+"),
    "inotify": Constants("linux/inotify.h", r"IN_[A-Z_]+", "IN_CLOSE IN_MOVE IN_ALL_EVENTS IN_CLOEXEC IN_NONBLOCK"),
    "random": Constants("linux/random.h", r"GRND_\w+"),
    "memfd": Constants("linux/memfd.h", r"MFD_[A-Z_]+", "MFD_HUGE_\\w+"),
    "fallocate": Constants("linux/falloc.h", r"FALLOC_FL_\w+"),
    "fadvise": Constants("linux/fadvise.h", r"POSIX_FADV_\w+"),
    "rename": Constants("linux/fs.h", r"RENAME_\w+"),
    "rwf": Constants("linux/fs.h", r"RWF_\w+", "RWF_SUPPORTED"),
    "sync_range": Constants("linux/fs.h", r"SYNC_FILE_RANGE_(WAIT_BEFORE|WRITE|WAIT_AFTER)"),
    "prctl": Constants("linux/prctl.h", r"PR_(SET|GET|CAPBSET|CAP|TASK|MCE|SCHED|PAC|MPX|SVE|SPEC)\w+", "PR_SET_MM_\\w+ PR_SPEC_(NOT|PR|EN|DI|FO|ST|IN|L1D)\\w* PR_CAP_AMBIENT_\\w+ PR_MCE_KILL_\\w+ PR_SET_PTRACER_ANY PR_SCHED_CORE_\\w+ PR_SVE_VL_\\w+ PR_PAC_AP\\w+"),
    "arch_prctl": Constants("asm/prctl.h", r"ARCH_(SET|GET)_(FS|GS|CPUID)|ARCH_\w*XCOMP\w*"),
    "rlimit": Constants("linux/resource.h", r"RLIMIT_\w+"),
    "rusage": Constants("linux/resource.h", r"RUSAGE_\w+", "RUSAGE_BOTH"),
    "priority": Constants("linux/resource.h", r"PRIO_(PROCESS|PGRP|USER)"),
    "scheduler": Constants("linux/sched.h", r"SCHED_(NORMAL|FIFO|RR|BATCH|ISO|IDLE|DEADLINE)"),
    "rseq": Constants("linux/rseq.h", r"RSEQ_FLAG_\w+"),
    "family": Constants("sys/socket.h", r"AF_\w+", "AF_LOCAL AF_FILE AF_ROUTE AF_MAX"),
    "socket_type": Constants("sys/socket.h", r"SOCK_(STREAM|DGRAM|RAW|RDM|SEQPACKET|DCCP|PACKET)"),
    "socket_flags": Constants("sys/socket.h", r"SOCK_(CLOEXEC|NONBLOCK)", first="SOCK_CLOEXEC"),
    "ip_protocol": Constants("linux/in.h", r"IPPROTO_\w+", "IPPROTO_MAX"),
    "netlink": Constants("linux/netlink.h", r"NETLINK_(ROUTE|USERSOCK|FIREWALL|SOCK_DIAG|NFLOG|XFRM|SELINUX|ISCSI|AUDIT|FIB_LOOKUP|CONNECTOR|NETFILTER|IP6_FW|DNRTMSG|KOBJECT_UEVENT|GENERIC|SCSITRANSPORT|ECRYPTFS|RDMA|CRYPTO|SMC)"),
    "message": Constants("sys/socket.h", r"MSG_\w+", "MSG_TRYHARD"),
    "shutdown": Constants("sys/socket.h", r"SHUT_\w+"),
    "socket_level": Constants("sys/socket.h netinet/in.h netinet/tcp.h netinet/udp.h", r"SOL_\w+"),
    "socket_option": Constants(
        "asm/socket.h", r"SO_\w+", "SO_GET_FILTER SO_DETACH_BPF SO_(TIMESTAMP|TIMESTAMPNS|TIMESTAMPING|RCVTIMEO|SNDTIMEO) SO_DETACH_FILTER_",
    ),
    "ip_option": Constants("linux/in.h", r"(IP|MCAST)_\w+", "MCAST_INCLUDE MCAST_EXCLUDE IP_RECVORIGDSTADDR IP_PMTUDISC_\\w+ IP_DEFAULT_\\w+ IP_RECVRETOPTS"),
    "ipv6_option": Constants("linux/in6.h", r"IPV6_\w+", "IPV6_RECVORIGDSTADDR IPV6_(PMTUDISC|FL|PRIORITY|TLV|PREFER|RX|MIN)\\w*"),
    "tcp_option": Constants("linux/tcp.h", r"TCP_\w+", "TCP_CM_INQ TCP_(MSS_DEFAULT|MSS_DESIRED|MD5SIG_\\w+|REPAIR_\\w+|CA_\\w+|FLAG_\\w+|NLA_\\w+|DATA_\\w+|BPF_\\w+|AO_\\w+|RECEIVE_ZEROCOPY_\\w+)"),
    "terminal": Constants("asm/ioctls.h linux/termios.h linux/serial.h", r"(TC|TIO)[A-Z0-9_]+", "TIOCINQ TIOCPKT_\\w+ TCI\\w+ TCO\\w+ TCSA\\w+ TIOCM_\\w+ TIOCSER_\\w+ TIOCGRS485 TIOCSRS485"),
    "file_ioctl": Constants("asm/ioctls.h", r"FIO(NREAD|NBIO|CLEX|NCLEX|ASYNC|QSIZE)"),
    "network_ioctl": Constants("linux/sockios.h", r"SIOC[A-Z0-9_]+", "SIOCINQ SIOCOUTQ SIOCDEVPRIVATE SIOCPROTOPRIVATE SIOCGSTAMP\\w* SIOC\\w+_OLD SIOC\\w+_NEW"),
    "sound_timer": Constants("linux/soundcard.h", r"SNDCTL_TMR_(START|STOP|CONTINUE)"),
    "clone_file": Constants("linux/fs.h", r"FICLONE"),
    "clone_btrfs": Constants("linux/btrfs.h", r"BTRFS_IOC_CLONE"),
    "capability": Constants("linux/capability.h", r"CAP_[A-Z_]+", "CAP_LAST_CAP"),
    "statx_attribute": Constants("linux/stat.h", r"STATX_ATTR_\w+"),
    "file_system": Constants("linux/magic.h", r"\w+_MAGIC", "EXT[34]_SUPER_MAGIC"),
    "lock_type": Constants("asm/fcntl.h", r"F_(RDLCK|WRLCK|UNLCK|EXLCK|SHLCK)"),
    "owner_type": Constants("asm/fcntl.h", r"F_OWNER_(TID|PID|PGRP)"),
    "terminal_input": Constants("asm/termbits.h", r"IGN(BRK|PAR|CR)|BRKINT|PARMRK|INPCK|ISTRIP|INLCR|ICRNL|IUCLC|IXON|IXANY|IXOFF|IMAXBEL|IUTF8"),
    "terminal_output": Constants("asm/termbits.h", r"OPOST|OLCUC|ONLCR|OCRNL|ONOCR|ONLRET|OFILL|OFDEL"),
    "terminal_delay": Constants("asm/termbits.h", r"(NL|CR|BS|VT|FF)[0-3]|TAB[0-2]|XTABS"),
    "terminal_speed": Constants("asm/termbits.h", r"B\d+|BOTHER"),
    "terminal_control": Constants("asm/termbits.h", r"CSTOPB|CREAD|PARENB|PARODD|HUPCL|CLOCAL|CMSPAR|CRTSCTS"),
    "terminal_local": Constants("asm/termbits.h", r"ISIG|ICANON|XCASE|ECHO|ECHO(E|K|NL|CTL|PRT|KE)|FLUSHO|NOFLSH|TOSTOP|PENDIN|IEXTEN|EXTPROC", last="IEXTEN ECHOCTL ECHOPRT ECHOKE FLUSHO PENDIN TOSTOP EXTPROC"),
    "mount": Constants("linux/mount.h", r"MS_[A-Z]+", "MS_MGC_\\w+ MS_VERBOSE"),
    "fsopen": Constants("linux/mount.h", r"FSOPEN_CLOEXEC"),
    "fsmount": Constants("linux/mount.h", r"FSMOUNT_CLOEXEC"),
    "fspick": Constants("linux/mount.h", r"FSPICK_\w+"),
    "move_mount": Constants("linux/mount.h", r"MOVE_MOUNT_\w+", "MOVE_MOUNT__MASK MOVE_MOUNT_BENEATH"),
    "mount_attribute": Constants("linux/mount.h", r"MOUNT_ATTR_(RDONLY|NOSUID|NODEV|NOEXEC|NOATIME|STRICTATIME|NODIRATIME|IDMAP|NOSYMFOLLOW)"),
    "namespace": Constants("linux/sched.h", r"CLONE_NEW(TIME|NS|CGROUP|UTS|IPC|USER|PID|NET)"),
    "unshare": Constants("linux/sched.h", r"CLONE_(NEW\w+|VM|FS|FILES|SIGHAND|THREAD|SYSVSEM)"),
    "ipc": Constants("linux/ipc.h", r"IPC_(CREAT|EXCL)"),
    "shared_memory": Constants("linux/ipc.h linux/shm.h", r"IPC_(CREAT|EXCL)|SHM_(HUGETLB|NORESERVE)"),
    "shared_attach": Constants("linux/shm.h", r"SHM_(RDONLY|RND|REMAP|EXEC)"),
    "shared_command": Constants("linux/ipc.h linux/shm.h", r"IPC_(RMID|SET|STAT|INFO)|SHM_(LOCK|UNLOCK|STAT|INFO|STAT_ANY)"),
    "semaphore_command": Constants("linux/ipc.h linux/sem.h", r"IPC_(RMID|SET|STAT|INFO)|(GET|SET)(PID|VAL|ALL|NCNT|ZCNT)|SEM_(STAT|INFO|STAT_ANY)"),
    "queue_command": Constants("linux/ipc.h linux/msg.h", r"IPC_(RMID|SET|STAT|INFO)|MSG_(STAT|INFO|STAT_ANY)"),
    "queue": Constants("linux/ipc.h linux/msg.h", r"MSG_(NOERROR|EXCEPT|COPY)|IPC_NOWAIT", last="IPC_NOWAIT"),
    "memory_policy": Constants("linux/mempolicy.h", r"MPOL_F_(NODE|ADDR|MEMS_ALLOWED)"),
    "memory_mode": Constants("linux/mempolicy.h", r"MPOL_F_(STATIC_NODES|RELATIVE_NODES|NUMA_BALANCING)"),
    "memory_move": Constants("linux/mempolicy.h", r"MPOL_MF_(STRICT|MOVE|MOVE_ALL)"),
    "mlock": Constants("linux/mman.h", r"MLOCK_ONFAULT"),
    "protection_key": Constants("linux/mman.h", r"PKEY_DISABLE_(ACCESS|WRITE)"),
    "fanotify_class": Constants("linux/fanotify.h", r"FAN_CLASS_\w+"),
    "fanotify_init": Constants("linux/fanotify.h", r"FAN_(CLOEXEC|NONBLOCK|UNLIMITED_\w+|ENABLE_AUDIT|REPORT_(TID|FID|DIR_FID|NAME|TARGET_FID|PIDFD))"),
    "fanotify_mark": Constants("linux/fanotify.h", r"FAN_MARK_(ADD|REMOVE|DONT_FOLLOW|ONLYDIR|MOUNT|IGNORED_MASK|IGNORED_SURV_MODIFY|FLUSH|FILESYSTEM)"),
    "fanotify_events": Constants("linux/fanotify.h", r"FAN_(ACCESS|MODIFY|ATTRIB|CLOSE_WRITE|CLOSE_NOWRITE|OPEN|MOVED_FROM|MOVED_TO|CREATE|DELETE|DELETE_SELF|MOVE_SELF|OPEN_EXEC|Q_OVERFLOW|FS_ERROR|OPEN_PERM|ACCESS_PERM|OPEN_EXEC_PERM|EVENT_ON_CHILD|RENAME|ONDIR)"),
    "key_special": Constants("linux/keyctl.h", r"KEY_SPEC_\w+"),
    "key_command": Constants("linux/keyctl.h", r"KEYCTL_[A-Z_0-9]+", "KEYCTL_SUPPORTS_\\w+ KEYCTL_CAPS\\d_\\w+ KEYCTL_MOVE_EXCL"),
    "perf_flag": Constants("linux/perf_event.h", r"PERF_FLAG_\w+"),
    "uring_enter": Constants("linux/io_uring.h", r"IORING_ENTER_(GETEVENTS|SQ_WAKEUP|SQ_WAIT|EXT_ARG|REGISTERED_RING)"),
    "seccomp": Constants("linux/seccomp.h", r"SECCOMP_(SET_MODE_\w+|GET_ACTION_AVAIL|GET_NOTIF_SIZES)"),
    "seccomp_filter": Constants("linux/seccomp.h", r"SECCOMP_FILTER_FLAG_\w+"),
    "landlock": Constants("linux/landlock.h", r"LANDLOCK_CREATE_RULESET_VERSION"),
    "module_init": Constants("linux/module.h", r"MODULE_INIT_\w+"),
    "ptrace": Constants(
        "linux/ptrace.h", r"PTRACE_\w+",
        "PTRACE_(O|EVENT|SYSCALL_INFO|PEEKSIGINFO_SHARED|EVENTMSG)_?\\w* PTRACE_(OLDSETOPTIONS|GET_RSEQ\\w+|GETFDPIC\\w*|SYSEMU\\w+)",
    ),
    "ptrace_option": Constants("linux/ptrace.h", r"PTRACE_O_\w+", "PTRACE_O_MASK"),
    "seal": Constants("linux/fcntl.h", r"F_SEAL_(SEAL|SHRINK|GROW|WRITE|FUTURE_WRITE)"),
    "file_notice": Constants("linux/fcntl.h", r"DN_\w+"),
    "netlink_option": Constants("linux/netlink.h", r"NETLINK_(ADD_MEMBERSHIP|DROP_MEMBERSHIP|PKTINFO|BROADCAST_ERROR|NO_ENOBUFS|RX_RING|TX_RING|LISTEN_ALL_NSID|LIST_MEMBERSHIPS|CAP_ACK|EXT_ACK|GET_STRICT_CHK)"),
    "udp_option": Constants("linux/udp.h", r"UDP_(CORK|ENCAP|NO_CHECK6_TX|NO_CHECK6_RX|SEGMENT|GRO)"),
    "packet_option": Constants("linux/if_packet.h", r"PACKET_(ADD_MEMBERSHIP|DROP_MEMBERSHIP|RECV_OUTPUT|RX_RING|STATISTICS|COPY_THRESH|AUXDATA|ORIGDEV|VERSION|HDRLEN|RESERVE|TX_RING|LOSS|VNET_HDR|TX_TIMESTAMP|TIMESTAMP|FANOUT|TX_HAS_OFF|QDISC_BYPASS|ROLLOVER_STATS|FANOUT_DATA|IGNORE_OUTGOING|VNET_HDR_SZ)"),
    "device_ioctl": Constants(
        "stddef.h linux/fs.h linux/fiemap.h linux/loop.h linux/random.h linux/rtc.h linux/if_tun.h linux/nsfs.h linux/perf_event.h"
        " linux/watchdog.h linux/kd.h linux/vt.h linux/fuse.h linux/btrfs.h",
        r"FS_IOC_\w+|FIBMAP|FIGETBSZ|FIFREEZE|FITHAW|FITRIM|FICLONERANGE|FIDEDUPERANGE|BLK(RO|RR|GET|SSZ|FLS|RA|FRA|SECT|BSZ|PG|IO|PBSZ|DISC|ALIGN|ROT|ZERO)\w+"
        r"|LOOP_(SET|CLR|GET|CHANGE|CTL|CONFIGURE)\w*|RND(GET|ADD|CLEAR|ZAP|RESEED)[A-Z]*|RTC_(AIE|UIE|PIE|WIE|ALM|RD|SET|IRQP|EPOCH|WKALM|PLL|VL)_\w+"
        r"|TUN(SET|GET|ATTACH|DETACH)[A-Z]+|NS_GET_\w+|PERF_EVENT_IOC_[A-Z_]+|WDIOC_\w+|KD(GET|SET|GKB|SKB|MK|SIG|FONT)\w+|VT_(OPENQRY|GETMODE|SETMODE|GETSTATE|ACTIVATE|WAITACTIVE|DISALLOCATE|RELDISP)"
        r"|FUSE_DEV_IOC_\w+|BTRFS_IOC_(SUBVOL_CREATE|SNAP_CREATE|SYNC|INO_LOOKUP|TREE_SEARCH|SUBVOL_GETFLAGS|FS_INFO|DEV_INFO)",
        "FS_IOC_FS\\w+ FS_IOC32\\w+ PERF_EVENT_IOC_FLAG_GROUP LOOP_SET_STATUS_\\w+ LOOP_CONFIGURE_\\w+ BLKTRACE\\w* KDSKBSENT KDGKBSENT RTC_VL_[DBA]\\w+ FUSE_DEV_IOC_MAGIC",
    ),
}  # fmt: skip


def compile_with(abi: str, *arguments: str, source: str) -> str:
    argv = ["gcc", *HEADERS[abi], "-x", "c", *arguments, "-o", "-", "-"]
    done = subprocess.run(argv, input=source, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def includes(headers: str) -> str:
    return "".join(f"#include <{header}>\n" for header in headers.split())


def names(abi: str, wanted: Constants) -> list[str]:
    defined = compile_with(abi, "-E", "-dM", source=includes(wanted.headers))
    without = re.compile("|".join(wanted.without.split()) or "(?!)")
    found = re.findall(r"^#define (\w+) \S", defined, re.MULTILINE)
    return [name for name in found if re.fullmatch(wanted.pattern, name) and not without.fullmatch(name)]


def values(abi: str, wanted: Constants, found: list[str]) -> dict[str, int]:
    """Each name's value, read from the assembly of one array."""
    source = includes(wanted.headers)
    source += "long values[] = {" + ",".join(f"(long)({name})" for name in found) + "};\n"
    quads = []
    for line in compile_with(abi, "-S", "-fno-asynchronous-unwind-tables", "-w", source=source).splitlines():
        match = re.match(r"\s+\.(quad|zero)\s+(-?\d+)", line)
        if match is not None:
            quads += [int(match[2])] if match[1] == "quad" else [0] * (int(match[2]) // 8)
    assert len(quads) == len(found), (wanted, found, quads)
    return dict(zip(found, quads, strict=True))


def set_of(abi: str, wanted: Constants) -> list[tuple[int, str]]:
    if NOT_ON.get(abi, set()) & set(wanted.headers.split()):
        return []
    found = values(abi, wanted, names(abi, wanted))
    first, last = wanted.first.split(), wanted.last.split()

    def place(name: str) -> tuple[int, int, str]:
        if name in first:
            return first.index(name) - len(first), 0, name
        return last.index(name) + 1 if name in last else 0, found[name], name

    order = sorted(found, key=place)
    return [(found[name], name) for name in order]


def main() -> None:
    for abi in HEADERS:
        lines = [f'"""Generated by scripts/generate_constants.py: names of constants, {abi}."""', "", "SETS = {"]
        for name, wanted in SETS.items():
            found = set_of(abi, wanted)
            lines += [f'    "{name}": (', *(f'        ({value:#x}, "{each}"),' for value, each in found), "    ),"]
            doubled = {value for value, _ in found if sum(value == other for other, _ in found) > 1}
            if doubled:
                print(abi, name, [each for value, each in found if value in doubled])
        (OUT / f"{abi}.py").write_text("\n".join([*lines, "}", ""]))


if __name__ == "__main__":
    main()
