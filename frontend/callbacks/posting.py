"""One POST request; a module of its own since what it imports is slow to import."""

from __future__ import annotations

from http.client import HTTPException
from urllib.parse import urlencode
from urllib.request import Request, urlopen

SECONDS = 10.0  # that training waits for a server at most


def post(url: str, message: str, field: str | None, headers: dict[str, str]) -> str | None:
    """Sends JSON, as a form with one ``field`` or as it is; what went wrong, or None.

    Raises:
        ValueError: ``url`` is none.
    """
    kind = "application/json" if field is None else "application/x-www-form-urlencoded"
    body = message if field is None else urlencode({field: message})
    request = Request(url, body.encode(), {"Content-Type": kind, **headers}, method="POST")
    try:
        with urlopen(request, timeout=SECONDS):
            return None
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
