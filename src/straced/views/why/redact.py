"""Take out of an answer what only its host should know, before a word of it is written.

Values are replaced, not words of a finished text: a long path with blanks in it loses its middle there, and its ends
would stay behind.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from straced.waits.model import Node, Request, Resource, Storm, Wait, WaitingTask, Why, walk

_PATH = re.compile(r"(?<![\w/])(?:/(?!proc/locks|dev/(?:pts|tty|null))|@)[^\s,;:()]*[^\s,;:().]")
_LISTENING = " (listening)"


def redacted(why: Why) -> Why:
    """The same answer with a token for each path, socket name and foreign address: the same one wherever it stands.

    Command lines are left out. Program names (comm), pids, system calls and local addresses stay: without them the
    answer says nothing.
    """
    return _Redactor(why).answer(why)


class _Redactor:
    def __init__(self, why: Why) -> None:
        self._tokens: dict[str, str] = {}
        for name in sorted(_secrets(why), key=lambda name: (-len(name), name)):
            self._token(name)

    def _token(self, name: str) -> str:
        return self._tokens.setdefault(name, f"<name {len(self._tokens) + 1}>")

    def text(self, text: str) -> str:
        """A finished line: names that are known, then whatever looks like a path."""
        for name, token in self._tokens.items():
            text = text.replace(name, token)
        return _PATH.sub(lambda match: self._token(match.group()), text)

    def _name(self, resource: Resource, name: str) -> str:
        bare = name.removesuffix(_LISTENING)
        return self._token(bare) + name[len(bare) :] if _is_private(resource, bare) else name

    def _resource(self, resource: Resource) -> Resource:
        peer = self._name(resource, resource.peer) if resource.peer else None
        return replace(resource, name=self._name(resource, resource.name), peer=peer)

    def _wait(self, wait: Wait) -> Wait:
        return replace(
            wait,
            resource=self._resource(wait.resource) if wait.resource else None,
            watched=tuple(map(self._resource, wait.watched)),
            detail=self.text(wait.detail),
            title="",
            request=self._request(wait.request) if wait.request else None,
        )

    def _request(self, request: Request) -> Request:
        """Its ends are those of a socket that is waited on, whose names are known."""
        return replace(request, local=self.text(request.local), peer=self.text(request.peer))

    def _task(self, task: WaitingTask) -> WaitingTask:
        return replace(task, wait=self._wait(task.wait))

    def _node(self, node: Node) -> Node:
        return replace(
            node,
            task=self._task(node.task),
            evidence=self.text(node.evidence),
            ways=tuple(replace(way, text=self.text(way.text)) for way in node.ways),
            holders=tuple(map(self._node, node.holders)),
        )

    def answer(self, why: Why) -> Why:
        return replace(
            why,
            reason=self.text(why.reason),
            chain=self._node(why.chain) if why.chain else None,
            threads=tuple(map(self._task, why.threads)),
            storms=tuple(Storm(kind=s.kind, per_second=s.per_second, text=self.text(s.text)) for s in why.storms),
            limits=tuple(
                replace(limit, path=self.text(limit.path), text=self.text(limit.text)) for limit in why.limits
            ),
            evidence=tuple(map(self.text, why.evidence)),
            not_seen=tuple(map(self.text, why.not_seen)),
            next=self.text(why.next) if why.next else None,
            # py-spy names source files in parentheses.
            python_stack=tuple(line.partition(" (")[0] for line in why.python_stack),
            commands={},
        )


def _secrets(why: Why) -> set[str]:
    """What only this host knows: names of files and sockets, addresses of other machines."""
    tasks = [*why.threads, *(node.task for node in (walk(why.chain) if why.chain else ()))]
    waits = [task.wait for task in tasks]
    resources = [*(wait.resource for wait in waits if wait.resource), *(one for wait in waits for one in wait.watched)]
    names = ((each, name.removesuffix(_LISTENING)) for each in resources for name in (each.name, each.peer or ""))
    return {name for each, name in names if name and _is_private(each, name)}


def _is_private(resource: Resource, name: str) -> bool:
    if resource.kind in ("tcp", "udp"):
        return not name.startswith(("127.", "[::1]", "0.0.0.0", "[::]"))
    if resource.kind == "unix":
        return not name.startswith("unix:[")
    return name.startswith(("/", "@")) and not name.startswith(("/dev/pts/", "/dev/null", "/dev/tty"))
