"""Who is let in: the token buys a cookie, which no script reads, and a key, which the page sends with each request.

Both are asked for. A cookie alone would not do: browsers send it to whatever listens on another port of the same host,
and that may be another user's. A key alone could be read by a script.
"""

from __future__ import annotations

import hashlib
import hmac

from straced.httpd.message import HttpRequest

KEY_HEADER = "x-straced-key"


class Access:
    """Checks requests against one token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._cookie = self._derived("cookie")
        self.key = self._derived("key")
        self.cookie_name = f"straced-{self._derived('name')[:8]}"
        """Its own for each service, since the services of several hosts may be reached by tunnels of one."""

    def _derived(self, what: str) -> str:
        return hmac.new(self._token.encode(), what.encode(), hashlib.sha256).hexdigest()

    def has_token(self, request: HttpRequest) -> bool:
        """Whether a request presents the token itself."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _same(token.strip(), self._token)

    def allows(self, request: HttpRequest) -> bool:
        """Whether a request comes from a page that was let in."""
        cookies = (each.strip().partition("=") for each in request.headers.get("cookie", "").split(";"))
        cookie = next((value for name, _, value in cookies if name == self.cookie_name), "")
        return _same(cookie, self._cookie) & _same(request.headers.get(KEY_HEADER, ""), self.key)

    @property
    def set_cookie(self) -> tuple[str, str]:
        """The header that gives the cookie; it ends with the browser's session."""
        return "Set-Cookie", f"{self.cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
