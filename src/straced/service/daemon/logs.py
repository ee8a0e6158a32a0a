"""The log of the service: one line an event on stderr, with its fields; under a service manager with its priority."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from straced.text.sanitize import scrub

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


class LineFormatter(logging.Formatter):
    """``straced: history_stopped path=/x why="disk is full"``; ``<4>`` before it for the journal (sd-daemon(3))."""

    def __init__(self, *, prefixed: bool) -> None:
        super().__init__()
        self._prefixed = prefixed

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = dict(getattr(record, "straced", {}))
        words = [
            fields.pop("event", None) or record.getMessage(),
            *(f"{key}={_shown(value)}" for key, value in fields.items()),
        ]
        if record.exc_info:
            words.append(self.formatException(record.exc_info).replace("\n", " | "))
        line = " ".join(words)
        if not self._prefixed:
            return f"straced: {line}"
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return f"<{priority}>{line}"


def _shown(value: object) -> str:
    text = scrub(str(value), 2000)
    return f'"{text}"' if " " in text or not text else text


def set_up(verbose: bool = False) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(prefixed="JOURNAL_STREAM" in os.environ))
    logger = logging.getLogger("straced")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
