"""Django's request, made from an ASGI scope.

What lives here: `Request`, which is Django's `ASGIRequest` with a cheaper constructor, and the
response to a scope from which none can be made.
What must not: reading bodies, running views.
"""

from __future__ import annotations

import logging
from typing import IO, Any, BinaryIO, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, HttpResponseBadRequest

from seaway.http.types import Scope

logger = logging.getLogger("django.request")


class _Keys(dict[bytes, str | None]):
    """Header names seen so far, and their keys in META; None for those that are left out. Bounded,
    since clients choose the names."""

    _most = 1024

    def __missing__(self, name: bytes) -> str | None:
        text = name.decode("latin-1")
        # X_Y and X-Y would meet in META: a client could speak for a proxy that sets X-Y.
        key = None if "_" in text else "HTTP_" + text.upper().replace("-", "_")
        if len(self) < self._most:
            self[bytes(name)] = key
        return key


_KEYS = _Keys({b"content-length": "CONTENT_LENGTH", b"content-type": "CONTENT_TYPE"})
#: What joins the values of a repeated header. Cookies: RFC 9113 section 8.2.3.
_SEPARATORS = {"HTTP_COOKIE": "; "}


def script_prefix(scope: Scope) -> str:
    """``FORCE_SCRIPT_NAME``, else the scope's root path."""
    return settings.FORCE_SCRIPT_NAME or scope.get("root_path", "") or ""


class Request(ASGIRequest):
    """Django's `ASGIRequest`; its constructor does the same in a third of the time.

    :param scope: an ASGI ``http`` scope.
    :param body_file: the whole body, see `seaway.http.body`.
    :param prefix: the scope's `script_prefix`, where it is known.
    :raises UnicodeDecodeError: the query string is not UTF-8.
    """

    def __init__(self, scope: Scope, body_file: IO[bytes], prefix: str | None = None) -> None:
        self.scope = scope
        self._post_parse_error = False
        self._read_started = False
        self.resolver_match = None
        self._stream = cast("BinaryIO", body_file)
        self.path = path = scope["path"]
        if prefix is None:
            prefix = script_prefix(scope)
        self.script_name = prefix
        self.path_info = path.removeprefix(prefix) if prefix else path
        self.method = method = scope["method"].upper()
        query = scope.get("query_string", b"")
        meta: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "QUERY_STRING": query.decode() if isinstance(query, bytes) else query,
            "SCRIPT_NAME": prefix,
            "PATH_INFO": self.path_info,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
        }
        client, server = scope.get("client"), scope.get("server")
        if client:
            meta["REMOTE_ADDR"] = meta["REMOTE_HOST"] = client[0]
            meta["REMOTE_PORT"] = client[1]
        meta["SERVER_NAME"], meta["SERVER_PORT"] = (
            (server[0], str(server[1])) if server else ("unknown", "0")
        )
        for name, value in scope.get("headers", ()):
            key = _KEYS[name]
            if key is None:
                continue
            text = value.decode("latin-1")
            if key in meta:
                text = meta[key] + _SEPARATORS.get(key, ",") + text
            meta[key] = text
        self.META = meta
        if "CONTENT_TYPE" in meta:
            # Of HttpRequest, which django-stubs does not know.
            self._set_content_type_params(meta)  # type: ignore[attr-defined]
        else:
            self.content_type, self.content_params = "", {}


def make_request(
    scope: Scope, body: IO[bytes], prefix: str
) -> tuple[Request | None, HttpResponse | None]:
    """The request, or the response to one that cannot be made."""
    try:
        return Request(scope, body, prefix), None
    except UnicodeDecodeError:
        logger.warning(
            "Bad Request (UnicodeDecodeError)", exc_info=True, extra={"status_code": 400}
        )
        return None, HttpResponseBadRequest()
    except RequestDataTooBig:
        return None, HttpResponse("413 Payload too large", status=413)
