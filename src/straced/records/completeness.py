"""Whether a file has the records that it says it has, in words."""

from __future__ import annotations

from collections import Counter

from straced.records.values import RecordingEnd, label_of
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns

MOST_DIFFERENCES = 5


def differences(seen_calls: Counter[tuple[int, str]], end: RecordingEnd) -> list[str]:
    """Where records and what became of the other calls do not add up to what was counted.

    Args:
        seen_calls: records of counted calls by number and ABI.
        end: how the recording ended.
    """
    seen: Counter[str] = Counter()
    for (number, abi), count in seen_calls.items():
        seen[label_of(number, abi)] += count
    without = {name: each.filtered + each.overwritten + each.lost for name, each in end.calls.items()}
    expected = {name: each.counted - without[name] for name, each in end.calls.items()}
    wrong = [name for name in sorted({*seen, *expected}) if seen[name] != expected.get(name, 0)]
    words = [
        f"{scrub(name, 40)} {format_count(seen[name])} of {format_count(expected.get(name, 0))}"
        for name in wrong[:MOST_DIFFERENCES]
    ]
    more = f" and {len(wrong) - MOST_DIFFERENCES} more" if len(wrong) > MOST_DIFFERENCES else ""
    return [f"the file does not have the records that it says it has: {', '.join(words)}{more}"] if wrong else []


def dump_span(end: RecordingEnd, since_ns: int) -> str:
    """How far back a dump goes.

    Args:
        end: of it.
        since_ns: its true start.
    """
    span = format_ns(end.ended_ns - since_ns)
    if end.chosen:
        return f"a dump of some processes of a recorder: nothing older than {span}, and no sums"
    gone = format_count(sum(each.overwritten for each in end.calls.values()))
    return f"a dump: it has all calls of the last {span}; {gone} before them were overwritten"
