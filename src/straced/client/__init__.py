"""The service with the face of a Profiler: ``straced.client.Client``. Names are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from straced.client.client import Client as Client
    from straced.client.events import RemoteEvents as RemoteEvents
    from straced.client.events import RemoteSlowCalls as RemoteSlowCalls
    from straced.client.remote_trace import RemoteTrace as RemoteTrace
    from straced.client.service_socket import is_there as is_there
    from straced.client.sessions import RemoteSession as RemoteSession
    from straced.ipc.messages import Gap as Gap
    from straced.ipc.messages import Select as Select

_HOMES = {
    "Client": "client.client",
    "Gap": "ipc.messages",
    "RemoteEvents": "client.events",
    "RemoteSession": "client.sessions",
    "RemoteSlowCalls": "client.events",
    "RemoteTrace": "client.remote_trace",
    "Select": "ipc.messages",
    "is_there": "client.service_socket",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'straced.client' has no attribute {name!r}")
    value: object = getattr(import_module(f"straced.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
