"""Whether eBPF can serve here, and if not, the one thing that is missing. The kernel is asked, not its version."""

from __future__ import annotations

import errno
import os
import platform

from straced.errors import (
    AttachError,
    KernelThread,
    NoResources,
    NoSuchProcess,
    NotDumpable,
    NotPermitted,
    OwnProcess,
    ProtectedTarget,
    TargetIsZombie,
    TracerUnavailable,
)
from straced.linux import capabilities as rights
from straced.linux import procfs
from straced.model.types import Target
from straced.tracers.ebpf import libbpf
from straced.tracers.ebpf.errors import (
    EbpfBroken,
    EbpfLockedDown,
    EbpfNoBtf,
    EbpfNoLibrary,
    EbpfNotPermitted,
    EbpfTooOld,
    EbpfUnavailable,
)

BTF = "/sys/kernel/btf/vmlinux"
LOCKDOWN = "/sys/kernel/security/lockdown"
CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 19, 21, 38, 39
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of include/linux/proc_ns.h."""
LASTING = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS)
"""How a filter or a verifier refuses: it will again. Memory and descriptors may be there later."""
_RAW_TRACEPOINT, _BPF_LOOP, _TASK_STORAGE, _LPM_TRIE = 17, 181, 29, 11
"""enum bpf_prog_type, bpf_func_id, bpf_map_type (linux/bpf.h). Mainline has all since 5.17, distributions before."""


def missing() -> EbpfUnavailable | None:
    """What keeps the programs from being loaded, found without loading anything; ``None`` if nothing is known to."""
    if platform.machine() not in ("x86_64", "aarch64"):
        return EbpfTooOld(f"there are no eBPF programs for {platform.machine()}")
    rights = _missing_rights()
    if rights is not None:
        return rights
    if not os.path.exists(BTF):
        return EbpfNoBtf(
            f"the kernel does not describe its types: no {BTF}",
            hint='use a kernel with CONFIG_DEBUG_INFO_BTF=y, or tracer="strace"',
        )
    try:
        libbpf.load()
    except (OSError, AttributeError) as error:
        return EbpfNoLibrary(f"{libbpf.SONAME} cannot be loaded: {error}", hint="install libbpf1 (Debian) or libbpf")
    return None


def lacking() -> str:
    """What this kernel's BPF lacks, asked of the kernel itself (3 ms, once a process); ``""``: nothing known."""
    library = libbpf.load()
    if library.libbpf_probe_bpf_map_type(_LPM_TRIE, None) != 1:
        return ""  # older than anything, and for the same privilege: it is us whom the kernel refuses
    if library.libbpf_probe_bpf_map_type(_TASK_STORAGE, None) == 0:
        return "task storage for programs"
    if library.libbpf_probe_bpf_helper(_RAW_TRACEPOINT, _BPF_LOOP, None) == 0:
        return "bpf_loop()"
    return ""


