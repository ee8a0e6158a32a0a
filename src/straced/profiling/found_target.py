"""From the number that a caller names to the process that is meant, and the program behind it when it is a gate."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from straced import gating
from straced.errors import NoSuchProcess
from straced.linux import procfs
from straced.logs import logger
from straced.model.types import Target
from straced.profiling.arguments import check_pid


async def find(pid: int, ask: gating.Ask) -> tuple[Target, tuple[str, ...] | None]:
    """Find who ``pid`` is, and the program behind it when it is a gate, which is given the time to get ready.

    Raises:
        InvalidArgument: no process can have this number.
        NoSuchProcess: none has it.
    """
    check_pid(pid)
    program = await gating.program_behind(pid)
    if program is not None:
        ask.gated = True
        gating.remember(pid)
        ask.ready = await gating.wait_ready(pid)
    try:
        target = procfs.target(pid)
    except (procfs.Gone, ProcessLookupError) as error:
        raise NoSuchProcess(f"there is no process {pid}", pid=pid) from error
    if target.pid != pid:
        fields = {"tid": pid, "pid": target.pid}
        logger.info("thread_of_process: %d is a thread of %d", pid, target.pid, extra={"straced": fields})
    return target, program


def named_after(target: Target, program: tuple[str, ...]) -> Target:
    """A gate's target under the name of the program it becomes."""
    return replace(target, comm=Path(program[0]).name[:15], exe=None, cmdline=program)
