"""Fixtures of the tests that look at the live screen."""

from tests.support.clock import utc

__all__ = ["utc"]
