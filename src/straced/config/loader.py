"""From a TOML file to a :class:`straced.config.schema.Config`; what is wrong is said with its line and key.

Unknown keys are refused: a typo that is ignored would leave somebody believing that an alert is on. What is said goes
to who tries the file; what all may read of it names keys, never a value: that may be a secret.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import tomllib
import types
from pathlib import Path
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from straced.config import paths
from straced.config.schema import (
    HOST,
    LEAST_RING,
    MAX_INTERVAL_NS,
    MIN_INTERVAL_NS,
    MIN_SLOW_NS,
    MOST_RING,
    TRACERS,
    Bytes,
    Config,
    ConfigError,
    Nanoseconds,
)
from straced.errors import InvalidArgument
from straced.text.sanitize import scrub
from straced.text.units import parse_duration_ns, parse_size_bytes

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]\]?")
_PLACE = re.compile(r"\(at [^()]*\)$")
_ZERO = re.compile(r"0+(?:\.0*)?\s*([A-Za-z]*)")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-]+)\s*=")


def find_config(path: Path | None) -> tuple[Path | None, Config]:
    """The configuration: of the file named, else of the usual place, else the defaults.

    Raises:
        ConfigError: it cannot be used.
    """
    if path is not None:
        return path, load(path)
    for candidate in paths.config_files():
        if candidate.exists():
            return candidate, load(candidate)
    return None, Config()


def load(path: Path) -> Config:
    """Read a file.

    Raises:
        ConfigError: it cannot be read or used; the message has the line, the key and what was expected.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}", hint="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="straced serve --config FILE names another") from error
    return parse(text, str(path))


