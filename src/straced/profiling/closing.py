"""The end of several things, of which each must come whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from straced.logs import logger


async def despite_errors(work: Coroutine[Any, Any, object]) -> None:
    """Do one part of the end; when it fails, that is logged, and the others go all the same."""
    try:
        await work
    except Exception as error:
        logger.warning("close_failed: %s", error, extra={"straced": {"error": repr(error)}})
