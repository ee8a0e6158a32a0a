"""MkDocs' hooks: pages that are made from the program, and links to files of the repository outside ``docs/``."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import docs_pages
from mkdocs.structure.files import File, Files

SOURCES = "sources/"
"""Where the site has the files of the repository that pages link to."""
_LINK = re.compile(r"(\[[^\]]*\]\()(?!https?:|#|mailto:)([^)#\s]*)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the made pages, and the files that any page links to."""
    for path, text in docs_pages.pages().items():
        files.append(File.generated(config, path, content=text))
    sources = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    for page, text in sources:
        for _, target, _ in _LINK.findall(text):
            outside = _outside(page, target)
            if outside is not None and files.get_file_from_path(_shown(outside)) is None:
                text = (docs_pages.ROOT / outside).read_text()
                files.append(File.generated(config, _shown(outside), content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links that leave ``docs/`` into those of the site."""
    here = page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        start, target, anchor = match[1], match[2], match[3] or ""
        place = _place(here, target)
        if place is None:
            return match[0]
        if not place:  # a directory
            return start[1:-2]
        return f"{start}{posixpath.relpath(place, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(turned, markdown)


def _origin(page: str) -> str:
    """The directory of the repository from which a page's links lead."""
    for name, place in docs_pages.PROJECT.items():
        if place == page and place.startswith("project/"):
            return posixpath.dirname(name)
    return posixpath.dirname(f"docs/{page}")


def _place(page: str, target: str) -> str | None:
    """Where the site has what a link leads to, if it has to be turned; ``""``: nowhere."""
    path = posixpath.normpath(posixpath.join(_origin(page), target))
    if path in docs_pages.PROJECT:
        return docs_pages.PROJECT[path]
    if path.startswith("docs/"):
        return None if _origin(page).startswith("docs") else path.removeprefix("docs/")
    if (docs_pages.ROOT / path).is_dir():
        return ""
    return _shown(path) if _outside(page, target) else None


def _shown(path: str) -> str:
    """Where the site has a file of the repository, as text."""
    return f"{SOURCES}{path}.txt" if path.endswith(".md") else SOURCES + path


def _outside(page: str, target: str) -> str | None:
    """The file of the repository outside ``docs/`` that a link leads to."""
    path = posixpath.normpath(posixpath.join(_origin(page), target))
    if path in docs_pages.PROJECT or path == "docs" or path.startswith(("docs/", "..")):
        return None
    return path if (docs_pages.ROOT / path).is_file() else None
