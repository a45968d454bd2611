"""The results of epochs, sent to a server."""

from __future__ import annotations

import json

from .. import lazy
from ..errors import UsageTypeError
from ..source import warn
from .base import Callback, Logs


class RemoteMonitor(Callback):
    """Posts the number and the logs of each epoch to ``root + path``.

    A server that cannot be reached, or that declines, is told in a warning; training goes on.

    Args:
        root: ``http://localhost:9000``.
        path: after ``root``.
        field: the name of the form field that holds the logs as JSON.
        headers: of the request.
        send_as_json: whether to post the JSON itself, not a form.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        message = json.dumps({"epoch": epoch, **(logs or {})}, default=_as_list)
        field = None if self.send_as_json else self.field
        complaint = lazy.load(".callbacks.posting").post(
            self.root + self.path, message, field, self.headers or {}
        )
        if complaint:
            warn(f"RemoteMonitor: could not reach the server at {self.root}: {complaint}")


def _as_list(value: object) -> object:
    """Values of metrics that are arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise UsageTypeError(f"RemoteMonitor: expected logs of numbers; received {value!r}")
