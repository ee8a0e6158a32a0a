"""The systemd unit: the rights that the service needs, and no others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from straced.config.schema import Config, ConfigError
from straced.errors import OutputError, OutputExists
from straced.linux.output_file import OutputFile

SYSTEM_UNIT = Path("/etc/systemd/system/straced.service")
PRIVATE = (Path("/tmp"), Path("/var/tmp"))
"""Directories that the unit sees its own of."""
CAPABILITIES = (
    "CAP_BPF",
    "CAP_PERFMON",
    "CAP_SYS_PTRACE",
    "CAP_DAC_READ_SEARCH",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_KILL",
)
"""Count by eBPF; read /proc of others; take a full trace; take it as the user who asked; end that strace.

The service also asks the kernel for the other ends of sockets, by netlink (sock_diag(7)), for ``straced why``."""

_COMMON = """\
[Unit]
Description=straced, watches processes and keeps what they ask of the kernel
{after}
[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
TimeoutStopSec=10
WatchdogSec=120
KillMode=mixed
LimitCORE=0
LimitNOFILE=65536
"""
_HARDENED = """\
StateDirectory=straced
StateDirectoryMode=0700
RuntimeDirectory=straced
RuntimeDirectoryMode=0755
ConfigurationDirectory=straced
UMask=0077
CapabilityBoundingSet={capabilities}
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
IPAddressDeny=any
IPAddressAllow=localhost
SystemCallArchitectures=native
SystemCallFilter=@system-service @debug @setuid bpf perf_event_open
SystemCallErrorNumber=EPERM
"""


def text(*, user: bool = False, config: Path | None = None, writes: Sequence[Path] = ()) -> str:
    """The unit, of the system's service or of one user's own.

    Args:
        user: whether it is one user's own.
        config: the configuration that it is started with; the one of the usual place when left out.
        writes: what else than the directories of the service it writes to.
    """
    words = [*_program(), "serve", *(("-c", str(config)) if config is not None else ())]
    command = " ".join(_quoted(word.replace("$", "$$")) for word in words)
    if user:
        return _COMMON.format(after="", command=command) + "\n[Install]\nWantedBy=default.target\n"
    unit = _COMMON.format(after="After=local-fs.target\n", command=command)
    unit += _HARDENED.format(capabilities=" ".join(CAPABILITIES))
    unit += "".join(f"ReadWritePaths={_quoted(f'-{path}')}\n" for path in writes)
    return unit + "\n[Install]\nWantedBy=multi-user.target\n"


def _quoted(word: str) -> str:
    """A word as systemd reads it (systemd.syntax(7)): its specifiers are not meant."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{word}"' if any(char in word for char in " \t'\"\\;") or not word else word


def written_by(config: Config) -> list[Path]:
    """What a configuration has the service write to besides ``/var/lib/straced`` and ``/run/straced``."""
    files = [config.store.path, config.stream.path, config.metrics.textfile, config.ipc.socket]
    files.append(config.metrics.listen.removeprefix("unix:") if config.metrics.listen.startswith("unix:") else "")
    folders = {Path(name) for name in (config.state, config.export.directory) if name}
    folders |= {Path(name).parent for name in files if name}
    own = (Path("/var/lib/straced"), Path("/run/straced"))
    return sorted(folder for folder in folders if not any(folder.is_relative_to(each) for each in own))


def _program() -> list[str]:
    script = Path(sys.executable).parent / "straced"
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "straced"]


def install(
    path: Path | None = None, *, config: Path | None = None, read: Config | None = None, overwrite: bool = False
) -> Path:
    """Write the unit; returns where.

    Args:
        path: of the unit; the usual one when left out.
        config: what the service is started with, ``serve -c``; kept as an absolute path.
        read: what stands in it.
        overwrite: replace a unit that says something else.

    Raises:
        OutputExists: there is another one; it is left as it is.
        OutputError: it cannot be written.
        ConfigError: the service could not read its configuration there.
    """
    user = os.geteuid() != 0
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    target = path or (home / "systemd/user/straced.service" if user else SYSTEM_UNIT)
    if config is not None:
        config = config.absolute()
        if not user and any(config.is_relative_to(folder) for folder in PRIVATE):
            raise ConfigError(f"{config}: the unit has a /tmp of its own", hint="keep it in /etc/straced")
    made = text(user=user, config=config, writes=() if user or read is None else written_by(read))
    try:
        if not overwrite and target.is_file() and target.read_text() == made:
            return target
        with OutputFile(target, overwrite=overwrite, mode=0o644, make_directories=True) as file:
            file.text.write(made)
    except OutputExists as error:
        error.reason = f"{target} is there already, and says something else"
        error.hint = "compare them; --overwrite replaces it"
        raise
    except OutputError as error:
        error.hint = error.hint or "run it with sudo, or as yourself for your own service"
        raise
    return target
