"""A printer for each call: made when the first record of the call is seen."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from straced.records.plans import MOST_ARGUMENTS, plan_of
from straced.records.text import given, kinds, memory
from straced.records.text.calls import SIGNATURES
from straced.records.text.dependent import WHOLE
from straced.records.text.descriptor_effects import Effect, distrusted, unknown
from straced.records.text.effects import DESPITE, EFFECTS
from straced.records.text.named import named
from straced.records.text.processes import Process
from straced.records.text.results import DESCRIPTORS, ENDING, Result, result_of
from straced.records.text.task_calls import BECOMING, becoming
from straced.records.values import BlobKind, Record
from straced.syscalls import syscall_name

Printer = Callable[[Record, Process], str]


class CompiledCall(Struct, frozen=True):
    """All that is needed to print the records of one call."""

    name: str
    call: Printer
    """``name(arguments)``."""
    begun: Printer
    """The same of a call that is inside: without what it is to fill in, and without the last parenthesis."""
    result: Result
    effect: Effect | None
    needed: int
    """The arguments without which there is nothing to tell."""
    despite: frozenset[int] = frozenset()
    """Errors with which it has its effect."""
    ends: bool = False
    """Whether those who make the call end in it."""


def compile_call(number: int, abi: str, *, words: bool = False) -> CompiledCall:
    """Make the printer of a call.

    Args:
        number: of the call.
        abi: as in :data:`straced.syscalls.ABIS`.
        words: print the words of an argv.
    """
    name = syscall_name(number, abi)
    result = result_of(name, abi)
    effect = EFFECTS.get(name) or (unknown if name in DESCRIPTORS else None)
    head = f"{name}("

    def compiled(call: Printer, begun: Printer, needed: int) -> CompiledCall:
        despite = DESPITE.get(name, frozenset())
        return CompiledCall(name, call, begun, result, effect, needed, despite, name in ENDING)

    if abi not in ("x86_64", "arm64"):  # arguments may be parts of others, or structures of another size
        effect = distrusted
        return compiled(_of_list(head, _hexadecimal), _begun(head, _hexadecimal, 6), 0)
    if name in WHOLE:
        texts, needed = WHOLE[name](abi), plan_of(name).nargs
        if name in BECOMING:  # which has something to tell also when its arguments are gone
            texts, needed = becoming(abi, BECOMING[name], words=words), 0
        return compiled(_of_list(head, texts, needed), _begun(head, texts, 6, needed), needed)
    if name not in SIGNATURES:
        texts = _one_by_one([_unnamed(name, place) for place in range(MOST_ARGUMENTS)])
        return compiled(_of_list(head, texts), _begun(head, texts, 6), 0)
    kinds_of = words_of(name)
    formatters = [_formatter(word, place, abi) for place, word in enumerate(kinds_of)]
    filled = next((place for place, word in enumerate(kinds_of) if word.partition("(")[0].endswith(memory.FILLED)), 6)
    begun = _begun(head, _one_by_one(formatters), filled, len(kinds_of))
    return compiled(_of_signature(head, formatters), begun, len(kinds_of))


def words_of(name: str) -> list[str]:
    """The kinds of the arguments of a call that has a signature."""
    return SIGNATURES[name].split(", ") if SIGNATURES[name] else []


def _formatter(word: str, index: int, abi: str) -> kinds.Formatter:
    """Make the formatter of one argument.

    Args:
        word: a kind of calls.py, with what stands in parentheses behind it.
        index: of the argument, from 0.
        abi: whose constants are meant.
    """
    kind, _, rest = word.rstrip(")").partition("(")
    if rest and kind in memory.BY_LENGTH:
        return memory.BY_LENGTH[kind](int(rest))
    if kind in kinds.SIMPLE:
        return kinds.SIMPLE[kind]
    if kind in memory.POINTING:
        return memory.POINTING[kind]
    if kind in memory.BY_PLACE:
        return memory.BY_PLACE[kind](index)
    if kind in given.BY_ABI:
        return given.BY_ABI[kind](index, abi)
    if (held := memory.held(kind, index, abi)) is not None:
        return held
    return kinds.for_value(named(kind, rest.split(), abi))


def _unnamed(name: str, place: int) -> kinds.Formatter:
    """What prints an argument of a call that nothing is known of but what is read of it: a path, or a number."""
    paths = {each.argument for each in plan_of(name).captures if each.kind == BlobKind.PATH}
    return memory.path(place) if place in paths else kinds.hexadecimal


def _hexadecimal(record: Record, process: Process) -> list[str]:
    return [kinds.hexadecimal(value, record, process) for value in record.args]


def _one_by_one(formatters: list[kinds.Formatter]) -> kinds.Whole:
    return lambda record, process: [
        each(value, record, process) for each, value in zip(formatters, record.args, strict=False)
    ]


def _begun(head: str, texts: kinds.Whole, filled_from: int, needed: int = 0) -> Printer:
    def begun(record: Record, process: Process) -> str:
        found = texts(record, process) if len(record.args) >= needed else ["..."]
        if filled_from < len(found):
            return head + "".join(f"{each}, " for each in found[:filled_from])
        return head + ", ".join(found)

    return begun


def _of_list(head: str, texts: kinds.Whole, needed: int = 0) -> Printer:
    def call(record: Record, process: Process) -> str:
        if len(record.args) < needed:  # overwritten by the time that they could be read
            return f"{head}...)"
        return f"{head}{', '.join(texts(record, process))})"

    return call


def _of_signature(head: str, formatters: list[kinds.Formatter]) -> Printer:
    """Arguments one by one; spelled out for the usual numbers, which is faster than a loop."""
    if len(formatters) not in (1, 2, 3, 4):
        return _of_list(head, _one_by_one(formatters), len(formatters))
    f0, f1, f2, f3 = [*formatters, *formatters[:1] * 3][:4]

    def one(record: Record, process: Process) -> str:
        args = record.args
        return f"{head}{f0(args[0], record, process)})" if args else f"{head}...)"

    def two(record: Record, process: Process) -> str:
        args = record.args
        if len(args) < 2:
            return f"{head}...)"
        return f"{head}{f0(args[0], record, process)}, {f1(args[1], record, process)})"

    def three(record: Record, process: Process) -> str:
        args = record.args
        if len(args) < 3:
            return f"{head}...)"
        return f"{head}{f0(args[0], record, process)}, {f1(args[1], record, process)}, {f2(args[2], record, process)})"

    def four(record: Record, process: Process) -> str:
        args = record.args
        if len(args) < 4:
            return f"{head}...)"
        first = f"{head}{f0(args[0], record, process)}, {f1(args[1], record, process)}, "
        return f"{first}{f2(args[2], record, process)}, {f3(args[3], record, process)})"

    return (one, two, three, four)[len(formatters) - 1]
