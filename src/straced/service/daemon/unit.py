"""The systemd unit: the rights that the service needs, and no others."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from straced.errors import OutputError
from straced.linux.output_file import OutputFile

SYSTEM_UNIT = Path("/etc/systemd/system/straced.service")
CAPABILITIES = (
    "CAP_BPF",
    "CAP_PERFMON",
    "CAP_SYS_PTRACE",
    "CAP_DAC_READ_SEARCH",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_KILL",
)
"""Count by eBPF; read /proc of others; take a full trace; take it as the user who asked; end that strace."""

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
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
IPAddressDeny=any
IPAddressAllow=localhost
SystemCallArchitectures=native
SystemCallFilter=@system-service @debug @setuid bpf perf_event_open
SystemCallErrorNumber=EPERM
"""


def text(*, user: bool = False) -> str:
    """The unit, of the system's service or of one user's own."""
    command = shlex.join([*_program(), "serve"])
    if user:
        return _COMMON.format(after="", command=command) + "\n[Install]\nWantedBy=default.target\n"
    unit = _COMMON.format(after="After=local-fs.target\n", command=command)
    unit += _HARDENED.format(capabilities=" ".join(CAPABILITIES))
    return unit + "\n[Install]\nWantedBy=multi-user.target\n"


def _program() -> list[str]:
    script = Path(sys.executable).parent / "straced"
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "straced"]


def install(path: Path | None = None) -> Path:
    """Write the unit; returns where.

    Raises:
        OutputError: it cannot be written.
    """
    user = os.geteuid() != 0
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    target = path or (home / "systemd/user/straced.service" if user else SYSTEM_UNIT)
    try:
        with OutputFile(target, overwrite=True, mode=0o644, make_directories=True) as file:
            file.text.write(text(user=user))
    except OutputError as error:
        error.hint = error.hint or "run it with sudo, or as yourself for your own service"
        raise
    return target
