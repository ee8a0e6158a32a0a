"""The service with the face of a Profiler: ``straced.client.Client``."""

from __future__ import annotations

from straced.client.client import Client as Client

__all__ = ["Client"]
