"""What the documentation of a public name lacks, by its docstring, its annotations and the errors that its code raises.

Errors are found in the sources: every ``raise`` in the body of a function, and in what that calls within the package,
to a depth of ``DEPTH`` calls. Calls are followed by name: functions of the module or imported into it,
``module.function``, functions within a function where they are called, methods of ``self`` by the order of its bases,
methods of an attribute of ``self`` or of a variable whose class an assignment or annotation names, and constructors.
What is caught on the way (``except``, ``contextlib.suppress``) does not count. An error that comes out of a callback,
of a tracer behind its protocol, or of a task that somebody else awaits is not found.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from straced.errors import StracedError, TracerUnavailable

DEPTH = 4
PACKAGES = ("straced",)
"""Whose code is followed."""
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
_ENTRY = re.compile(r"^\*{0,2}([\w.]+(?:, [\w.]+)*)(?: \(([^)]*)\))?:\s*(\S.*)?$")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
VERBS = frozenset(
    """Add Ask Attach Build Call Close Connect Count Detach Do End Estimate Explain Find Forget Have Hold Lead Let Load
    List Listen Look Merge Read Reap Run Signal Start Stop Sum Take Tell Track Wait Watch Wrap Write Become Begin
    """.split()  # noqa: SIM905
)
"""How the sentence of a function begins: the imperative of a verb."""


class Doc(NamedTuple):
    """A docstring in its parts."""

    summary: str
    sections: dict[str, dict[str, str]]
    """By name of the section: its entries; one without names is entry ``""``."""


def parse(text: str | None) -> Doc:
    """Read a docstring of Google's style."""
    lines = inspect.cleandoc(text or "").splitlines()
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    names = [""]
    for line in lines:
        if (title := line.removesuffix(":")) in SECTIONS and line.endswith(":"):
            current = sections.setdefault(title, {})
            names = [""]
        elif line and not line.startswith(" "):
            current = None
        elif current is not None and line.strip():
            entry = _ENTRY.match(line[4:]) if line.startswith("    ") and not line.startswith("     ") else None
            if entry and current is not sections.get("Returns"):
                names = entry[1].split(", ")
                for name in names:
                    current[name] = (f"({entry[2]}) " if entry[2] else "") + (entry[3] or "")
            else:
                current.update({name: f"{current.get(name, '')} {line.strip()}".strip() for name in names})
    summary = " ".join("\n".join(lines).split("\n\n", 1)[0].split())
    return Doc(summary, sections)


# --- what is wrong with a docstring ---


def of_function(name: str, function: Any, owner: type | None = None, *, imperative: bool = True) -> list[str]:
    """What the docstring of a function or method lacks."""
    doc = parse(function.__doc__)
    if not doc.summary:
        return [f"{name}: no docstring"]
    found = []
    if imperative and doc.summary.split()[0].strip(",") not in VERBS:
        found.append(f"{name}: {doc.summary.split()[0]!r} is no imperative of VERBS")
    if not doc.summary.endswith((".", ":")):
        found.append(f"{name}: the first paragraph is no sentence")
    parameters = _parameters(function, owner)
    documented = doc.sections.get("Args", {})
    found += [f"{name}: parameter {each} is not in Args" for each in parameters if each not in documented]
    found += [f"{name}: Args has {each}, which is no parameter" for each in documented if each not in parameters]
    found += _types_told(name, function, documented)
    found += _returned(name, function, doc)
    found += _raised(name, function, owner, doc)
    return found


def _parameters(function: Any, owner: type | None) -> list[str]:
    names = list(inspect.signature(function).parameters)
    is_method = owner is not None and not isinstance(
        inspect.getattr_static(owner, function.__name__, None), staticmethod
    )
    return names[1:] if is_method else names


def _types_told(name: str, function: Any, documented: dict[str, str]) -> list[str]:
    """Where a type stands in parentheses behind a parameter, or ``None`` in its text: so does the annotation."""
    found = []
    for parameter, annotation in function.__annotations__.items():
        text = documented.get(parameter, "")
        told = re.match(r"\(([^)]+)\) ", text)
        if told and told[1].replace(" ", "") != str(annotation).replace(" ", ""):
            found.append(f"{name}: {parameter} is told as {told[1]}, and annotated as {annotation}")
        if "``None``" in text and "None" not in str(annotation):
            found.append(f"{name}: {parameter} is told to be None, and annotated as {annotation}")
    return found