def parse(text: str, source: str = "configuration") -> Config:
    """Read text; ``source`` is what it is called in messages.

    Raises:
        ConfigError: as :func:`load`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        public = f"{source}: not TOML {''.join(_PLACE.findall(str(error))[-1:])}".rstrip()
        raise ConfigError(
            f"{source}: not TOML: {error}", hint="straced serve --check tries it", public=public
        ) from error
    reader = _TableReader(text, source)
    config = reader.struct(Config, table, ())
    assert isinstance(config, Config)
    reader.check(config)
    return config


_NONE = object()


class _TableReader:
    def __init__(self, text: str, source: str) -> None:
        self._lines = text.splitlines()
        self._source = source

    def struct(self, kind: type[Struct], table: Any, path: tuple[str | int, ...]) -> Struct:
        if not isinstance(table, dict):
            self.refuse(path, "expected a table", not_=table)
        hints = _hints(kind)
        for key in table:
            if key not in hints:
                near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"keys here: {', '.join(hints)}"
                self.refuse((*path, scrub(key, 64)), "no such key", hint)
        values = {key: self.value(hints[key], value, (*path, key)) for key, value in table.items()}
        try:
            return kind(**values)
        except TypeError:
            missing = [f.name for f in msgspec.structs.fields(kind) if f.required and f.name not in values]
            self.refuse(path, f"{' and '.join(missing)} is missing")

    def value(self, kind: Any, value: Any, path: tuple[str | int, ...]) -> Any:
        bare = kind.__origin__ if hasattr(kind, "__metadata__") else kind
        if get_origin(bare) in (Union, types.UnionType):
            bare = next(each for each in get_args(bare) if each is not type(None))
            kind = bare
        if isinstance(bare, type) and issubclass(bare, Struct):
            return self.struct(bare, value, path)
        if get_origin(bare) is tuple and issubclass(get_args(bare)[0], Struct):
            if not isinstance(value, list):
                self.refuse(path, f"expected [[{path[-1]}]] tables", not_=value)
            return tuple(self.struct(get_args(bare)[0], each, (*path, i)) for i, each in enumerate(value))
        if bare in (Nanoseconds, Bytes):
            return self._measure(bare, value, path)
        if bare is float and not _is_finite(value):
            self.refuse(path, "expected a number")
        try:
            found = msgspec.convert(value, kind, strict=not (bare is float and isinstance(value, int)))
        except (msgspec.ValidationError, OverflowError) as error:
            self.refuse(path, str(error)[:1].lower() + str(error)[1:])
        if isinstance(found, str) and found != scrub(found) and path[-1] != "target":
            self.refuse(path, "expected a text without control characters, and not too long")
        return found

    def _measure(self, kind: type[int], value: Any, path: tuple[str | int, ...]) -> int:
        what = "a duration such as 30s, 5m or 2h30m" if kind is Nanoseconds else "a size such as 50MB or 1GiB"
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.refuse(path, f"expected {what}", not_=value)
        parse = parse_duration_ns if kind is Nanoseconds else parse_size_bytes
        zero = _ZERO.fullmatch(str(value))
        try:
            if zero is not None:
                return kind(0 * parse(f"1{zero[1]}"))  # of a unit that there is; whether 0 may be, others say
            return kind(parse(str(value)))
        except InvalidArgument:
            self.refuse(path, f"expected {what}", not_=value)

    def check(self, config: Config) -> None:
        """What no single type can say."""
        from straced.config import watch_rules

        if not MIN_INTERVAL_NS <= config.interval <= MAX_INTERVAL_NS:
            self.refuse(("interval",), "expected 0.2s to 1h")
        if config.slow.limit < MIN_SLOW_NS:
            self.refuse(("slow", "limit"), "expected 1ms or more")
        for path, each in ((("discover",), config.discover), (("otlp", "interval"), config.otlp.interval)):
            if each < MIN_INTERVAL_NS:
                self.refuse(path, "expected 0.2s or more")
        if config.export.host and not HOST.fullmatch(config.export.host):
            self.refuse(("export", "host"), "expected letters, digits, '.', '_' and '-'")
        if not LEAST_RING <= config.record.ring <= MOST_RING:
            self.refuse(("record", "ring"), "expected 512KiB to 64MiB")
        if config.tracer not in TRACERS:
            self.refuse(("tracer",), f"expected one of {', '.join(TRACERS)}")
        for number, watch in enumerate(config.watch):
            try:
                watch_rules.parse(watch.target, watch.labels)
            except InvalidArgument as error:
                self.refuse(("watch", number, "target"), error.reason, error.hint, public="not a rule")
        from straced.httpd import address

        for table, listen, parse in (
            ("metrics", config.metrics.listen, address.parse),
            ("web", config.web.listen, address.parse_tcp),
        ):
            try:
                if listen:
                    parse(listen)
            except InvalidArgument as error:
                self.refuse((table, "listen"), error.reason, error.hint, public="not an address")

    def refuse(
        self, path: tuple[str | int, ...], why: str, hint: str = "", *, not_: Any = _NONE, public: str = ""
    ) -> NoReturn:
        """``not_`` is the value that is there instead; it is told to whoever tries the file, and to nobody else."""
        name = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        where = f"{self._source}:{self._line(path)}: {name}"
        value = "" if not_ is _NONE else f", not {not_!r}"
        raise ConfigError(f"{where}: {why}{value}", hint=hint, public=f"{where}: {public or why}")

    def _line(self, path: tuple[str | int, ...]) -> int:
        """Where a key stands: the last line that matches while its tables are walked in order."""
        wanted = [str(part) for part in path if isinstance(part, str)]
        number = next((part for part in path if isinstance(part, int)), 0)
        section: list[str] = []
        seen: dict[str, int] = {}
        best = 1
        for at, line in enumerate(self._lines, 1):
            if header := _HEADER.match(line):
                section = header.group(1).split(".")
                seen[header.group(1)] = seen.get(header.group(1), -1) + 1
                if wanted[: len(section)] == section and seen[header.group(1)] == number:
                    best = at
            elif (key := _KEY.match(line)) and seen.get(".".join(section), 0) in (number, 0):
                there = [*section, key.group(1)]
                if wanted[: len(there)] == there and (not section or seen[".".join(section)] == number):
                    best = at
        return best


def _is_finite(value: object) -> bool:
    try:
        return not isinstance(value, (int, float)) or math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


@functools.cache
def _hints(kind: type[Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def table_of_keys(kind: type[Struct] = Config, prefix: str = "") -> list[tuple[str, str, str]]:
    """Every key with its default and meaning, for the documentation."""
    rows: list[tuple[str, str, str]] = []
    for each in msgspec.structs.fields(kind):
        hint = _hints(kind)[each.name]
        described = hint.__metadata__[0].description if hasattr(hint, "__metadata__") else None
        bare = hint.__origin__ if hasattr(hint, "__metadata__") else hint
        if described is not None:
            rows.append((prefix + each.name, "(required)" if each.required else show(each.default), described))
        inner = next((a for a in (bare, *get_args(bare)) if isinstance(a, type) and issubclass(a, Struct)), None)
        if inner is not None:
            rows += table_of_keys(inner, f"{prefix}{each.name}.")
    return rows


def show(value: object) -> str:
    """A default as it is written in TOML."""
    if isinstance(value, Nanoseconds):
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
            if value and value % (size * 10**9) == 0:
                return f'"{value // (size * 10**9)}{unit}"'
        return f'"{value / 1e9:g}s"'
    if isinstance(value, Bytes):
        return f'"{value // 10**9}GB"' if value % 10**9 == 0 else f'"{value // 10**6}MB"'
    if value is None:
        return "none"
    if value is msgspec.NODEFAULT:  # a factory: of an empty table
        return "{}"
    if isinstance(value, tuple):
        return "[]"
    return msgspec.json.encode(value).decode()
