"""What each user may ask of the service: connections, requests and bytes a second, memory for what waits.

Requests of one user are begun one a round of the loop, those of different users side by side: however many somebody
sends, others wait for one of theirs at most. Root, and the owner of the service, are not held back.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from straced.config.schema import Ipc
from straced.ipc.protocol import TooMuch

Begin = Callable[[], None]
BURST_S = 2.0
REMEMBERED = 64
"""Users without a connection, whose buckets are not full again yet; more are looked through."""


class AccountHolder(Protocol):
    """A connection, as far as its user's memory is concerned."""

    held: int

    def give_up(self) -> None:
        """Let go of what waits, and end; a second time, at once."""


class Bucket:
    """So much a second, and for once what ``BURST_S`` would bring."""

    def __init__(self) -> None:
        self._level: float | None = None
        self._at = 0.0

    def take(self, amount: float, rate: float) -> float:
        """Take ``amount``; returns how many seconds to wait before the next, which may be 0."""
        now, most = time.monotonic(), BURST_S * rate
        level = most if self._level is None else min(most, self._level + (now - self._at) * rate)
        self._level, self._at = level - amount, now
        return max(0.0, -self._level / rate)


class Account:
    """One user, over all of their connections."""

    def __init__(self, uid: int, *, trusted: bool) -> None:
        self.uid = uid
        self.trusted = trusted
        """Root, or the owner of the service."""
        self.connections: list[AccountHolder] = []
        self.held = 0
        """Bytes that wait: of requests, to be served, and of answers, to be read."""
        self.sessions = 0
        """Attaches and traces that live, or are being begun."""
        self.questions = asyncio.Semaphore(2 if trusted else 1)
        """Questions to history at a time; each has a thread."""
        self.attaching = asyncio.Lock()
        """One attach of theirs is begun at a time: several at once cost the kernel, and us, much more memory."""
        self.requests = Bucket()
        self.bytes = Bucket()
        self.waiting: collections.deque[Begin] = collections.deque()
        self.until = 0.0
        """No request of theirs is begun before this moment."""
        self.left = 0.0

    @contextmanager
    def beginning(self, limit: int) -> Iterator[None]:
        """A session that is being begun counts as one from its first moment; it goes on counting if all went well.

        Raises:
            TooMuch: they have as many as they may.
        """
        if self.sessions >= limit:
            raise TooMuch(
                f"you have {self.sessions} sessions already",
                hint="end some sessions, or raise ipc.max_sessions_per_user",
            )
        self.sessions += 1
        try:
            yield
        except BaseException:
            self.sessions -= 1
            raise


class Accounts:
    """All users that have a connection, or had one a moment ago.

    Args:
        limits: as they are now.
        owner: of the service.
    """

    def __init__(self, limits: Callable[[], Ipc], owner: int) -> None:
        self.limits = limits
        self._owner = owner
        self._accounts: dict[int, Account] = {}
        self._busy: dict[int, Account] = {}
        self._round: asyncio.Handle | None = None

    def of(self, uid: int) -> Account:
        """The account of a user."""
        if uid not in self._accounts:
            if len(self._accounts) >= REMEMBERED:
                self._forget()
            self._accounts[uid] = Account(uid, trusted=uid in (0, self._owner))
        return self._accounts[uid]

    def _forget(self) -> None:
        then = time.monotonic() - BURST_S
        for account in [each for each in self._accounts.values() if not each.connections and each.left < then]:
            if not account.sessions:
                del self._accounts[account.uid]

    def leave(self, account: Account, connection: AccountHolder) -> None:
        """One connection less."""
        account.connections.remove(connection)
        account.left = time.monotonic()

    def has_room(self, account: Account, length: int) -> bool:
        """Whether something more may wait for a user."""
        return account.trusted or account.held + length <= self.limits().max_buffers_per_user

    def hold(self, account: Account, connection: AccountHolder, change: int) -> None:
        """Count bytes that wait; beyond what a user may have, the connection that holds most gives up."""
        connection.held += change
        account.held += change
        if change <= 0 or account.trusted:
            return
        limit = self.limits().max_buffers_per_user
        while account.held > limit and account.connections:
            max(account.connections, key=lambda each: each.held).give_up()

    def pause_s(self, account: Account, count: int) -> float:
        """How long not to read from a user who has just sent so many bytes."""
        return 0.0 if account.trusted else account.bytes.take(count, self.limits().max_bytes_per_second)

    def submit(self, account: Account, begin: Begin) -> None:
        """Have a request begun when it is its user's turn."""
        if account.trusted:
            begin()
            return
        account.waiting.append(begin)
        self._busy[account.uid] = account
        if self._round is None:
            self._next(0.0)

    def _next(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._round = loop.call_later(delay_s, self._turn) if delay_s > 0 else loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Begin one request of each user who may."""
        self._round = None
        now = time.monotonic()
        rate = self.limits().max_requests_per_second
        for account in [each for each in self._busy.values() if each.until <= now]:
            begin = account.waiting.popleft()
            account.until = now + account.requests.take(1, rate)
            if not account.waiting:
                del self._busy[account.uid]
            begin()
        if self._busy and self._round is None:
            self._next(max(0.0, min(account.until for account in self._busy.values()) - now))
