"""Programs that a coroutine starts for its caller, and ends when the caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from straced.concurrency.shielding import carry


async def start(argv: Sequence[str | os.PathLike[str]], popen_options: Mapping[str, Any]) -> asyncio.subprocess.Process:
    """Start a program; when that is cancelled, end and reap it."""
    return await carry(asyncio.create_subprocess_exec(*argv, **popen_options), end)


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill and reap a program, as ``asyncio.create_subprocess_exec`` does when it is cancelled."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
