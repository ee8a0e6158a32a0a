"""Compare an answer about a real server with the truth.

It is right; or says "one of", with the truth among those it names and the command that ends the question; or says less
(unknown); or is wrong.
"""

from __future__ import annotations

import re

from msgspec import Struct

from straced.views.why.report import report, sentence
from straced.waits.model import HOLDS, LIKELY, Node, Why, walk
from straced.waits.process import why_process

GRADES = ("right", "one of", "unknown", "wrong", "not staged")
_MARKED = re.compile(r"^[\s│├└]*(\d+)(?:/(\d+))? .*<- root cause$")


TICKS = ("stuck", "slow")
"""Of a wait for a server whose loop looks at its clock many times a second: it may be met at that."""


class Truth(Struct, frozen=True, kw_only=True):
    """What is so, of one process of a scenario, and how much of it the answer must say."""

    target: int
    verdicts: tuple[str, ...]
    """Each of them is right; ``unknown`` is never wrong."""
    culprits: frozenset[int] = frozenset()
    """Processes or threads, each of which alone could end the wait: nobody else may be called the root cause."""
    says: tuple[str, ...] = ()
    """Words of the report."""
    never: tuple[str, ...] = ()
    """Words that would be false."""
    next: str = ""
    """Words of the line to type."""
    deadlock: bool = False
    window_s: float = 0.1
    """How long to watch, at least."""
    may_be_one_of: bool = False
    """The kernel cannot tell more: that the truth is among those who are named is all that is asked for."""

    def accepts(self, word: str) -> bool:
        """Whether an answer of this grade is as good as can be had."""
        return word == "right" or (word == "one of" and self.may_be_one_of)


def ask(truth: Truth, duration_s: float = 0.0) -> tuple[str, str]:
    """Ask about the target, and grade the answer."""
    return grade(truth, why_process(truth.target, int(max(truth.window_s, duration_s) * 1e9)))


def grade(truth: Truth, why: Why) -> tuple[str, str]:
    """(a word of GRADES; the sentence, and what is amiss)."""
    text = report(why)
    false = _falsehoods(truth, why, text)
    if false:
        return "wrong", f"{sentence(why)} [{'; '.join(false)}]"
    less, open_ = _left_out(truth, why, text), _left_open(truth, why)
    word = "unknown" if less else "one of" if open_ else "right"
    return word, f"{sentence(why)} [{'; '.join((*less, *open_))}]" if less or open_ else sentence(why)


def _falsehoods(truth: Truth, why: Why, text: str) -> list[str]:
    found = []
    if why.verdict not in (*truth.verdicts, "unknown"):
        found.append(f"verdict {why.verdict}, not {' or '.join(truth.verdicts)}")
    if not truth.deadlock and (why.deadlock or "a deadlock" in text):
        found.append("calls it a deadlock")
    found += [f"says {words!r}" for words in truth.never if words in text]
    found += [f"blames {tid}" for tid in sorted(_blamed(text)) if not _is_among(truth.culprits, tid)]
    ends = [leaf for leaf in why.roots if leaf.relation is not None and not leaf.cycle]
    listed = [node for node in walk(why.chain) if node.relation is not None] if why.chain else []
    hidden = any(node.more for node in walk(why.chain)) if why.chain else False
    among = any(_names(truth.culprits, node) for node in listed)
    if truth.culprits and ends and not among and not hidden and not any(_is_reserved(leaf) for leaf in ends):
        found.append(f"the truth, {sorted(truth.culprits)}, is not among those named")
    return found


def _left_out(truth: Truth, why: Why, text: str) -> list[str]:
    found = [f"does not say {words!r}" for words in truth.says if words not in text]
    if why.verdict not in truth.verdicts:
        found.append(f"verdict {why.verdict}")
    if truth.next not in (why.next or ""):
        found.append(f"next is {why.next!r}, without {truth.next!r}")
    return found


def _left_open(truth: Truth, why: Why) -> list[str]:
    """What is said of several, where it is so of one or two of them."""
    found = []
    sure = [leaf for leaf in why.roots if leaf.relation in (HOLDS, LIKELY)]
    if truth.culprits and not truth.deadlock and not any(_names(truth.culprits, leaf) for leaf in sure):
        found.append(f"does not name {sorted(truth.culprits)} alone")
    if truth.deadlock and not why.deadlock:
        found.append("does not say that it is a deadlock")
    return found


def _blamed(text: str) -> set[int]:
    """The threads that the tree marks as a root cause."""
    matches = (_MARKED.match(line) for line in text.split("\n"))
    return {int(match[2] or match[1]) for match in matches if match}


def _is_among(culprits: frozenset[int], tid: int) -> bool:
    return tid in culprits


def _names(culprits: frozenset[int], node: Node) -> bool:
    return node.task.tid in culprits


def _is_reserved(leaf: Node) -> bool:
    """Whether the chain ends in somebody who waits himself: nothing is said about what stands behind."""
    return leaf.task.wait.kind not in ("running", "sleep", "stopped", "frozen", "traced")


def worst(words: list[str]) -> str:
    """The grade of several answers together."""
    order = ("wrong", "not staged", "unknown", "one of", "right")
    return min(words, key=order.index) if words else "not staged"
