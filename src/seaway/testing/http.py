"""A test's end of an HTTP request to an ASGI application.

What lives here: `HttpCommunicator`. What must not: Django's test client, which is for views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from seaway.testing.application import ApplicationCommunicator, expect

Headers = Iterable[tuple[bytes, bytes]]


class HttpCommunicator(ApplicationCommunicator):
    """One request and its response.

    :param method: such as ``"GET"``.
    :param path: percent-encoded, with a query string perhaps.
    :param body: the request's body.
    :param headers: pairs of bytes.
    """

    def __init__(
        self,
        application: Any,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Headers | None = None,
    ) -> None:
        target = urlsplit(path)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method.upper(),
            "path": unquote(target.path),
            "query_string": target.query.encode(),
            "headers": list(headers or ()),
        }
        super().__init__(application, scope)
        if not isinstance(body, bytes):
            raise TypeError(f"body has to be bytes, not {type(body).__name__}")
        self.body = body
        self.sent_request = False

    async def get_response(self, timeout: float | None = None) -> dict[str, Any]:
        """Send the request, once, and wait for the response.

        :returns: ``status``, ``headers`` (pairs of bytes, sorted) and ``body``.
        :raises TimeoutError: a part of the response did not come in time.
        """
        if not self.sent_request:
            self.sent_request = True
            await self.send_input({"type": "http.request", "body": self.body})
        start = await self.receive_output(timeout)
        expect("http.response.start", start)
        response = {**start, "headers": sorted(start.get("headers", ())), "body": b""}
        del response["type"]
        more = True
        while more:
            part = await self.receive_output(timeout)
            expect("http.response.body", part)
            response["body"] += part.get("body", b"")
            more = part.get("more_body", False)
        await self.wait(timeout)
        return response