def _missing_rights() -> EbpfUnavailable | None:
    held = capabilities()
    if held >> CAP_SYS_ADMIN & 1 or (held >> CAP_BPF & 1 and held >> CAP_PERFMON & 1):
        if lockdown() == "confidentiality":
            return EbpfLockedDown(
                "the kernel is locked down (confidentiality): it lets nobody read its memory by eBPF",
                hint='boot with lockdown=integrity or none, or use tracer="strace"',
            )
        return _filtered()
    names = [name for bit, name in ((CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")) if not held >> bit & 1]
    return EbpfNotPermitted(
        f"eBPF needs root, or CAP_BPF and CAP_PERFMON; missing here: {', '.join(names)}", hint="run it with sudo"
    )


def _filtered() -> EbpfUnavailable | None:
    """A seccomp filter over us may kill who calls bpf(2), so it is not called to find out."""
    me = rights.caller()
    if me.seccomp != rights.SECCOMP_FILTER or not rights.in_initial_user_namespace() or not rights.bpf_blocked():
        return None
    return EbpfNotPermitted(
        "a seccomp filter refuses bpf(2)",
        hint="in a container: --security-opt seccomp=unconfined, or a profile with bpf",
    )


def capabilities(root: str = procfs.ROOT) -> int:
    """The effective capabilities of this thread, as a mask."""
    return int(procfs.status("self", root).get("CapEff", "0"), 16)


def lockdown(path: str = LOCKDOWN) -> str:
    """``none``, ``integrity`` or ``confidentiality``; ``none`` too where the kernel cannot say."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
    except OSError:
        return "none"
    return text.partition("[")[2].partition("]")[0] or "none"


def load_error(error: OSError) -> TracerUnavailable:
    """The typed reason for a load or an attach that failed; decided by errno."""
    message = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        return NoResources(error.errno)
    if error.errno == errno.EPERM:  # EACCES is the verifier's word for a program it does not accept
        if not rights.in_initial_user_namespace():
            return EbpfNotPermitted(
                "the capabilities of a user namespace do not count for eBPF", hint="run it outside of the container"
            )
        if lockdown() != "none":
            return EbpfLockedDown(f"the kernel is locked down ({lockdown()}) and refused the programs")
        return EbpfNotPermitted(
            f"the kernel refused the eBPF programs ({message})",
            hint="run it with sudo; in a container, give it CAP_BPF and CAP_PERFMON, and a seccomp profile with bpf",
        )
    if error.errno == errno.EINVAL and (lack := lacking()):
        return EbpfTooOld(
            f"the kernel ({platform.release()}) has no {lack}, which eBPF counting needs",
            hint='use a newer kernel (Linux 5.17, or one of a distribution that has it), or tracer="strace"',
        )
    if error.errno == errno.ENOSYS:
        return EbpfTooOld("the kernel has no bpf(2), or a filter hides it", hint='use tracer="strace"')
    if error.errno in (errno.ENOMEM, errno.E2BIG, errno.ENOSPC):
        return EbpfBroken(
            f"no memory for the eBPF maps ({message})", hint="raise the memory limit (ulimit -l, or the cgroup)"
        )
    return EbpfBroken(f"the eBPF programs cannot be loaded ({message})", hint="the log of straced.libbpf says why")


def check_target(target: Target, *, force: bool = False) -> None:
    """Judge whether the caller may look at this process, and whether there is something to count.

    With CAP_BPF the kernel would show us anybody's calls, so we ask by the rule of ptrace(2): the same user and a
    dumpable process, or CAP_SYS_PTRACE.

    Raises:
        AttachError: of the kind that says why not.
    """
    pid = target.pid
    try:
        facts = procfs.stat(pid)
        if facts.start_ticks != target.start_ticks:
            raise gone(pid)
        _check_kind(target, facts, force)
        if not may_see_all():
            _check_owner(pid)
    except procfs.Gone:
        raise gone(pid) from None


def may_see_all() -> bool:
    """Whether we may look at processes of other users: CAP_SYS_PTRACE, as for ptrace(2)."""
    return bool(capabilities() >> CAP_SYS_PTRACE & 1)


def gone(pid: int) -> NoSuchProcess:
    """The error for a process that ended."""
    return NoSuchProcess(f"process {pid} no longer exists", pid=pid)


def _check_kind(target: Target, facts: procfs.Stat, force: bool) -> None:
    pid = target.pid
    if pid == os.getpid():
        raise OwnProcess("that is straced itself", pid=pid, hint="follow what it starts with watch_children")
    if pid == 1 and not force and os.readlink(f"{procfs.ROOT}/self/ns/pid") == INITIAL_PID_NAMESPACE:
        raise ProtectedTarget("process 1 is left alone unless forced", pid=pid, hint="add force=True")
    if facts.is_kernel_thread:
        raise KernelThread(f"{pid} ({facts.comm}) is a kernel thread: it makes no system calls", pid=pid)
    if facts.state in "ZX" and len(procfs.tasks(pid)) <= 1:
        raise TargetIsZombie(f"{pid} ({facts.comm}) has ended and waits for its parent", pid=pid)


def _check_owner(pid: int) -> None:
    lines = procfs.status(pid)
    uids, gids = set(lines["Uid"].split()[:3]), set(lines["Gid"].split()[:3])
    if uids != {str(os.geteuid())} or gids != {str(os.getegid())}:
        raise NotPermitted(f"{pid} belongs to uid {lines['Uid'].split()[0]}", pid=pid, hint="run it with sudo")
    try:
        if os.stat(f"{procfs.ROOT}/{pid}").st_uid != os.geteuid():
            raise NotDumpable(f"{pid} hides itself (PR_SET_DUMPABLE)", pid=pid, hint="run it with sudo")
    except FileNotFoundError:
        raise gone(pid) from None


__all__ = ["AttachError", "check_target", "load_error", "missing"]
