"""Waits for a file system: which one, on which device, and who serves it."""

from __future__ import annotations

import msgspec

from straced.waits.facts import fds
from straced.waits.facts.file_systems import Mount, mounts
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Resource, Wait


def mount_of(look: ProcSnapshot, raw: RawTask, wait: Wait) -> Mount | None:
    """The mount that a wait for a file is about.

    That of the descriptor; of a path, which cannot be read while its task is in state D, only what the kernel function
    tells: the FUSE mount, where there is just one.
    """
    if wait.resource is not None and wait.resource.fd is not None:
        info = fds.info(look.proc, raw.pid, wait.resource.fd)
        return mounts(look.proc, raw.pid).get(info.mount) if info is not None and info.mount is not None else None
    if not any(name.startswith(("fuse_", "request_wait_answer")) for name in _functions(look, raw)):
        return None
    served = [mount for mount in mounts(look.proc, raw.pid).values() if mount.is_fuse]
    return served[0] if len({mount.device for mount in served}) == 1 else None


def _functions(look: ProcSnapshot, raw: RawTask) -> list[str]:
    return look.proc.stack(raw.pid, raw.tid) or [look.proc.wchan(raw.pid, raw.tid) or ""]


def with_mount(look: ProcSnapshot, raw: RawTask, wait: Wait) -> Wait:
    """A wait for a file, with the file system it is on."""
    mount = mount_of(look, raw, wait)
    if mount is None:
        return wait
    resource = wait.resource
    if resource is None or resource.name == fds.UNREADABLE_PATH:
        resource = Resource(kind="file", name=f"{mount.point.rstrip('/')}/")
    return msgspec.structs.replace(
        wait, resource=resource, detail=wait.detail or f"{resource.name} is on {mount.text()}"
    )
