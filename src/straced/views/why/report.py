"""The answer for people: one sentence, the chain as a tree, the evidence, and what to type next."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable

from straced.views.text.summary import Line, Span, plain
from straced.views.why.phrases import shorten
from straced.views.why.sentence import rest_of_reason
from straced.views.why.sentence import sentence as sentence
from straced.views.why.tree import tree
from straced.waits.model import Why, walk

_LABEL = 10
_LONGEST_COMMAND = 160


def report(why: Why, width: int | None = None) -> str:
    """The answer as text, without colour."""
    return plain(lines(why, width)).removesuffix("\n")


def lines(why: Why, width: int | None = None) -> list[Line]:
    """Sentence, tree, commands, evidence, what was not seen, what to type next.

    Args:
        why: the answer.
        width: columns there are, ``None`` for no limit: the sentence then is one line.
    """
    found: list[Line] = [(Span(line, "strong"),) for line in wrapped(sentence(why), width)]
    if why.chain is not None:
        found += [(), *tree(why.chain, width), ()]
    longest = _LONGEST_COMMAND if width is None else min(max(width - _LABEL, _LABEL), _LONGEST_COMMAND)
    found += section("who", [shorten(text, longest) for text in _commands(why)], width)
    found += section("evidence", [text for text in (*why.evidence, rest_of_reason(why)) if text], width)
    found += section("storm", [storm.text for storm in why.storms], width)
    found += section("limit", [f"{limit.text}: {limit.path}" for limit in why.limits], width)
    found += section("threads", _other_threads(why), width)
    found += section("python", why.python_stack, width)
    found += section("not seen", why.not_seen, width)
    found += section("next", [why.next] if why.next else [], width)
    return found if found[-1] else found[:-1]


def wrapped(text: str, width: int | None) -> list[str]:
    """Lines of at most ``width`` columns, broken between words."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False)


def section(title: str, texts: Iterable[str], width: int | None = None) -> list[Line]:
    """A label, and beside it the lines."""
    found: list[Line] = []
    for text in texts:
        indent = len(text) - len(text.lstrip())
        room = None if width is None else max(width - _LABEL, 20)
        for part in [text] if indent else wrapped(text, room):
            label = title if not found else ""
            found.append((Span(f"{label:<{_LABEL}}", "weak"), Span(part)))
    return found


def _commands(why: Why) -> list[str]:
    """The command lines of the chain, where they tell more than the names in the tree."""
    found = []
    for pid, words in why.commands.items():
        comm = next((node.task.comm for node in walk(why.chain) if node.task.tid == pid), "") if why.chain else ""
        if len(words) > 1 or os.path.basename(words[0]) != comm:
            found.append(f"{pid} {' '.join(words)}")
    return found


def _other_threads(why: Why) -> list[str]:
    """The threads that the chain does not show, counted by what they do."""
    if why.chain is None:
        return []
    shown = {node.task.tid for node in walk(why.chain)}
    counted = Counter(
        f"{task.wait.kind.replace('_', ' ')}{f' ({task.wait.call})' if task.wait.call else ''}"
        for task in why.threads
        if task.tid not in shown
    )
    return [f"{count} more: {what}" for what, count in counted.most_common(5)]
