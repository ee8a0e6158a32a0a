"""What a program never did before: a call, or a way in which a call fails. Learnt for a while, then worth an alert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from straced.config import Alerts
from straced.service.alerts.findings import Finding
from straced.service.counting import Calls
from straced.service.samples import ProcessSample
from straced.service.store.series import program_of

PROGRAM, SYSCALL, ERRNO = "program", "syscall", "errno"
MAX_NAMED = 8
MAX_PROGRAMS = 2000
Learnt = tuple[str, str, str]
"""Program (with the user it runs as), kind, and what."""


class _Program:
    """What one program of one user is known to do."""

    def __init__(self, first_seen_s: float) -> None:
        self.first_seen_s = first_seen_s
        self.calls: set[str] = set()
        self.failures: set[str] = set()

    def take(self, calls: Iterable[Calls]) -> list[tuple[str, str]]:
        """Learn; returns what is new, with its kind."""
        new = []
        for call in calls:
            if call.name not in self.calls:
                self.calls.add(call.name)
                new.append((SYSCALL, call.name))
            for word in call.errno or ():
                what = f"{call.name} {word}"
                if what not in self.failures:
                    self.failures.add(what)
                    new.append((ERRNO, what))
        return new


class Novelty:
    """Knows what each program of each user has done, since it was first seen."""

    def __init__(self) -> None:
        self._known: dict[str, _Program] = {}
        self._fresh: list[Learnt] = []

    def learn(self, kept: Iterable[tuple[str, str, str, float]]) -> None:
        """Take over what an earlier service learnt: program, kind, what, and when (seconds since the epoch)."""
        rows = list(kept)
        for program, kind, _what, when in rows:
            if kind == PROGRAM:
                self._known[program] = _Program(when)
        for program, kind, what, _when in rows:
            if kind != PROGRAM and program in self._known:
                known = self._known[program]
                (known.calls if kind == SYSCALL else known.failures).add(what)

    def take(self) -> list[Learnt]:
        """What was learnt since the last time, to be kept."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def findings(self, sample: ProcessSample, epoch_s: float, config: Alerts) -> Iterator[Finding]:
        """What is new in a sample, once the program has been observed for long enough."""
        program = f"{program_of(sample.facts)} uid {sample.owner.uid}"
        known = self._known.get(program)
        if known is None:
            if len(self._known) >= MAX_PROGRAMS:
                return
            known = self._known[program] = _Program(epoch_s)
            self._fresh.append((program, PROGRAM, ""))
        new = known.take(sample.calls or ()) + known.take(sample.ended)
        if not new:
            return
        self._fresh += [(program, kind, what) for kind, what in new]
        first_seen = known.first_seen_s
        if (epoch_s - first_seen) * 1e9 < config.learn:
            return
        for kind, wanted, said in (
            (SYSCALL, config.new_syscalls, "makes calls it never made before"),
            (ERRNO, config.new_errnos, "fails as it never did before"),
        ):
            names = sorted({what for each, what in new if each == kind})
            if wanted and names:
                more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
                yield Finding(
                    kind=f"new_{kind}",
                    subject=f"{program}: {names[0]}",
                    text=f"{sample.facts.pid} ({sample.facts.comm}) {said}: {', '.join(names[:MAX_NAMED])}{more}",
                    sample=sample,
                    owner=sample.owner,
                    data={"names": ", ".join(names)},
                    once=True,
                )
