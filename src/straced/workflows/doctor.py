"""Look at what works here: strace, ptrace, eBPF, cgroups, the terminal; and what would work on one process.

No process is attached to and nothing is changed; the eBPF programs are loaded for a moment, since only the kernel knows
whether it takes them. Each thing that is missing comes with the line that cures it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import sys

from straced._version import __version__
from straced.errors import NoSuchProcess, StracedError, StraceMissing, TracerUnavailable
from straced.linux import capabilities, cgroups, procfs
from straced.model.diagnosis import Diagnosis, DoctorCheck
from straced.model.types import Target
from straced.profiling import tracer_choice
from straced.text.sanitize import scrub
from straced.tracers.base import Availability
from straced.tracers.strace import binary
from straced.traces.native import choice
from straced.workflows.doctor_target import about, describe
from straced.workflows.hints import as_typed

TRACERS = ("ebpf", "strace", "sampler")
UNSEEN = (
    "calls answered in user space by the vDSO (clock_gettime, gettimeofday, time, getcpu): they never enter the kernel",
    "work done through io_uring, but for --io-uring: one io_uring_enter, or none, stands for any number of operations",
)
UNIT_LINE = "in a systemd unit: AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_SYS_PTRACE (never setcap on an interpreter)"

SUDO_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where sudo looks, as distributions configure it (``secure_path``)."""


def examine(pid: int | None = None, root: str = procfs.ROOT) -> Diagnosis:
    """Look at this machine and, given a pid, at that process.

    Raises:
        NoSuchProcess: there is no such process.
    """
    me = capabilities.caller(root)
    try:
        target = None if pid is None else procfs.target(pid, root)
    except procfs.Gone as gone:
        raise NoSuchProcess(f"no such process: {pid}", hint="pgrep -af NAME finds one", pid=pid) from gone
    return Diagnosis(
        version=__version__,
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        uid=me.uid,
        target=None if target is None else describe(target, root),
        tracers=tuple(tracer(name, target, me, root) for name in TRACERS),
        here=(strace(), ptrace(me, root), *bpf(me, root), cgroup(root), terminal(), traces(), sudo()),
        about_target=() if target is None else about(target, root),
        unseen=UNSEEN,
    )


def tracer(name: str, target: Target | None, me: capabilities.Caller, root: str = procfs.ROOT) -> DoctorCheck:
    """Whether a tracer would serve, here or on a target."""
    try:
        made = tracer_choice.make(name)
    except TracerUnavailable as error:
        return DoctorCheck(name=name, state="no", detail=error.reason)
    try:
        found = made.probe(target)
        if found.usable and not (tried := made.trial()).usable:
            found = tried
    except StracedError as error:
        found = Availability(usable=False, detail=error.reason, error=error)
    if not found.usable:
        hints = tuple(as_typed(found.error.hint).splitlines()) if found.error else ()
        return DoctorCheck(name=name, state="no", detail=found.detail, remedy=hints)
    if made.uses_ptrace and (kernel := ptrace(me, root)).state == "no":
        return DoctorCheck(
            name=name, state="no", detail=f"{found.detail}, but no ptrace: {kernel.detail}", remedy=kernel.remedy
        )
    if made.uses_ptrace and capabilities.yama_scope(root) == 1 and not me.has("SYS_PTRACE"):
        detail = f"{found.detail}; only for what straced starts (kernel.yama.ptrace_scope = 1)"
        return DoctorCheck(name=name, state="limited", detail=detail, remedy=("straced run -- CMD", *_more_rights()))
    return DoctorCheck(name=name, state="yes", detail=found.detail)


def strace() -> DoctorCheck:
    """Which strace there is."""
    try:
        found = binary.find()
    except StraceMissing as error:
        return DoctorCheck(
            name="strace", state="no", detail=error.reason, remedy=tuple(as_typed(error.hint).splitlines())
        )
    return DoctorCheck(name="strace", state="yes", detail=f"{found.version[0]}.{found.version[1]}, {scrub(found.path)}")


def ptrace(me: capabilities.Caller, root: str = procfs.ROOT) -> DoctorCheck:
    """What ids, capabilities, Yama and seccomp leave of ptrace(2)."""
    scope = capabilities.yama_scope(root)
    yama = "no Yama" if scope is None else f"Yama's ptrace_scope is {scope}"
    if capabilities.ptrace_blocked():
        containers = ("start the container with --cap-add SYS_PTRACE, or --security-opt seccomp=unconfined",)
        return DoctorCheck(name="ptrace", state="no", detail="a seccomp filter refuses it", remedy=containers)
    if scope == 3 or (scope == 2 and not me.has("SYS_PTRACE")):
        remedy = _more_rights() if scope == 2 else ("reboot with another kernel.yama.ptrace_scope, or use eBPF",)
        return DoctorCheck(name="ptrace", state="no", detail=yama, remedy=remedy)
    if me.has("SYS_PTRACE"):
        return DoctorCheck(name="ptrace", state="yes", detail=f"any process (CAP_SYS_PTRACE); {yama}")
    if me.uid == 0:
        remedy = ("start the container with --cap-add SYS_PTRACE",)
        return DoctorCheck(name="ptrace", state="limited", detail=f"root without CAP_SYS_PTRACE; {yama}", remedy=remedy)
    whose = "what straced starts" if scope == 1 else "your own processes"
    return DoctorCheck(name="ptrace", state="limited", detail=f"{whose}; {yama}", remedy=_more_rights())


