"""Which processes a TARGET means, for a look at many at once."""

from __future__ import annotations

import os

from straced import errors
from straced.linux import procfs, targets


def pids_of(text: str, root: str = procfs.ROOT) -> list[int]:
    """The processes that a target means: one for a pid, any number for ``name:``, ``cgroup:`` and ``unit:``.

    Raises:
        InvalidArgument: no target can be written like this.
        NoSuchProcess: nothing matches.
        AmbiguousTarget: several units of one name.
    """
    spec = targets.parse(text)
    if spec.kind == "pid":
        return [int(spec.value)]
    found = [pid for pid in targets.matching(spec, root) if pid != os.getpid()]
    if not found:
        raise errors.NoSuchProcess(f"no process matches {text!r}", hint="straced why --all lists all")
    return found
