"""Needs that only a stage finds out about."""

from __future__ import annotations

from tests.support.needs import require, unavailable


def need(what: str, met: bool, why_not: str) -> None:
    """Skip unless ``met``; fail where STRACED_REQUIRE names ``what``."""
    if not met:
        unavailable(what, why_not)


def need_root() -> None:
    """What only root can do."""
    require("root")
