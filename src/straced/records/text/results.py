"""What a call returned, as strace writes it behind the equals sign."""

from __future__ import annotations

import os
from collections.abc import Callable

from straced.records.text.flags import flags, one_of
from straced.records.text.local_sets import LOCAL, io_priority, personality
from straced.records.text.named import open_flags
from straced.records.text.processes import Process
from straced.records.text.tables import constants
from straced.records.values import Record

Result = Callable[[Record, Process], str]
_RESTARTS = {
    -512: "? ERESTARTSYS (To be restarted if SA_RESTART is set)",
    -513: "? ERESTARTNOINTR (To be restarted)",
    -514: "? ERESTARTNOHAND (To be restarted if no handler)",
    -516: "? ERESTART_RESTARTBLOCK (Interrupted by signal)",
}
"""Codes of the kernel's own, which programs never see (include/linux/errno.h)."""
DESCRIPTORS = frozenset(
    """open openat openat2 creat dup dup2 dup3 socket accept accept4 epoll_create epoll_create1
    eventfd eventfd2 pidfd_open timerfd_create signalfd signalfd4 inotify_init inotify_init1
    memfd_create fanotify_init userfaultfd pidfd_getfd open_by_handle_at perf_event_open
    io_uring_setup landlock_create_ruleset fsopen fspick fsmount open_tree memfd_secret mq_open""".split()  # noqa: SIM905
)
ADDRESSES = frozenset({"mmap", "mremap", "brk", "shmat"})
TIMED = frozenset({"select", "pselect6"})
POLLS = frozenset({"poll", "ppoll"})
DUMPABLE = ("SUID_DUMP_DISABLE", "SUID_DUMP_USER", "SUID_DUMP_ROOT")
"""Of the kernel (include/linux/sched/coredump.h)."""


def errors(abi: str) -> dict[int, str]:
    """The text of each error by the negative result."""
    found = {-value: f"-1 {name} ({os.strerror(value)})" for value, name in constants(abi)["errno"]}
    return found | _RESTARTS


def result_of(name: str, abi: str) -> Result:
    """Make what prints the result of a call."""
    known = errors(abi)
    if name == "fcntl":
        value = _of_fcntl(abi)
    elif name == "landlock_create_ruleset":
        value = _of_ruleset
    elif name in DESCRIPTORS:
        value = _descriptor
    else:
        value = _SHAPES.get(name, _plain)

    def text(record: Record, process: Process) -> str:
        result = record.result
        if result is None:
            return "?"
        if -4096 < result < 0:
            return known.get(result) or f"-1 (errno {-result})"
        return value(record, process)

    return text


def _plain(record: Record, process: Process) -> str:
    return str(record.result)


def _address(record: Record, process: Process) -> str:
    result = (record.result or 0) & 0xFFFFFFFFFFFFFFFF
    return f"{result:#x}" if result else "0"


def _octal(record: Record, process: Process) -> str:
    result = record.result or 0
    return f"0{result:o}" if result > 0o77 else f"{result:03o}"


def _descriptor(record: Record, process: Process) -> str:
    return process.files.text(record.result or 0, record.end_ns)


def _timed(record: Record, process: Process) -> str:
    return str(record.result) if record.result else "0 (Timeout)"


def _polled(record: Record, process: Process) -> str:
    return f"{record.result} ([...])" if record.result else "0 (Timeout)"


def _scheduler(record: Record, process: Process) -> str:
    result = record.result or 0
    name = _SCHEDULERS.get(result)
    return f"{result} ({name})" if name else str(result)


def _of_prctl(record: Record, process: Process) -> str:
    result = record.result or 0
    if record.args[:1] == (27,) and result:  # PR_GET_SECUREBITS
        return f"{result:#x} ({_SECURE(result)})"
    return f"{result} ({DUMPABLE[result]})" if record.args[:1] == (3,) and 0 <= result < 3 else str(result)


_SECURE = flags(LOCAL["secure"], "SECBIT_???")


def _of_personality(record: Record, process: Process) -> str:
    result = record.result or 0
    return f"{f'{result:#x}' if result else '0'} ({personality(result)})"


def _of_ioprio(record: Record, process: Process) -> str:
    return f"{record.result} ({io_priority(record.result or 0)})"


def _of_ruleset(record: Record, process: Process) -> str:
    return _plain(record, process) if asks_version(record) else _descriptor(record, process)


def asks_version(record: Record) -> bool:
    """Whether landlock_create_ruleset(2) only tells the version: nothing is made."""
    return len(record.args) > 2 and bool(record.args[2] & 1)


def _of_fcntl(abi: str) -> Result:
    numbers = {name: value for value, name in constants(abi)["fcntl"]}
    makes = {numbers["F_DUPFD"], numbers["F_DUPFD_CLOEXEC"]}
    of_file, of_descriptor = open_flags(abi), flags(constants(abi)["fd_flags"], "FD_???")
    worded = {numbers["F_GETFL"]: ("flags", of_file), numbers["F_GETFD"]: ("flags", of_descriptor)}
    worded[numbers["F_GET_SEALS"]] = "seals", flags(constants(abi)["seal"], "F_SEAL_???")
    worded[numbers["F_GETLEASE"]] = "", one_of(constants(abi)["lock_type"], "F_???")

    def text(record: Record, process: Process) -> str:
        command, result = record.args[1] if record.args else -1, record.result or 0
        if command in makes:
            return _descriptor(record, process)
        kind, words = worded.get(command, ("", None))
        if words is None or (not result and kind and words is not of_file):
            return str(result)
        number = f"{result:#x}" if result else "0"
        return f"{number} ({kind} {words(result)})" if kind else f"{number} ({words(result)})"

    return text


_SCHEDULERS = {value: name.replace("NORMAL", "OTHER") for value, name in constants("x86_64")["scheduler"]}
_SHAPES: dict[str, Result] = {
    **dict.fromkeys(ADDRESSES, _address),
    **dict.fromkeys(TIMED, _timed),
    **dict.fromkeys(POLLS, _polled),
    "umask": _octal,
    "personality": _of_personality,
    "ioprio_get": _of_ioprio,
    "sched_getscheduler": _scheduler,
    "prctl": _of_prctl,
}
ENDING = frozenset({"exit", "exit_group", "kill", "tkill", "tgkill"})
"""Calls in which those who make them end: nothing of them is unfinished."""
