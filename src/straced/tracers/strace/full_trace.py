"""Starting a full trace: ``strace -f -t -p PID`` or more of it, into a descriptor or a relay."""

from __future__ import annotations

import os
from collections.abc import Callable

from straced.errors import InvalidArgument, TracerUnavailable
from straced.linux import procfs
from straced.model.types import Target
from straced.tracers.strace import binary, free_space, task_limit
from straced.tracers.strace.attach_steps import AttachSteps
from straced.tracers.strace.attachment import Attachment
from straced.tracers.strace.guard_client import OUTPUT, StraceHelper
from straced.tracers.strace.own_helpers import own_helpers
from straced.tracers.strace.recording import SPILL_BYTES, RecordOptions, StraceRecording


async def record(
    steps: AttachSteps,
    target: Target,
    output: int | None,
    options: RecordOptions,
    forget: Callable[[StraceRecording], None],
) -> StraceRecording:
    """Start a full trace of ``target`` into the descriptor ``output`` (which stays the caller's).

    Without ``output``, lines come out of ``StraceRecording.readers``, through a relay that never makes strace wait.

    Raises:
        StraceMissing, AttachError: as for a summary; nothing was written then.
        OutputError: the disk is nearly full.
    """
    floor = None if output is None else free_space.floor_bytes(output, options.min_free_bytes)
    strace = await steps.prepared()
    await steps.until_free(target)
    pidfd, alone = steps.hold(target, options.force)
    excluded = own_helpers()
    try:
        await steps.refuse_unstoppable(target)
        task_limit.check(target.pid, options.follow, options.max_tasks, excluded)
    except BaseException:
        os.close(pidfd)
        raise
    limits: dict[str, float] = {}
    for name in ("max_bytes", "max_seconds", "spill_bytes"):
        if (value := getattr(options, name)) is not None:
            limits[name] = value

    readers: list[int] = []
    if output is None:
        limits.setdefault("spill_bytes", SPILL_BYTES)
        limits["end_when_full"] = options.end_when_full
    elif floor is not None:
        limits["min_free_bytes"] = floor

    def spawn(pids: list[int]) -> StraceHelper:
        argv = _argv(strace, options, pids)
        if output is not None:
            return steps.guard.spawn(argv, pids, output, limits)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        readers.append(reader)
        try:
            return steps.guard.spawn(argv, pids, writer, limits)
        finally:
            os.close(writer)

    attachment = Attachment(target.pid, spawn, follow=options.follow, excluded=excluded, instead=alone)
    try:
        coverage = await steps.confirmed(target, attachment)
    except BaseException:
        for fd in [*readers, pidfd]:
            os.close(fd)
        raise
    return StraceRecording(steps.guard, target, pidfd, attachment.helpers, coverage, options, readers, forget)


def _argv(strace: binary.Strace, options: RecordOptions, pids: list[int]) -> list[str]:
    if options.timestamps not in ("s", "us"):
        raise InvalidArgument(f"timestamps are 's' or 'us', not {options.timestamps!r}")
    argv = [*_as_user(options.run_as), strace.path, "-q", "-f"]
    if options.timestamps == "s":
        argv += ["-t"]
    else:
        argv += ["-ttt", "-T", "-s", str(options.string_bytes)]
        argv += ["-yy"] if options.decode_fds else []
    if options.trace:
        argv += ["-e", options.trace]
    if options.status:
        argv += ["-e", f"status={options.status}"]
    for path in options.paths:
        argv += ["-P", path]
    argv += ["-A", "-o", OUTPUT]
    for pid in pids:
        argv += ["-p", str(pid)]
    return argv


def _as_user(identity: tuple[int, int] | None) -> list[str]:
    """setpriv, which becomes strace in place. A change of user clears the parent-death signal, hence the option."""
    if identity is None:
        return []
    setpriv = procfs.find_executable("setpriv")
    if setpriv is None:
        raise TracerUnavailable("setpriv is needed to trace as another user", hint="install util-linux")
    uid, gid = identity
    return [str(setpriv), f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--pdeathsig=KILL", "--"]
