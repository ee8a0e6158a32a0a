"""Who may ask: only requests under this host's own names, and none that a stranger's web page makes.

The check of Host keeps a page from reading what is served here by letting its own name point to this host (DNS
rebinding); Origin and Sec-Fetch-Site (Fetch Metadata, W3C) tell of requests that another page makes.
"""

from __future__ import annotations

from collections.abc import Collection

from straced.httpd.message import HttpRequest, Response, text

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


def refusal(
    request: HttpRequest, hosts: Collection[str], *, pages: bool, landing: Collection[str] = ()
) -> Response | None:
    """Why a request is refused; ``None``: it is not.

    Args:
        request: the request.
        hosts: names of this host besides :data:`LOCAL`.
        pages: whether own pages are served, which may ask; else no page may.
        landing: paths that a link on another page may lead to.
    """
    host = request.headers.get("host", "")
    if not is_this_host(host, hosts):
        return text(403, "unknown host name")
    origin = request.headers.get("origin")
    if origin is not None and not (pages and origin.lower() == f"http://{host.lower()}"):
        return text(403, "cross-origin requests are refused")
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") and not _is_a_link(request, landing):
        return text(403, "cross-origin requests are refused")
    if request.method not in ("GET", "HEAD"):
        return text(405, "only GET is supported")
    return None


def is_this_host(host: str, more: Collection[str] = ()) -> bool:
    """Whether a Host header names this host; whatever the port, which a tunnel may change."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    if colon and name != host and not (port.isascii() and port.isdecimal()):
        return False
    return name.lower() in LOCAL | {each.lower() for each in more}


def _is_a_link(request: HttpRequest, landing: Collection[str]) -> bool:
    navigates = (
        request.headers.get("sec-fetch-mode") == "navigate" and request.headers.get("sec-fetch-dest") == "document"
    )
    return request.path in landing and navigates
