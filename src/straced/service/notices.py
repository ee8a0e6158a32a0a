"""What a service says about itself when it starts, and when its configuration lets more people read more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from straced._version import __version__
from straced.config.schema import Config
from straced.model.owner import NOBODY, Owner
from straced.service.rule_store import Rulebook
from straced.text.units import count_of

log = logging.getLogger("straced.service")


class Notice(Struct, frozen=True):
    """An event to be."""

    kind: str
    text: str
    owner: Owner | None = None
    data: dict[str, Any] = {}


def at_start(rulebook: Rulebook) -> Iterator[Notice]:
    """That it has started, and with which rules it cannot."""
    yield Notice("service_started", f"straced {__version__} watches by {count_of(len(rulebook.all), 'rule')}")
    if rulebook.ignored:
        text = f"{count_of(len(rulebook.ignored), 'rule')} of an earlier version cannot be used and left out"
        rules = "; ".join(rule for rule, _ in rulebook.ignored[:5])
        yield Notice("rules_ignored", text, NOBODY, {"rules": rules})


def of_listeners(config: Config, *, system: bool) -> Iterator[Notice]:
    """That everybody here can read the metrics: the kernel does not tell who connects to a port."""
    listen = config.metrics.listen
    if system and listen and not listen.startswith("unix:"):
        log.warning("metrics_readable", extra={"straced": {"listen": listen}})
        text = f"everybody on this host can read the metrics of all users at {listen}; unix:/PATH is root's alone"
        yield Notice("metrics_readable", text)
