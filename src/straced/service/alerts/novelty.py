"""What a program never did before: a call, or a way in which a call fails. Learnt for a while, then worth an alert.

Each user has room of their own. A user who has filled it has one thing more, the rest of their programs together: so
what one user runs by the thousand takes nothing from the others, and is still looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from straced.config.schema import Alerts
from straced.model.tick import Calls, ProcessSample
from straced.service.alerts.rules import Condition
from straced.store.learnt_names import NOBODY_UID, name_of, user_of
from straced.store.series import program_of

PROGRAM, SYSCALL, ERRNO = "program", "syscall", "errno"
MAX_NAMED, MAX_KEPT = 8, 50
"""Names in the text of an alert, and in its data."""
MAX_PROGRAMS = 500
"""Of a user; those beyond are one."""
MAX_WHAT = 20_000
"""Calls and failures that are known of all programs of a user."""
MAX_USERS = 200
"""Users beyond these have one room together."""
REST = "(other programs)"
Learnt = tuple[str, str, str]
"""Program (with the user it runs as), kind, and what."""


class _Program:
    """What one program of one user is known to do."""

    def __init__(self, first_seen_s: float) -> None:
        self.first_seen_s = first_seen_s
        self.calls: set[str] = set()
        self.failures: set[str] = set()

    def take(self, calls: Iterable[Calls], room: int) -> list[tuple[str, str]]:
        """Learn, as long as there is room; returns what is new, with its kind."""
        new: list[tuple[str, str]] = []
        for call in calls:
            if call.name not in self.calls and len(new) < room:
                self.calls.add(call.name)
                new.append((SYSCALL, call.name))
            for word in call.errno or ():
                what = f"{call.name} {word}"
                if what not in self.failures and len(new) < room:
                    self.failures.add(what)
                    new.append((ERRNO, what))
        return new


class _User:
    """The programs of a user."""

    def __init__(self) -> None:
        self.programs: dict[str, _Program] = {}
        self.count = 0
        """Calls and failures known of all of them."""


class Novelty:
    """Knows what each program of each user has done, since it was first seen."""

    def __init__(self) -> None:
        self._users: dict[int, _User] = {}
        self._fresh: list[Learnt] = []

    def learn(self, kept: Iterable[tuple[str, str, str, float]]) -> None:
        """Take over what an earlier service learnt: program, kind, what, and when (seconds since the epoch)."""
        rows = list(kept)
        for name, kind, _what, when in rows:
            if kind == PROGRAM:
                programs = self._user(user_of(name)).programs
                if len(programs) <= MAX_PROGRAMS:
                    programs.setdefault(name, _Program(when))
        for name, kind, what, _when in rows:
            user = self._users.get(user_of(name))
            known = user.programs.get(name) if user is not None else None
            if kind != PROGRAM and user is not None and known is not None and user.count < MAX_WHAT:
                user.count += 1
                (known.calls if kind == SYSCALL else known.failures).add(what)

    def take(self) -> list[Learnt]:
        """What was learnt since the last time, to be kept."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def findings(self, sample: ProcessSample, epoch_s: float, config: Alerts) -> Iterator[Condition]:
        """What is new in a sample, once the program has been observed for long enough."""
        uid = sample.owner.uid if sample.owner.uid in self._users or len(self._users) < MAX_USERS else NOBODY_UID
        user = self._user(uid)
        program = name_of(program_of(sample.facts), uid)
        if program not in user.programs and len(user.programs) >= MAX_PROGRAMS:
            program = name_of(REST, uid)
        known = user.programs.get(program)
        if known is None:
            known = user.programs[program] = _Program(epoch_s)
            self._fresh.append((program, PROGRAM, ""))
        room = MAX_WHAT - user.count
        new = known.take(sample.calls or (), room)
        new += known.take(sample.ended, room - len(new))
        if not new:
            return
        user.count += len(new)
        self._fresh += [(program, kind, what) for kind, what in new]
        if (epoch_s - known.first_seen_s) * 1e9 >= config.learn:
            yield from _conditions(sample, program, new, config)

    def _user(self, uid: int) -> _User:
        found = self._users.get(uid)
        if found is None:
            found = self._users[uid] = _User()
        return found


def _conditions(sample: ProcessSample, program: str, new: list[tuple[str, str]], config: Alerts) -> Iterator[Condition]:
    for kind, wanted, label in (
        (SYSCALL, config.new_syscalls, "new system calls"),
        (ERRNO, config.new_errnos, "new error"),
    ):
        names = sorted({what for each, what in new if each == kind})
        if wanted and names:
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            yield Condition(
                kind=f"new_{kind}",
                subject=f"{program}: {names[0]}",
                text=f"{sample.facts.pid} ({sample.facts.comm}): {label}: {', '.join(names[:MAX_NAMED])}{more}",
                sample=sample,
                owner=sample.owner,
                data={"names": ", ".join(names[:MAX_KEPT])},
                once=True,
            )
