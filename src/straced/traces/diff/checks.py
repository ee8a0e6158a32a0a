"""Checks for CI: what may change by how much, and what must stay below a limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from straced.errors import InvalidArgument
from straced.text.units import format_count, format_ns, parse_duration_ns
from straced.traces.diff.profile import Profile
from straced.traces.diff.values import Change, Check, Difference, Metric

HINT = "write it as 'openat.calls>+10%', 'total.errors>+0', 'read.time>+50ms', 'openat.ENOENT>20' or 'new.syscalls>0'"
_RULE = re.compile(r"\s*([A-Za-z_][\w]*)\.([A-Za-z]\w*)\s*(>=|>|<=|<)\s*([+-]?)\s*([\d.]+)\s*(%|us|ms|s|m)?\s*")
_LIMIT = re.compile(r"\s*([A-Za-z_]\w*)(?:\.([A-Z]\w*))?\s*=\s*(\d+)\s*")
_US = 1000
_FIGURES = {"calls": "calls", "errors": "errors", "time": "wall_ns", "waiting": "waiting_ns"}


def check(difference: Difference, after: Sequence[Profile], fail_on: Iterable[str], most: Iterable[str]) -> list[Check]:
    """Judge every ``--fail-on`` and ``--max``.

    Raises:
        InvalidArgument: a rule that cannot be read, or asks for what the recordings do not hold.
    """
    return [_rule(text, difference, after) for text in fail_on] + [_limit(text, after) for text in most]


def _limit(text: str, after: Sequence[Profile]) -> Check:
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"--max {text!r} cannot be read", hint="write it as fsync=0 or openat.ENOENT=20")
    name, errno, limit = match.group(1), match.group(2), int(match.group(3))
    values = [_count(profile, name, errno) for profile in after]
    worst = max(values)
    what = f"{name}.{errno}" if errno else name
    return Check(rule=f"{what} <= {format_count(limit)}", failed=worst > limit, found=format_count(worst))


def _count(profile: Profile, name: str, errno: str | None) -> int:
    if errno is not None:
        return profile.errnos.get((name, errno), 0)
    row = profile.total if name == "total" else profile.syscalls.get(name)
    if row is None:
        return 0
    if row.calls is None:
        raise InvalidArgument(f"{profile.source} has no counts of {name}")
    return row.calls


def _rule(text: str, difference: Difference, after: Sequence[Profile]) -> Check:
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"--fail-on {text!r} cannot be read", hint=HINT)
    name, metric, operator, sign, number, unit = match.groups()
    if name == "new":
        return _new(text, difference, metric, operator, float(number))
    figure = _figure(text, difference, after, name, metric)
    timed = metric in ("time", "waiting")
    value, found = _value(text, figure, relative=bool(sign), percent=unit == "%", timed=timed)
    limit = float(number) * (-1 if sign == "-" else 1)
    if unit and unit != "%":
        if not timed:
            raise InvalidArgument(f"--fail-on {text!r}: only a time has a unit", hint=HINT)
        limit = (limit * _US) if unit == "us" else parse_duration_ns(f"{number}{unit}") * (-1 if sign == "-" else 1)
    return Check(rule=text.strip(), failed=_holds(value, operator, limit), found=found)


def _new(text: str, difference: Difference, metric: str, operator: str, limit: float) -> Check:
    kind = {"syscalls": "syscall", "errnos": "errno", "paths": "path"}.get(metric)
    if kind is None:
        raise InvalidArgument(f"--fail-on {text!r} cannot be read", hint=HINT)
    names = [change.name for change in difference.changes if change.kind == kind and change.note == "new"]
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    found = f"{len(names)} ({shown})" if names else "0"
    return Check(rule=text.strip(), failed=_holds(len(names), operator, limit), found=found)


def _figure(text: str, difference: Difference, after: Sequence[Profile], name: str, metric: str) -> Metric:
    if name == "total":
        change: Change | None = difference.total
    elif metric.isupper():
        change = difference.find("errno", f"{name} {metric}")
        if change is None:
            same = float(max(profile.errnos.get((name, metric), 0) for profile in after))
            return Metric(same, same)
    else:
        change = difference.find("syscall", name)
        if change is None:  # not changed in number, or in neither
            rows = [profile.syscalls.get(name) for profile in after]
            values = [getattr(row, _FIGURES.get(metric, ""), None) if row else 0 for row in rows]
            if metric in _FIGURES and None not in values:
                same = sum(value for value in values if value is not None) / len(values)
                return Metric(same, same)
    figure = _FIGURES.get(metric, "calls" if metric.isupper() else "")
    if change is None or not figure:
        raise InvalidArgument(f"--fail-on {text!r} cannot be read", hint=HINT)
    found: Metric = getattr(change, figure)
    if found.before is None or found.after is None:
        raise InvalidArgument(
            f"--fail-on {text!r}: not every recording has it",
            hint="straced trace -o FILE.strc" if metric == "waiting" else "record with -T, or with -c",
        )
    return found


def _value(text: str, figure: Metric, *, relative: bool, percent: bool, timed: bool) -> tuple[float, str]:
    assert figure.before is not None
    assert figure.after is not None

    def show(value: float) -> str:
        return format_ns(round(value)) if timed else format_count(round(value))

    both = f"{show(figure.before)} -> {show(figure.after)}"
    if percent:
        if not relative:
            raise InvalidArgument(f"--fail-on {text!r}: a percentage is a change, so give it a sign", hint=HINT)
        change = figure.pct if figure.before else (float("inf") if figure.after else 0.0)
        assert change is not None
        return change, f"{both} ({change:+.1f} %)" if change != float("inf") else f"{both} (new)"
    if relative:
        return figure.after - figure.before, both
    return figure.after, show(figure.after)


def _holds(value: float, operator: str, limit: float) -> bool:
    return {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[operator]
