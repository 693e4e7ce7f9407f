"""The same requests through Django's own ASGI handler and through ours: the same requests reach
the views, and the same responses come back."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from seaway.http import HttpApplication
from seaway.http.request import Request
from tests.http import views
from tests.http.conftest import STARTPROJECT

NAMES = [b"host", b"x-a", b"x_a", b"content-type", b"content-length", b"accept", b"x-b-c"]
FIELDS = st.tuples(st.sampled_from(NAMES), st.binary(max_size=12))
ADDRESSES = st.none() | st.tuples(st.just("192.0.2.1"), st.integers(1, 65535))
PATHS = st.text(max_size=20).map(lambda text: f"/{text}")


@given(
    path=PATHS,
    root=st.sampled_from(["", "/app", "/"]),
    query=st.binary(max_size=20),
    method=st.sampled_from(["GET", "post", "X"]),
    headers=st.lists(FIELDS, max_size=8),
    client=ADDRESSES,
    server=ADDRESSES,
)
def test_a_request_is_made_as_django_makes_it(path: str, root: str, **fields: Any) -> None:
    scope = {"type": "http", "path": root + path, "root_path": root, **fields}
    scope["query_string"] = scope.pop("query")
    theirs: Any
    try:
        theirs = ASGIRequest(scope, io.BytesIO(b""))
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            Request(scope, io.BytesIO(b""))
        return
    ours: Any = Request(scope, io.BytesIO(b""))
    assert ours.META == theirs.META
    assert set(vars(ours)) == set(vars(theirs))
    for name in (
        "path",
        "path_info",
        "script_name",
        "method",
        "content_type",
        "content_params",
        "encoding",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name


async def exchange(application: Any, method: str, path: str, *fields: tuple[bytes, bytes]) -> Any:
    """(status, headers, body), headers that differ by time or chance left out."""
    target, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": target,
        "query_string": query.encode(),
        "headers": [(b"host", b"testserver"), *fields],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 80),
    }
    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start, *parts = sent
    headers = sorted(
        (name.lower(), value if name.lower() != b"set-cookie" else value.partition(b"=")[0])
        for name, value in start["headers"]
    )
    assert parts[-1].get("more_body", False) is False
    return start["status"], headers, b"".join(part.get("body", b"") for part in parts)


CASES = [
    ("GET", "/hello/"),
    ("GET", "/hello"),
    ("GET", "/nowhere/"),
    ("GET", "/fail/"),
    ("GET", "/none/"),
    ("GET", "/missing/"),
    ("GET", "/cookies/"),
    ("GET", "/template/"),
    ("GET", "/stream/"),
    ("GET", "/session/"),
    ("GET", "/message/?add=x"),
    ("GET", "/reverse/"),
    ("POST", "/form/"),
    ("GET", "/de/kind/"),
    ("GET", "/async/hello/"),
    ("GET", "/async/hello"),
    ("GET", "/async/fail/"),
    ("GET", "/async/missing/"),
    ("GET", "/async/template/"),
    ("GET", "/async/stream/"),
    ("GET", "/async/session/"),
    ("GET", "/async/message/?add=x"),
    ("GET", "/async/language/"),
    ("POST", "/async/form/"),
    ("PUT", "/async/class/"),
]


@pytest.mark.parametrize("locale", [False, True])
@pytest.mark.parametrize(("method", "path"), CASES)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
async def test_a_response_is_the_one_that_django_sends(
    method: str, path: str, locale: bool
) -> None:
    chain = list(STARTPROJECT)
    if locale:
        chain.insert(2, "django.middleware.locale.LocaleMiddleware")
    views.seen.clear()
    with override_settings(
        ROOT_URLCONF="tests.http.urls",
        MIDDLEWARE=chain,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SECURE_HSTS_SECONDS=60,
    ):
        fields = ((b"accept-language", b"de"),)
        theirs = await exchange(ASGIHandler(), method, path, *fields)
        ours = await exchange(HttpApplication(), method, path, *fields)
    if path == "/stream/":  # it tells its thread
        assert (ours[:2], len(ours[2])) == (theirs[:2], len(b"0 True\n" * 3))
    else:
        assert ours == theirs
