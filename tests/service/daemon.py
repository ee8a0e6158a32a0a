"""A real ``straced serve`` in a folder of its own, for the length of a test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from straced.client.client import Client
from tests.support.poll import ended, until

SOURCE = str(Path(__file__).parents[2] / "src")


class Daemon:
    """A service process, its configuration and its places."""

    def __init__(
        self,
        folder: Path,
        config: str = "",
        *,
        prefix: tuple[str, ...] = (),
        interval: str = "0.2s",
        discover: str = "",
    ) -> None:
        self.folder = folder
        self.socket = folder / "run" / "straced.sock"
        self.state = folder / "state"
        self.log = folder / "log"
        self.config = folder / "straced.toml"
        self._prefix = prefix
        self._interval = interval
        self._discover = discover or interval
        self.write(config)
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, config: str) -> None:
        """Write the configuration."""
        top, bracket, rest = config.partition("[")
        head = f'interval = "{self._interval}"\ndiscover = "{self._discover}"\nstate = "{self.state}"\n{top}'
        ipc = f'[ipc]\nsocket = "{self.socket}"\n' if "[ipc]" not in config else ""
        self.config.write_text(
            f"{head}\n{ipc}{bracket}{rest}".replace("[ipc]\n#", f'[ipc]\nsocket = "{self.socket}"\n')
        )

    def start(self, **env: str) -> Daemon:
        """Start it, and wait until it answers."""
        self.process = self.spawn(**env)
        try:
            until(lambda: self.answers() or self.process.poll() is not None, 30, pause_s=0.01)  # type: ignore[union-attr]
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.stop()
            raise
        return self

    def spawn(self, **env: str) -> subprocess.Popen[bytes]:
        """Start one more."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "straced", "serve", "-c", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": SOURCE, **env},
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether somebody listens."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            try:
                sock.connect(str(self.socket))
            except OSError:
                return False
            return True

    def client(self) -> Client:
        """A client of it."""
        return Client(self.socket)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> float:
        """End it in order; returns how long that took."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            ended(self.process, 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return time.monotonic() - began

    def kill(self) -> None:
        """End it as the OOM killer would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(
    folder: Path, config: str = "", *, env: Mapping[str, str] = MappingProxyType({}), **options: object
) -> Iterator[Daemon]:
    """A service for the length of a block."""
    daemon = Daemon(folder, config, **options)  # type: ignore[arg-type]
    daemon.start(**env)
    try:
        yield daemon
    finally:
        daemon.stop()
