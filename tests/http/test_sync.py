"""Sync views behind the real server: one hop to a bounded pool, and all that WSGI gives them."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import reset_queries

from seaway import pool
from seaway.http import request
from tests.http import views
from tests.http.conftest import Site
from tests.http.middleware import around_asgi
from tests.http.posting import post
from tests.server.harness import wait_until

HERE = "tests.http.middleware"


def test_a_view_answers_through_the_default_middleware(site: Site) -> None:
    with site() as server, server.connect() as client:
        response = client.request("/hello/")
        assert (response.status, response.body) == (200, b"Hello, world!")
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["content-length"] == "13"
        assert client.request("/hello/").status == 200


def test_a_request_arrives_whole(site: Site) -> None:
    with site(MIDDLEWARE=[]) as server, server.connect() as client:
        found = json.loads(
            post(
                client,
                "/echo/?name=%C3%A9&x=1",
                "søt".encode(),
                "X-Twice: a",
                "X-Twice: b",
                "X_Sly: 1",
                "Cookie: a=1",
                "Cookie: b=2",
            ).body
        )
    assert found["method"] == "POST"
    assert found["query"] == {"name": "é", "x": "1"}
    assert found["body"] == "søt"
    assert found["headers"]["X-Twice"] == "a,b"
    assert "X-Sly" not in found["headers"]
    assert found["cookies"] == {"a": "1", "b": "2"}


def test_a_body_that_the_view_does_not_read_is_in_nobodys_way(site: Site) -> None:
    with site(MIDDLEWARE=[]) as server, server.connect() as client:
        assert post(client, "/unread/", b"x" * 100_000).body == b"not read"
        assert client.request("/hello/").body == b"Hello, world!"


def test_views_share_a_bounded_number_of_threads(site: Site) -> None:
    with site(threads=3) as server:
        names = set()
        for _ in range(3):
            clients = [server.connect() for _ in range(3)]
            for client in clients:
                client.send(b"GET /meet/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            names |= {client.response().body for client in clients}
            for client in clients:
                client.socket.close()
    assert len(names) == 3


def test_a_context_belongs_to_one_request(site: Site) -> None:
    with site(threads=1) as server, server.connect() as client:
        assert client.request("/context/").body == b"nobody"
        assert client.request("/context/").body == b"nobody"


def test_what_asgi_middleware_sets_in_the_context_is_seen(site: Site) -> None:
    with site(threads=1, around=around_asgi) as server, server.connect() as client:
        assert client.request("/context/").body == b"asgi"
        assert client.request("/context/").body == b"asgi"


def test_an_active_language_ends_with_its_request(site: Site) -> None:
    with site(threads=1) as server, server.connect() as client:
        assert client.request("/activate/").body == b"is"
        assert client.request("/language/").body == b"en-us"


def test_the_locale_middleware_works(site: Site) -> None:
    locale = ["django.middleware.locale.LocaleMiddleware"]
    with site(MIDDLEWARE=locale) as server, server.connect() as client:
        assert client.request("/language/", "Accept-Language: de").body == b"de"
        assert client.request("/async/language/", "Accept-Language: de").body == b"de"
        assert client.request("/language/").body == b"en"


@pytest.mark.parametrize("options", [{"root_path": "/app"}, {"FORCE_SCRIPT_NAME": "/app"}])
def test_a_script_prefix_is_known_and_ends_with_its_request(
    site: Site, options: dict[str, Any]
) -> None:
    path = "/reverse/" if "root_path" in options else "/app/reverse/"
    with site(threads=1, **options) as server, server.connect() as client:
        assert client.request(path).body == b"/app/hello/ /app/reverse/ /reverse/"
    with site(threads=1) as server, server.connect() as client:
        assert client.request("/reverse/").body == b"/hello/ /reverse/ /reverse/"


def test_head_has_no_body(site: Site) -> None:
    with site() as server, server.connect() as client:
        for path in ("/hello/", "/stream/", "/async/hello/", "/async/stream/"):
            client.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert client.request("/hello/").body == b"Hello, world!"


@pytest.mark.parametrize("code", [204, 304])
def test_statuses_without_content_have_none(site: Site, code: int) -> None:
    with site() as server, server.connect() as client:
        client.send(f"GET /status/{code}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert f" {code} ".encode() in client.receive_until(b"\r\n\r\n")
        assert client.request("/hello/").body == b"Hello, world!"


def test_every_cookie_has_its_own_header(site: Site) -> None:
    with site() as server, server.connect() as client:
        client.send(b"GET /cookies/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = client.receive_until(b"\r\n\r\n").lower()
    assert b"set-cookie: a=1; path=/\r\n" in head
    assert b"set-cookie: b=2; httponly; path=/\r\n" in head


def test_signals_come_in_order_in_the_views_thread(site: Site) -> None:
    heard: list[tuple[str, str]] = []

    def started(sender: type, scope: dict[str, Any], **_: Any) -> None:
        heard.append((f"started {scope['path']}", views.thread()))

    def finished(sender: type, **_: Any) -> None:
        heard.append(("finished", views.thread()))

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        with site() as server, server.connect() as client:
            name = client.request("/where/").body.decode()
            wait_until(lambda: len(heard) == 2)
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)
    assert heard == [("started /where/", name), ("finished", name)]


def test_the_response_is_sent_before_it_is_closed(site: Site) -> None:
    received = threading.Event()
    waited: list[bool] = []

    def finished(**_: Any) -> None:
        waited.append(received.wait(30))

    request_finished.connect(finished)
    try:
        with site() as server, server.connect() as client:
            assert client.request("/hello/").status == 200
            received.set()
            wait_until(lambda: waited)
    finally:
        request_finished.disconnect(finished)
    assert waited == [True]


def test_djangos_receivers_may_leave_and_others_come(site: Site) -> None:
    """What is known of a signal's receivers is looked up again when they change."""
    heard: list[str] = []

    def started(**_: Any) -> None:
        heard.append("started")

    with site() as server, server.connect() as client:
        client.request("/hello/")
        request_started.disconnect(reset_queries)
        request_started.connect(started)
        try:
            client.request("/hello/")
        finally:
            request_started.disconnect(started)
            request_started.connect(reset_queries)
        client.request("/hello/")
    assert heard == ["started"]