def _returned(name: str, function: Any, doc: Doc) -> list[str]:
    annotation = str(function.__annotations__.get("return", "None"))
    text = doc.sections.get("Returns", {}).get("", "")
    if annotation in ("None", "NoReturn"):
        return [f"{name}: Returns, and nothing is returned"] if text else []
    if not text:
        return [f"{name}: no Returns, and {annotation} is returned"]
    found = []
    if ("None" in annotation) != ("``None``" in text):
        found.append(f"{name}: Returns {text!r} and the annotation {annotation} disagree about None")
    if annotation == "bool" and not re.search(r"\b(Whether|True|False)\b", text):
        found.append(f"{name}: Returns does not say what is true")
    return found


def _raised(name: str, function: Any, owner: type | None, doc: Doc) -> list[str]:
    documented = doc.sections.get("Raises", {})
    known = {each: error_class(each) for each in documented}
    found = [f"{name}: Raises has {each}, which is no error" for each, kind in known.items() if kind is None]
    classes = tuple(kind for kind in known.values() if kind is not None)
    missing = {kind.__name__ for kind in raised_by(function, owner) if not issubclass(kind, classes)}
    missing -= UNRAISED.get(name, set())
    return [*found, *(f"{name}: {each} is raised, and not in Raises" for each in sorted(missing))]


def of_class(kind: type) -> list[str]:
    """What the docstrings of a class and of its public members lack."""
    name = kind.__name__
    doc = parse(kind.__doc__)
    found = [] if doc.summary.endswith(".") else [f"{name}: no sentence for a docstring"]
    if issubclass(kind, BaseException):
        return found + _of_error(kind)
    fields = getattr(kind, "__struct_fields__", None) or (list(kind.__annotations__) if _is_dict(kind) else None)
    if fields is not None:
        told = attribute_docstrings(kind)
        found += [f"{name}.{field}: no docstring" for field in fields if field not in told]
    elif "__init__" in vars(kind) and not _is_made_elsewhere(kind):
        arguments = parse(kind.__doc__).sections.get("Args") or parse(kind.__init__.__doc__).sections.get("Args", {})  # type: ignore[misc]
        wanted = list(inspect.signature(kind.__init__).parameters)[1:]  # type: ignore[misc]
        found += [f"{name}: parameter {each} is not in Args" for each in wanted if each not in arguments]
        found += [f"{name}: Args has {each}, which is no parameter" for each in arguments if each not in wanted]
        found += _raised(name, kind.__init__, kind, doc)  # type: ignore[misc]
    told = attribute_docstrings(kind)
    found += [f"{name}.{each}: no docstring" for each in public_attributes(kind) if each not in told]
    for each, member in members(kind):
        if isinstance(member, property):
            text = parse(member.__doc__).summary
            found += [] if text.endswith(".") else [f"{name}.{each}: no docstring"]
        elif fields is not None and not each.startswith("__"):
            found += of_function(f"{name}.{each}", member, kind, imperative=True)
        else:
            found += of_function(f"{name}.{each}", member, kind)
    return found


def _is_dict(kind: type) -> bool:
    return issubclass(kind, dict)


def _is_made_elsewhere(kind: type) -> bool:
    """Whether users never call the constructor: its docstring says by what it is made."""
    return "made by" in (kind.__doc__ or "") or ("__init__" in vars(kind) and kind.__init__.__doc__ is not None)  # type: ignore[misc]


