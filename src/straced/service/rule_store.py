"""The rules of one service: those of the configuration, and those that were added, which survive a restart."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from straced.config import watch_rules
from straced.config.schema import Config
from straced.config.watch_rules import Rule
from straced.errors import InvalidArgument, NoSuchProcess, NotPermitted, OutputError
from straced.ipc.protocol import TooMuch
from straced.linux import procfs
from straced.linux.credentials import Peer
from straced.linux.output_file import OutputFile
from straced.text.sanitize import scrub

log = logging.getLogger("straced.service")


class _Kept(Struct):
    """A rule in the file. A pid means one process, of one boot."""

    target: str
    labels: dict[str, str] = {}
    owner: int | None = None
    boot_id: str = ""
    start_ticks: int | None = None


class Rulebook:
    """Rules, and the file of those that were added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._configured: list[Rule] = []
        self._added: list[Rule] = []
        self._limit = Config().room.rules_per_user
        self.ignored: list[tuple[str, str]] = []
        """Rules of the file that cannot be used, each with the reason."""

    @property
    def all(self) -> list[Rule]:
        """The rules in force."""
        return [*self._configured, *self._added]

    @property
    def added(self) -> list[Rule]:
        """Those that are not of the configuration."""
        return list(self._added)

    def configure(self, config: Config) -> None:
        """Take the rules of a configuration."""
        self._limit = config.room.rules_per_user
        self._configured = [pinned(watch_rules.parse(watch.target, watch.labels)) for watch in config.watch]

    def load(self) -> None:
        """Read the file; what cannot be read is left out, and said."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=list[_Kept])
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            log.warning("rules_unreadable", extra={"straced": {"path": str(self._path), "why": str(error)}})
            with contextlib.suppress(OSError):
                os.replace(self._path, self._path.with_suffix(".broken"))
            return
        for each in kept:
            try:
                rule = watch_rules.parse(each.target, each.labels, each.owner)
            except InvalidArgument as error:  # of an earlier version, or of a user who is gone
                self.ignored.append((scrub(each.target, 80), error.reason))
                log.warning("rule_ignored", extra={"straced": {"rule": scrub(each.target, 80), "why": error.reason}})
                continue
            if each.start_ticks is not None:
                if each.boot_id != procfs.boot_id():
                    continue  # that process is gone for certain
                rule = msgspec.structs.replace(rule, start_ticks=each.start_ticks)
            self._added.append(rule)

    def add(self, rule: Rule) -> Rule:
        """Add a rule; one of the same text and owner is there already gets its labels besides those that it has.

        Raises:
            NoSuchProcess: it names a pid that is not there.
            InvalidArgument: it would have too many labels.
            TooMuch: this user has too many.
        """
        rule = pinned(rule, must_exist=True)
        key = (rule.text, rule.owner)
        others = [each for each in self._added if (each.text, each.owner) != key]
        for same in self._added:
            if same not in others and same.start_ticks == rule.start_ticks:
                rule = msgspec.structs.replace(rule, labels=watch_rules.checked({**same.labels, **rule.labels}))
        if sum(each.owner == rule.owner for each in others) >= self._limit:
            raise TooMuch(f"you have {self._limit} rules already", hint="straced watch rm TARGET")
        self._added = [*others, rule]
        self._save()
        return rule

    def remove(self, peer: Peer, text: str, *, all_are_theirs: bool) -> Rule:
        """Take a rule away; with ``all_are_theirs`` (a user's own service) it may be anybody's.

        Raises:
            InvalidArgument: there is none.
            NotPermitted: it is not theirs, or there is none: who may not see it is not told which. Or it is the
                configuration's.
        """
        text = watch_rules.parse(text).text
        everything = peer.is_root or all_are_theirs
        mine = [rule for rule in self._added if rule.text == text and (everything or rule.owner == peer.uid)]
        if mine:
            self._added.remove(mine[0])
            self._save()
            return mine[0]
        if not everything:
            raise NotPermitted(f"you have no rule {text}", hint="straced watch ls")
        if any(rule.text == text for rule in self._configured):
            raise NotPermitted(f"the rule {text} stands in the configuration", hint="change straced.toml, then reload")
        raise InvalidArgument(f"there is no rule {text}", hint="straced watch ls")

    def _save(self) -> None:
        kept = [
            _Kept(
                rule.text,
                rule.labels,
                rule.owner,
                procfs.boot_id() if rule.start_ticks is not None else "",
                rule.start_ticks,
            )
            for rule in self._added
        ]
        try:
            with OutputFile(self._path, overwrite=True) as file:
                file.binary.write(msgspec.json.encode(kept))
        except OutputError as error:
            log.warning("rules_not_saved", extra={"straced": {"path": str(self._path), "why": error.reason}})


def pinned(rule: Rule, *, must_exist: bool = False) -> Rule:
    """A rule about a pid is about the process that has it now, never about one that gets the number later."""
    if rule.kind not in ("pid", "children") or rule.start_ticks is not None:
        return rule
    try:
        return msgspec.structs.replace(rule, start_ticks=procfs.stat(int(rule.value)).start_ticks)
    except procfs.Gone as error:
        if must_exist:
            raise NoSuchProcess(f"no such process: {rule.value}", pid=int(rule.value)) from error
        return rule
