"""What is answered when something is wrong: with the request, the view, or what is around it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.core.signals import request_finished, request_started

from seaway.http import request
from tests.http import views
from tests.http.conftest import Site
from tests.http.posting import post
from tests.server.harness import CapturedLog, wait_until

HERE = "tests.http.middleware"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/fail/", 500, b"our 500"),
        ("/none/", 500, b"our 500"),
        ("/missing/", 404, b"our 404"),
        ("/no/such/path/", 404, b"our 404"),
        ("/async/fail/", 500, b"our 500"),
        ("/async/missing/", 404, b"our 404"),
    ],
)
def test_errors_become_the_projects_pages(site: Site, path: str, status: int, body: bytes) -> None:
    with site() as server, server.connect() as client:
        response = client.request(path)
        assert (response.status, response.body) == (status, body)
        assert client.request("/hello/").status == 200


@pytest.mark.parametrize("path", ["/fail/?broken", "/exit/", "/async/fail/?broken"])
def test_what_django_does_not_catch_is_a_500_and_logged(
    site: Site, log: CapturedLog, path: str
) -> None:
    with site() as server:
        with server.connect() as client:
            assert client.request(path).status == 500
        with server.connect() as client:
            assert client.request("/hello/").status == 200
    assert "application_failed" in log.events


@pytest.mark.parametrize("path", ["/hello/", "/async/hello/"])
def test_failing_middleware_is_a_500(site: Site, path: str) -> None:
    with site(MIDDLEWARE=[f"{HERE}.failing"]) as server, server.connect() as client:
        assert client.request(path).body == b"our 500"


@pytest.mark.parametrize("path", ["/hello/", "/async/hello/"])
def test_an_invalid_host_is_a_400(site: Site, path: str) -> None:
    with site() as server, server.connect() as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
        assert client.response().status == 400


@pytest.mark.parametrize("path", ["/hello/", "/async/hello/"])
def test_a_query_that_is_not_utf8_is_a_400(site: Site, path: str) -> None:
    with site() as server, server.connect() as client:
        client.send(b"GET %b?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        assert client.response().status == 400


def test_a_body_over_the_limits_is_refused_as_django_refuses_it(site: Site) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    limits = {"DATA_UPLOAD_MAX_MEMORY_SIZE": 1000, "DATA_UPLOAD_MAX_NUMBER_FIELDS": 2}
    with site(MIDDLEWARE=[], **limits) as server, server.connect() as client:
        for path in ("/form/", "/async/form/"):
            assert post(client, path, b"field=" + b"x" * 2000, form).status == 400
            assert post(client, path, b"field=1&b=2&c=3", form).status == 400
            assert post(client, path, b"field=1&b=2", form).body == b"1"


def test_a_receiver_that_fails_at_the_start_fails_its_request(site: Site, log: CapturedLog) -> None:
    def started(**_: Any) -> None:
        raise ZeroDivisionError("the receiver's fault")

    with site() as server:
        request_started.connect(started)
        try:
            for path in ("/hello/", "/async/hello/"):
                with server.connect() as client:
                    assert client.request(path).status == 500
        finally:
            request_started.disconnect(started)
        with server.connect() as client:
            assert client.request("/hello/").status == 200
    assert log.events.count("application_failed") == 2


def test_a_receiver_that_fails_at_the_end_is_logged(site: Site, log: CapturedLog) -> None:
    def finished(**_: Any) -> None:
        raise ZeroDivisionError("the receiver's fault")

    request_finished.connect(finished)
    try:
        with site() as server, server.connect() as client:
            for path in ("/hello/", "/async/hello/"):
                assert client.request(path).status == 200
            wait_until(lambda: log.events.count("closing a response has failed") == 2)
    finally:
        request_finished.disconnect(finished)


@pytest.mark.parametrize("path", ["/form/", "/async/form/"])
def test_forgery_is_refused(site: Site, path: str) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    with site() as server, server.connect() as client:
        response = client.request(path)
        token, cookie = response.body, response.headers["set-cookie"].partition(";")[0]
        assert post(client, path, b"field=x", form).status == 403
        body = b"field=x&csrfmiddlewaretoken=" + token
        assert post(client, path, body, form, f"Cookie: {cookie}").body == b"x"


def test_a_request_that_is_too_big_to_be_made_is_a_413(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RequestDataTooBig

    with site() as server, server.connect() as client:
        monkeypatch.setattr(request, "Request", refuse)
        for path in ("/hello/", "/async/hello/"):
            assert client.request(path).status == 413


@pytest.mark.parametrize("path", ["/suspicious/", "/async/suspicious/"])
def test_a_suspicious_operation_is_a_400(site: Site, path: str) -> None:
    with site() as server, server.connect() as client:
        assert client.request(path).status == 400


@pytest.mark.parametrize("path", ["/unawaited/", "/async/unawaited/"])
def test_a_view_that_returns_a_coroutine_is_a_500(site: Site, path: str) -> None:
    with site() as server, server.connect() as client:
        assert client.request(path).body == b"our 500"
    views.seen[0].close()
