"""Fixtures of the tests that ask a service."""

from tests.service.conftest import public

__all__ = ["public"]