def test_a_view_runs_on_when_its_client_goes(site: Site) -> None:
    ends: list[str] = []

    def finished(**_: Any) -> None:
        ends.append("finished")

    views.go_on.clear()
    request_finished.connect(finished)
    try:
        with site() as server:
            with server.connect() as client:
                client.send(b"GET /slow/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                wait_until(lambda: "begun" in views.seen)
            views.go_on.set()
            wait_until(lambda: ends)
            with server.connect() as client:
                assert client.request("/hello/").status == 200
    finally:
        request_finished.disconnect(finished)
    assert views.seen == ["begun", "ended"]


def test_coroutines_that_a_view_calls_run_on_the_servers_loop(site: Site) -> None:
    with site() as server, server.connect() as client:
        assert client.request("/calls-async/").body == b"True True"


def test_middleware_of_every_kind_serves_views_of_both(site: Site) -> None:
    chain = [f"{HERE}.{name}" for name in ("sync_only", "async_only", "both")]
    with site(MIDDLEWARE=chain) as server, server.connect() as client:
        for path, kind in (("/hello/", "sync"), ("/async/hello/", "async")):
            views.seen.clear()
            assert client.request(path).status == 200
            inside = [f"both, {kind}"]
            assert views.seen == ["sync in", "async in", *inside, "async out", "sync out"]


def test_a_wrong_guess_of_the_views_kind_is_still_served(site: Site) -> None:
    with site(MIDDLEWARE=[f"{HERE}.other_urlconf"]) as server, server.connect() as client:
        assert client.request("/hello/").body == b"async"
        assert client.request("/async/hello/").body == b"sync"


@pytest.mark.parametrize("prefix", ["/", "/async/"])
def test_hooks_of_other_peoples_middleware_run(site: Site, prefix: str) -> None:
    with site(MIDDLEWARE=[f"{HERE}.Hooks"]) as server, server.connect() as client:
        response = client.request(f"{prefix}fail/")
        assert (response.status, response.body) == (418, b"caught ZeroDivisionError")
        assert views.seen[0][0] == "request"
        assert views.seen[0][1].startswith("seaway-sync")
        assert views.seen[1:] == ["view", "exception", "response"]
        assert client.request(f"{prefix}template/").body == b"Hi, middleware"


def test_sessions_and_messages_come_back(site: Site) -> None:
    with site() as server, server.connect() as client:
        for prefix in ("/", "/async/"):
            response = client.request(f"{prefix}session/")
            assert response.body == b"1"
            cookie = response.headers["set-cookie"].partition(";")[0]
            assert client.request(f"{prefix}session/", f"Cookie: {cookie}").body == b"2"
            response = client.request(f"{prefix}message/?add=saved")
            cookie = response.headers["set-cookie"].partition(";")[0]
            assert client.request(f"{prefix}message/", f"Cookie: {cookie}").body == b"saved"


def test_the_pool_is_the_one_of_the_settings(site: Site) -> None:
    with site(threads=2) as server, server.connect() as client:
        client.request("/hello/")
        assert pool.threads().size == 2


@pytest.mark.parametrize("path", ["/unread/", "/async/hello/"])
def test_a_body_is_closed_though_nobody_read_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    bodies: list[Any] = []
    make = request.Request.__init__

    def remember(self: Any, scope: Any, body: Any, *rest: Any) -> None:
        bodies.append(body)
        make(self, scope, body, *rest)

    monkeypatch.setattr(request.Request, "__init__", remember)
    with site(MIDDLEWARE=[]) as server, server.connect() as client:
        assert post(client, path, b"body").status == 200
        wait_until(lambda: bodies[0].closed)


@pytest.mark.parametrize("path", ["/stream/", "/async/stream/", "/async-parts/"])
def test_a_streaming_response_is_finished_after_its_last_part(site: Site, path: str) -> None:
    heard: list[str] = []

    def finished(**_: Any) -> None:
        heard.append("finished")

    request_finished.connect(finished)
    try:
        with site() as server, server.connect() as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.receive_until(b"\r\n0\r\n\r\n")
            wait_until(lambda: heard)
            assert client.request("/hello/").status == 200
            wait_until(lambda: len(heard) == 2)
    finally:
        request_finished.disconnect(finished)
