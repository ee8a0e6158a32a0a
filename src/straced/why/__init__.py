"""Why is it stuck, and who holds it up? Waits, holders, chains and the verdict, from /proc and sock_diag alone.

``await straced.why(pid)`` works although this is a module: modules are given a call below, since the
import system puts the package under the very name that the public function has.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from straced.why.model import Why, WhyAll

DEFAULT_DURATION_S = 2.0

__all__ = ["why", "why_all"]


async def why(pid: int, *, duration: float = DEFAULT_DURATION_S) -> Why:
    """Explain what a process waits for, who holds it up, and at the end of the chain the root cause.

    Nothing is traced, stopped or slowed. The work is done in a thread.

    Args:
        pid: a process, or one thread by its id.
        duration: seconds to watch before the verdict.

    Raises:
        NoSuchProcess: there is none now. One that ends meanwhile gives the verdict ``gone``.
        OwnProcess: this very process; its waits are those of the question.
    """
    import asyncio

    from straced.why.answer import why_process

    return await asyncio.to_thread(why_process, pid, int(duration * 1e9))


async def why_all(*, duration: float = DEFAULT_DURATION_S) -> WhyAll:
    """Explain all processes that can be seen, the most stuck and most waited-for first."""
    import asyncio

    from straced.why.everybody import why_everybody

    return await asyncio.to_thread(why_everybody, int(duration * 1e9))


class _CallableModule(types.ModuleType):
    async def __call__(self, pid: int, *, duration: float = DEFAULT_DURATION_S) -> Why:
        return await why(pid, duration=duration)


sys.modules[__name__].__class__ = _CallableModule