def bpf(me: capabilities.Caller, root: str = procfs.ROOT) -> tuple[DoctorCheck, ...]:
    """What eBPF needs, thing by thing."""
    return _libbpf(), _btf(), _bpf_rights(me, root), DoctorCheck(name="tracefs", state="info", detail="not needed")


def _libbpf() -> DoctorCheck:
    try:
        library = ctypes.CDLL("libbpf.so.1")
        version = f"{library.libbpf_major_version()}.{library.libbpf_minor_version()}"
    except (OSError, AttributeError):
        remedy = ("apt-get install libbpf1, or dnf install libbpf",)
        return DoctorCheck(name="libbpf.so.1", state="no", detail="not found", remedy=remedy)
    return DoctorCheck(name="libbpf.so.1", state="yes", detail=version)


def _btf(path: str = "/sys/kernel/btf/vmlinux") -> DoctorCheck:
    if os.access(path, os.R_OK):
        return DoctorCheck(name="BTF", state="yes", detail=path)
    remedy = ("a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of all large distributions are",)
    return DoctorCheck(name="BTF", state="no", detail=f"{path} is missing or unreadable", remedy=remedy)


def _bpf_rights(me: capabilities.Caller, root: str) -> DoctorCheck:
    missing = [f"CAP_{name}" for name in ("BPF", "PERFMON") if not (me.has(name) or me.has("SYS_ADMIN"))]
    if not missing and not capabilities.in_initial_user_namespace(root):
        detail = "those of a user namespace do not count for eBPF"
        return DoctorCheck(name="BPF rights", state="no", detail=detail, remedy=("run it outside of the container",))
    if not missing and me.seccomp == capabilities.SECCOMP_FILTER and capabilities.bpf_blocked():
        containers = ("start the container with --security-opt seccomp=unconfined, or a profile with bpf",)
        return DoctorCheck(name="BPF rights", state="no", detail="a seccomp filter refuses bpf(2)", remedy=containers)
    if not missing:
        return DoctorCheck(name="BPF rights", state="yes", detail="CAP_BPF and CAP_PERFMON")
    detail = f"without {' and '.join(missing)}"
    remedy = ("start the container with --cap-add BPF --cap-add PERFMON",) if me.uid == 0 else _more_rights()
    return DoctorCheck(name="BPF rights", state="no", detail=detail, remedy=remedy)


def _more_rights() -> tuple[str, ...]:
    return (capabilities.sudo_line(), UNIT_LINE)


def cgroup(root: str = procfs.ROOT) -> DoctorCheck:
    """Which kind of control groups there is: cgroup: and unit: targets need one."""
    kind = cgroups.kind(root)
    if kind == "none":
        return DoctorCheck(name="cgroups", state="no", detail="none is mounted: cgroup: and unit: targets find nothing")
    return DoctorCheck(name="cgroups", state="yes", detail=kind)


def terminal() -> DoctorCheck:
    """Whether somebody looks, and what can be shown."""
    if not sys.stdout.isatty():
        return DoctorCheck(name="terminal", state="info", detail="stdout is not a terminal: plain text, no live screen")
    size = os.get_terminal_size(sys.stdout.fileno())
    encoding = (sys.stdout.encoding or "").lower()
    detail = f"{os.environ.get('TERM', '?')}, {size.columns}x{size.lines}, {encoding}"
    if encoding not in ("utf-8", "utf8"):
        return DoctorCheck(name="terminal", state="limited", detail=detail, remedy=("export LC_ALL=C.UTF-8",))
    return DoctorCheck(name="terminal", state="yes", detail=detail)


def traces() -> DoctorCheck:
    """Which reader serves ``report`` and ``diff``."""
    detail = f"read by {choice.describe()}"
    if not choice.is_wanted():
        return DoctorCheck(name="traces", state="info", detail=detail)
    if choice.is_there():
        return DoctorCheck(name="traces", state="yes", detail=detail)
    remedy = (
        "install a C compiler (apt-get install gcc libc6-dev), then straced once more: pip install --force-reinstall"
    )
    return DoctorCheck(name="traces", state="limited", detail=detail, remedy=(remedy,))


def sudo(program: str = "") -> DoctorCheck:
    """How it is called by sudo, whose path has no virtual environment."""
    program = program or capabilities.program()
    if os.path.dirname(program) in SUDO_PATH:
        return DoctorCheck(name="sudo", state="yes", detail="sudo straced")
    once = f"sudo ln -s {shlex.quote(program)} /usr/local/bin/straced"
    detail = f"sudo {shlex.quote(program)}; without the path after:"
    return DoctorCheck(name="sudo", state="info", detail=detail, remedy=(once,))
