"""The log events of straced: ``record.straced`` holds the event's name and its fields."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def name_of(record: logging.LogRecord) -> str:
    """The event of a record, ``""`` for one that is none; its text begins with it."""
    name: str = getattr(record, "straced", {}).get("event", "")
    assert record.getMessage().startswith(name)
    return name


class Events(logging.Handler):
    """All records of the logger ``straced`` while a test runs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def names(self) -> list[str]:
        """Event names in order."""
        return [name_of(record) for record in self.records]

    def all(self, name: str) -> list[dict[str, Any]]:
        """The fields of each event of that name, with its ``level`` added."""
        return [
            {**getattr(record, "straced", {}), "level": record.levelname.lower()}
            for record in self.records
            if name_of(record) == name
        ]

    def one(self, name: str, **fields: Any) -> dict[str, Any]:
        """The only event of that name with these fields."""
        found = [event for event in self.all(name) if all(event.get(key) == value for key, value in fields.items())]
        assert len(found) == 1, f"{len(found)} events {name} {fields}; there were {self.names()}"
        return found[0]


@contextmanager
def recorded() -> Iterator[Events]:
    """Record the events of a block."""
    logger = logging.getLogger("straced")
    handler, level = Events(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
