"""Where something is served: a unix socket or this host alone, never the network."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from straced.errors import InvalidArgument

HINT = "write unix:/PATH, 127.0.0.1:PORT or [::1]:PORT; a proxy of your own may serve the network"
TCP_HINT = "write 127.0.0.1:PORT or [::1]:PORT; from elsewhere: ssh -L PORT:127.0.0.1:PORT HOST"


class Address(Struct, frozen=True):
    """``path`` of a unix socket, or ``host`` and ``port``."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def authority(self) -> str:
        """As it stands in a URL: ``127.0.0.1:8321``, ``[::1]:8321``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        InvalidArgument: not an address, or one that others could reach.
    """
    if text.startswith("unix:/"):
        return Address(path=text[len("unix:") :])
    return parse_tcp(text, HINT)


def parse_tcp(text: str, hint: str = TCP_HINT) -> Address:
    """Read a host and a port; port 0 is any that is free.

    Raises:
        InvalidArgument: not an address, or one that others could reach.
    """
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not an address to listen on", hint=hint) from error
    if not address.is_loopback:
        raise InvalidArgument(f"{text!r} is not this host alone", hint=hint)
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise InvalidArgument(f"{text!r} has no port", hint=hint)
    return Address(host=str(address), port=int(port))
