"""Of which program a process was that is looked at twice in a reading: once for its facts, once for its calls.

An execve in between begins another program: what the process did since is the new one's, its facts are the old one's.
A process on its way out has no program file any more, and its name (comm) need not be that of the file.
"""

from __future__ import annotations

from straced.model.tick import Calls, ProcessSample
from straced.service.collect.counted_calls import Key
from straced.store.series import program_of

CUT_BYTES = 31
"""The kernel programs keep so much of a name."""
_EXECS = ("execve", "execveat")


class ProgramNames:
    """Remembers which processes have a program of another name than their facts say."""

    def __init__(self) -> None:
        self._other: dict[Key, str] = {}

    def is_ahead(self, sample: ProcessSample, calls: list[Calls]) -> bool:
        """Whether calls are of a program that began after the facts were read, or that the facts do not have.

        A file may have two names for good (a bind mount): what was so once is believed the next time.
        """
        facts, program = sample.facts, calls[0].program if calls else ""
        key = facts.key
        if not program or program == _cut(program_of(facts)):
            if self._other:
                self._other.pop(key, None)
            return False
        if not facts.exe and not facts.cmdline:  # without memory: nobody but the kernel knows what file it ran
            return True
        if any(call.in_flight and call.name in _EXECS for call in calls):  # /proc has the new file before the kernel
            return True
        if self._other.get(key) == program:
            return False
        self._other[key] = program
        return True

    def forget(self, key: Key) -> None:
        """It has ended."""
        self._other.pop(key, None)


def _cut(name: str) -> str:
    return name if len(name) < CUT_BYTES // 4 else name.encode()[:CUT_BYTES].decode("utf-8", "backslashreplace")
