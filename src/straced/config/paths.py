"""Where the service keeps its things: of the system when root runs it, else of the user (XDG base directories)."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from straced.config.schema import Config


class ServicePaths(Struct, frozen=True, kw_only=True):
    """Paths of one service."""

    system: bool
    """Serves all users of the host."""
    state: Path
    runtime: Path
    socket: Path

    @property
    def history(self) -> Path:
        return self.state / "history.db"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def journal(self) -> Path:
        """Helpers that a killed service would leave behind."""
        return self.state / "helpers.journal"

    @property
    def rules(self) -> Path:
        """What ``straced watch add`` added."""
        return self.state / "watch.json"

    @property
    def traces(self) -> Path:
        """Full traces that alerts started."""
        return self.state / "traces"

    @property
    def dumps(self) -> Path:
        """What the flight recorder has written down."""
        return self.state / "dumps"


def of(config: Config | None = None, *, system: bool | None = None) -> ServicePaths:
    """The places of the service that this user would run, or of the system's."""
    config = config or Config()
    as_system = os.geteuid() == 0 if system is None else system
    if as_system:
        state, runtime = Path("/var/lib/straced"), Path("/run/straced")
    else:
        state = _xdg("XDG_STATE_HOME", ".local/state") / "straced"
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/straced-{os.geteuid()}") / "straced"
    state = Path(config.state) if config.state else state
    socket = Path(config.ipc.socket) if config.ipc.socket else runtime / "straced.sock"
    return ServicePaths(system=as_system, state=state, runtime=socket.parent, socket=socket)


def config_files() -> list[Path]:
    """Where a configuration is looked for: the user's own first, then the system's."""
    system = Path("/etc/straced/straced.toml")
    return [system] if os.geteuid() == 0 else [_xdg("XDG_CONFIG_HOME", ".config") / "straced/straced.toml"]


def sockets() -> list[Path]:
    """Where a service may answer: the one named by STRACED_SOCKET alone, else the user's own, then the system's."""
    named = os.environ.get("STRACED_SOCKET")
    if named:
        return [Path(named)]
    return list(dict.fromkeys((of().socket, of(system=True).socket)))


def system_socket() -> Path:
    """Where a service of root answers, or the one that STRACED_SOCKET names."""
    return Path(os.environ.get("STRACED_SOCKET") or of(system=True).socket)


def _xdg(variable: str, otherwise: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / otherwise
