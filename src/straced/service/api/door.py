"""How clients come in: a door lets them in, and asks the reception who may."""

from __future__ import annotations

from typing import Protocol

from straced.linux.credentials import Peer
from straced.service.api.link import Link

BACKLOG = 256


class ClientAcceptor(Protocol):
    """Lets clients in."""

    def close(self) -> None:
        """Let nobody in any more."""


class AdmissionPolicy(Protocol):
    """Says who may come in, and takes those who do."""

    def refusal_for(self, uid: int) -> bytes | None:
        """What is said to a user who may not have one more connection; ``None`` when they may."""

    def welcome(self, peer: Peer, link: Link) -> object:
        """A client has come in."""

    def reopen(self) -> None:
        """The door has died: make another."""