def _of_error(kind: type) -> list[str]:
    """An error names each attribute that it has besides those of its bases."""
    own = (
        set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? =", inspect.getsource(kind))) if "__init__" in vars(kind) else set()
    )
    text = " ".join((each.__doc__ or "") for each in kind.__mro__ if issubclass(each, StracedError))
    return [
        f"{kind.__name__}: {each} is not in its docstring"
        for each in sorted(own)
        if not re.search(rf"\b{each}\b", text)
    ]


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties, those of bases in the package too."""
    seen = set()
    for base in kind.__mro__:
        if not base.__module__.startswith(PACKAGES):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            if isinstance(member, property):
                yield name, member
            elif isinstance(member, (FunctionType, staticmethod, classmethod)):
                yield name, getattr(member, "__func__", member)


def public_attributes(kind: type) -> set[str]:
    """What ``__init__`` of a class or of a base in the package gives to ``self`` under a public name."""
    found: set[str] = set()
    for base in kind.__mro__:
        if base.__module__.startswith(PACKAGES) and "__init__" in vars(base):
            source = inspect.getsource(vars(base)["__init__"])
            found |= set(re.findall(r"^\s+self\.([a-z]\w*)(?:: [^=\n]+)? = ", source, re.MULTILINE))
    return found


@functools.cache
def attribute_docstrings(kind: type) -> frozenset[str]:
    """Names of attributes, in the class or in ``__init__``, under which a string stands."""
    found = set()
    for base in kind.__mro__:
        if not base.__module__.startswith(PACKAGES):
            continue
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base)))):
            body = getattr(node, "body", [])
            for first, second in itertools.pairwise(body) if isinstance(body, list) else ():
                if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant):
                    targets = first.targets if isinstance(first, ast.Assign) else [getattr(first, "target", None)]
                    found |= {_last(target) for target in targets if target is not None}
    return frozenset(found)


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# --- the errors that code raises ---


def error_class(name: str) -> type[BaseException] | None:
    """An error of the package, or of Python, by its name."""
    for kind in _all_errors():
        if kind.__name__ == name:
            return kind
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


@functools.cache
def _all_errors() -> tuple[type[BaseException], ...]:
    import straced.ipc.protocol
    import straced.store.database  # noqa: F401

    left, found = [StracedError], []
    while left:
        kind = left.pop()
        found.append(kind)
        left.extend(kind.__subclasses__())
    return tuple(found)


class Place(NamedTuple):
    """A function in its class and module."""

    function: Any
    owner: type | None

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(self.function.__module__)


NEVER = {"carry": frozenset({TracerUnavailable})}
"""By function: what it cannot raise, though its sources do. What is carried out is never given up."""
_LOOP = {"ForkedCopy", "NoEventLoop"}
UNRAISED = {
    "Profiler.close": {"ForkedCopy"},
    "StraceManager": {"InvalidArgument"},
    "StraceManager.attach": {"NoEventLoop", "NoResources", "TracerUnavailable"},
    "StraceManager.attach_full_trace": {"NoEventLoop", "NoResources", "TracerUnavailable"},
    "StraceManager.detach_full_trace": _LOOP,
    "StraceManager.detach_all": {"ForkedCopy"},
    "StraceManager.spawn": {"InvalidArgument", "TracerUnavailable"},
}
"""The same of public names. A copy is asked before; the tracer's name and the patience of a gate are constants; what
keeps a trace from being started or stopped is False with ``last_error``; nobody interrupts a start but its caller."""


def raised_by(function: Any, owner: type | None = None, depth: int = DEPTH) -> frozenset[type[StracedError]]:
    """The errors of straced that may come out of a function, as far as its sources tell."""
    return _raised_by(Place(inspect.unwrap(function), owner), depth)


@functools.cache
def _tree(function: Any) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None


@functools.cache
def _raised_by(place: Place, depth: int) -> frozenset[type[StracedError]]:
    tree = _tree(place.function)
    if tree is None or depth < 0:
        return frozenset()
    return _raised_in(tree.body[0], place, _variables(tree.body[0], place), depth)


def _raised_in(body: ast.AST, place: Place, variables: dict[str, Any], depth: int) -> frozenset[type[StracedError]]:
    found: set[type[StracedError]] = set()
    for node, caught in _with_handlers(body, place):
        kinds: frozenset[type[StracedError]] = frozenset()
        if isinstance(node, ast.Raise) and node.exc is not None:
            what = _resolve(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, place, variables)
            kind = what if isinstance(what, type) else _returned_error(what)
            if kind is not None and issubclass(kind, StracedError):
                kinds = frozenset((kind,))
        elif isinstance(node, ast.Call):
            called = _resolve(node.func, place, variables)
            if isinstance(called, _Nested):
                kinds = _raised_in(called.body, place, variables, depth - 1) if depth else kinds
            else:
                kinds = _of_call(called, depth) - NEVER.get(_last(node.func), frozenset())
        found |= {kind for kind in kinds if not issubclass(kind, caught)}
    return frozenset(found)


def _of_call(called: Any, depth: int) -> frozenset[type[StracedError]]:
    if isinstance(called, type) and called.__module__.startswith(PACKAGES) and "__init__" in vars(called):
        if issubclass(called, BaseException):
            return frozenset()
        return _raised_by(Place(vars(called)["__init__"], called), depth - 1)
    if isinstance(called, Place):
        return _raised_by(called, depth - 1)
    if isinstance(called, FunctionType) and called.__module__.startswith(PACKAGES):
        return _raised_by(Place(inspect.unwrap(called), None), depth - 1)
    return frozenset()


def _returned_error(what: Any) -> type[StracedError] | None:
    """Of ``raise make_error(...)``: what that function is annotated to return."""
    function = what.function if isinstance(what, Place) else what
    name = str(getattr(function, "__annotations__", {}).get("return", ""))
    kind = error_class(name) if name.isidentifier() else None
    return kind if kind is not None and issubclass(kind, StracedError) else None


def _with_handlers(
    node: ast.AST, place: Place, caught: tuple[type[BaseException], ...] = ()
) -> Iterator[tuple[ast.AST, tuple[type[BaseException], ...]]]:
    """Every node but those of functions within, each with the errors that are caught around it."""
    yield node, caught
    if isinstance(node, ast.Try):
        inner = caught + tuple(kind for handler in node.handlers for kind in _handled(handler, place))
        for child in node.body:
            if not isinstance(child, _FUNCTIONS):
                yield from _with_handlers(child, place, inner)
        for child in [*node.handlers, *node.orelse, *node.finalbody]:
            yield from _with_handlers(child, place, caught)
        return
    if isinstance(node, (ast.With, ast.AsyncWith)):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        inner = caught
        for call in calls:
            if _last(call.func) == "suppress":
                inner += tuple(kind for each in call.args for kind in _kinds(each, place))
        for item in node.items:
            yield from _with_handlers(item, place, caught)
        for child in node.body:
            yield from _with_handlers(child, place, inner)
        return
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _FUNCTIONS):
            yield from _with_handlers(child, place, caught)


def _handled(handler: ast.ExceptHandler, place: Place) -> list[type[BaseException]]:
    """What a handler keeps: nothing, when it raises again what it caught."""
    if any(isinstance(each, ast.Raise) and each.exc is None for each in ast.walk(handler)):
        return []
    return _kinds(handler.type, place) if handler.type is not None else [BaseException]


def _kinds(node: ast.AST, place: Place) -> list[type[BaseException]]:
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    found = [_resolve(each, place, {}) for each in nodes]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseException)]


def _variables(tree: ast.AST, place: Place) -> dict[str, Any]:
    """Local names that are bound to a class's instance, imported in the function, or defined in it."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and node is not tree:
            found[node.name] = _Nested(node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module) if node.module.startswith("straced") else None
            for alias in node.names if module is not None else ():
                value = getattr(module, alias.name, None)
                found[alias.asname or alias.name] = (
                    value if value is not None else _module(f"{node.module}.{alias.name}")
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            made = _resolve(node.value.func, place, found)
            if isinstance(made, type):
                found[node.targets[0].id] = _Instance(made)
    return found


class _Instance(NamedTuple):
    kind: type


class _Nested(NamedTuple):
    """A function in another one: it raises where it is called, not where it is defined."""

    body: ast.AST


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _resolve(node: ast.AST, place: Place, variables: dict[str, Any]) -> Any:
    """What a name or a dotted name stands for: a class, a function, a module, a method in its class, or ``None``."""
    if isinstance(node, ast.Name):
        if node.id == "self" and place.owner is not None:
            return _Instance(place.owner)
        if node.id in variables:
            return variables[node.id]
        return getattr(place.module, node.id, getattr(builtins, node.id, None))
    if isinstance(node, ast.Attribute):
        left = _resolve(node.value, place, variables)
        if isinstance(left, _Instance):
            return _member(left.kind, node.attr)
        if isinstance(left, ModuleType):
            value = getattr(left, node.attr, None)
            return value if value is not None else None
        if isinstance(left, type):
            return _member(left, node.attr)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super" and place.owner:
        return _Instance(place.owner.__mro__[1])
    if isinstance(node, ast.Await):
        return _resolve(node.value, place, variables)
    return None


def _member(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        if name in vars(base):
            member = vars(base)[name]
            member = getattr(member, "__func__", member)
            if isinstance(member, FunctionType):
                return Place(inspect.unwrap(member), kind)
            return None
    made = _attribute(kind, name)
    return _Instance(made) if made is not None else None


@functools.cache
def _attribute(kind: type, name: str) -> type | None:
    """The class of an attribute, by what ``__init__`` assigns to it."""
    for base in kind.__mro__:
        init = vars(base).get("__init__")
        if not isinstance(init, FunctionType) or (tree := _tree(init)) is None:
            continue
        place = Place(init, base)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(_is_own(target, name) for target in node.targets):
                if isinstance(node.value, ast.Call):
                    made = _resolve(node.value.func, place, {})
                    return made if isinstance(made, type) else None
                if isinstance(node.value, ast.Name):
                    annotation = str(init.__annotations__.get(node.value.id, ""))
                    made = getattr(place.module, annotation, None)
                    return made if isinstance(made, type) else None
    return None


def _is_own(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name and _last(node.value) == "self"
