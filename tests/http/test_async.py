"""Async views behind the real server: Django's async path, without needless hops."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.signals import request_finished

from seaway import pool
from tests.http import views
from tests.http.conftest import STARTPROJECT, Site
from tests.http.test_streaming import ask
from tests.server.harness import wait_until


def test_a_view_behind_the_default_middleware_needs_no_thread(site: Site) -> None:
    with site() as server, server.connect() as client:
        for _ in range(3):
            response = client.request("/async/hello/")
            assert (response.status, response.body) == (200, b"Hello, world!")
        assert response.headers["x-frame-options"] == "DENY"
        assert pool.threads().present == 0


def test_middleware_that_has_io_to_do_gets_a_thread(site: Site) -> None:
    with site() as server, server.connect() as client:
        assert client.request("/async/session/").status == 200
        assert pool.threads().present == 1


@pytest.mark.parametrize("sessions_only", [True, False])
def test_a_subclass_of_djangos_middleware_is_somebody_elses(
    site: Site, sessions_only: bool
) -> None:
    chain = ["tests.http.middleware.SubclassedSession"]
    if not sessions_only:
        chain = [*chain, *STARTPROJECT[2:]]
    with site(MIDDLEWARE=chain) as server, server.connect() as client:
        assert client.request("/async/hello/").status == 200
    assert views.seen[0].startswith("seaway-sync")


def test_synchronous_code_of_one_request_has_one_thread_of_the_pool(site: Site) -> None:
    with site(threads=1) as server:
        clients = [server.connect() for _ in range(4)]
        for client in clients:
            ask(client, "/async/threads/")
        names = {client.response().body for client in clients}
        for client in clients:
            client.socket.close()
    assert len(names) == 1
    assert b"," not in names.pop()


def test_a_view_that_goes_on_leaves_the_pool_to_others(site: Site) -> None:
    """It keeps its thread, and another takes the place."""
    with site(threads=1, MIDDLEWARE=["tests.http.middleware.Hooks"]) as server:
        with server.connect() as waiting, server.connect() as client:
            ask(waiting, "/async/wait/")
            wait_until(lambda: "begun" in views.seen)
            assert client.request("/hello/").status == 200
            assert pool.threads().away == 1
        wait_until(lambda: pool.threads().away == 0)


@pytest.mark.parametrize("path", ["/async/wait/", "/async/stubborn/"])
def test_a_view_is_cancelled_when_its_client_goes(site: Site, path: str) -> None:
    ends: list[Any] = []

    def finished(**_: Any) -> None:
        ends.append(1)

    request_finished.connect(finished)
    try:
        with site() as server:
            with server.connect() as client:
                ask(client, path)
                wait_until(lambda: views.seen == ["begun"])
            wait_until(lambda: ends)
            with server.connect() as client:
                assert client.request("/async/hello/").status == 200
    finally:
        request_finished.disconnect(finished)
    assert views.seen == ["begun", "cancelled"]


def test_a_view_runs_in_one_task_and_may_use_timeouts(site: Site) -> None:
    with site() as server, server.connect() as client:
        assert client.request("/async/timeout/").body == b"timed out, True"
        assert client.request("/async/class/").body == b"True"
        assert client.request("/nested/async/").body == b"Hello, world!"


def test_a_view_below_a_language_prefix_is_found(site: Site) -> None:
    chain = ["django.middleware.locale.LocaleMiddleware"]
    with site(MIDDLEWARE=chain) as server, server.connect() as client:
        assert client.request("/de/kind/").body == b"async"
        assert client.request("/en/kind/").body == b"async"
        assert pool.threads().present == 0


def test_atomic_requests_refuse_async_views_as_django_does(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connections

    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    with site() as server, server.connect() as client:
        assert client.request("/async/hello/").body == b"our 500"


def test_a_body_reaches_an_async_view(site: Site) -> None:
    with site(MIDDLEWARE=[]) as server, server.connect() as client:
        client.send(
            b"POST /async/echo/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
        )
        assert b'"body": "body"' in client.response().body
